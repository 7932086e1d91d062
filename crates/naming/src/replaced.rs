//! The names that the replaced service gave.

use md5::{Digest, Md5};

use crate::slug::slug;
use crate::{Identity, ReleaseName};

/// The most characters of the project's slug in a name.
const SLUG_MAX: usize = 49;

/// How many hexadecimal digits of the MD5 stood at the end.
const DIGITS: usize = 8;

impl Identity {
    /// What the replaced service called the release of this identity: `dbt-<slug>-<hash>`, the slug
    /// of the project cut at 49 characters, the hash the first 8 hexadecimal digits of the MD5 of
    /// the uncut slug, a dash and the branch as sent, or of the slug alone without a branch. None
    /// where that is no name that Helm takes, or nothing is left of the project.
    ///
    /// Several identities can have one such name (`a.b` and `a-b`): it tells whose a release was as
    /// well as its maker could.
    #[must_use]
    pub fn replaced_release_name(&self) -> Option<ReleaseName> {
        let slug = slug(self.project().as_str(), "-");
        if slug.is_empty() {
            return None;
        }
        let hashed = match self.branch() {
            Some(branch) => format!("{slug}-{}", branch.as_str()),
            None => slug.clone(),
        };
        let digest = Md5::digest(hashed).iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("dbt-{}-{digest}", &slug[..slug.len().min(SLUG_MAX)]).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(project: &str, branch: Option<&str>) -> Option<String> {
        Identity::parse(project, branch).unwrap().replaced_release_name().map(|name| name.to_string())
    }

    #[test]
    fn the_replaced_service_hashed_slug_and_branch() {
        // printf %s 'test-project-main' | md5sum, and so on.
        assert_eq!(name("test-project", Some("main")).as_deref(), Some("dbt-test-project-2758f76c"));
        assert_eq!(name("Test_Project", Some("feature/X")).as_deref(), Some("dbt-test-project-be0f212b"));
        assert_eq!(name("test-project", None).as_deref(), Some("dbt-test-project-bd58c895"));
    }

    #[test]
    fn a_name_that_helm_does_not_take_is_none() {
        assert_eq!(name(&"x".repeat(41), Some("main")), None);
        assert_eq!(name(&"x".repeat(40), Some("main")).map(|name| name.len()), Some(53));
        assert_eq!(name("проект", Some("main")), None);
    }

    #[test]
    fn a_server_runs_up_to_a_slug_of_28_characters() {
        let length = |slug: usize| name(&"x".repeat(slug), None).unwrap().len();
        assert!(length(28) <= ReleaseName::ADOPTABLE_MAX_LENGTH && length(29) > ReleaseName::ADOPTABLE_MAX_LENGTH);
    }
}
