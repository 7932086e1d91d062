//! Whose an object is, as its annotations say it.
//!
//! Labels hold forms of project and branch that are safe for selectors; the exact strings are here.

use std::collections::BTreeMap;

use dbt_controller_domain::Identity;

/// The label of every object of a server, those of the replaced service included: key and value.
pub const SERVER_LABEL: (&str, &str) = ("app", "fastbi-dbt-project-runner");

/// The annotations that every object of a server carries, the claim template included.
pub mod annotations {
    /// The dbt project, exactly as it was asked for.
    pub const PROJECT: &str = "dbt-controller.fast.bi/project";
    /// The git branch, exactly as it was asked for; absent without one.
    pub const BRANCH: &str = "dbt-controller.fast.bi/branch";
    /// The id of the Airflow connection.
    pub const CONNECTION: &str = "dbt-controller.fast.bi/connection";
    /// The release that Helm takes an object to belong to.
    pub const HELM_RELEASE_NAME: &str = "meta.helm.sh/release-name";
    /// The namespace of that release.
    pub const HELM_RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
}

/// The release that Helm takes an object to belong to: namespace and name, as they are written there.
pub fn helm_release_of(annotations: &BTreeMap<String, String>) -> Option<(&str, &str)> {
    let namespace = annotations.get(annotations::HELM_RELEASE_NAMESPACE)?;
    Some((namespace, annotations.get(annotations::HELM_RELEASE_NAME)?))
}

/// Whose an object is. None when it does not say, or says something that is no identity.
pub fn identity_of(annotations: &BTreeMap<String, String>) -> Option<Identity> {
    let project = annotations.get(annotations::PROJECT)?;
    Identity::parse(project, annotations.get(annotations::BRANCH).map(String::as_str)).ok()
}

/// The annotations that say whose an object is; [`identity_of`] reads them back.
pub fn identity_annotations(identity: &Identity) -> BTreeMap<String, String> {
    let project = (annotations::PROJECT.to_owned(), identity.project().as_str().to_owned());
    let branch = identity.branch().map(|branch| (annotations::BRANCH.to_owned(), branch.as_str().to_owned()));
    std::iter::once(project).chain(branch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_identity_comes_back_as_it_was_written() {
        let identity = |pairs| identity_of(&annotated(pairs));
        let full = identity(&[(annotations::PROJECT, "Проект A"), (annotations::BRANCH, "feature/x")]);
        assert_eq!(full, Identity::parse("Проект A", Some("feature/x")).ok());
        assert_eq!(identity(&[(annotations::PROJECT, "a")]), Identity::parse("a", None).ok());
        for identity in [full, identity(&[(annotations::PROJECT, "a")])].into_iter().flatten() {
            assert_eq!(identity_of(&identity_annotations(&identity)), Some(identity));
        }
        assert_eq!(identity(&[(annotations::PROJECT, "a"), (annotations::BRANCH, "")]), Identity::parse("a", None).ok());
        assert_eq!(identity(&[(annotations::BRANCH, "main")]), None);
        assert_eq!(identity(&[(annotations::PROJECT, "")]), None);
    }
}
