//! Whose a connection is.

use dbt_controller_domain::model::{CONNECTION_TYPE, Namespace, ReleaseKey, owner_of_description};
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use reqwest::Url;

/// Whose a connection is: of the release that its description names, or of a release of the replaced service. None: somebody else's.
pub(crate) fn owner(id: &ConnectionId, conn_type: &str, url: &str, description: Option<&str>, home: &Namespace) -> Option<ReleaseKey> {
    let description = description?;
    owner_of_description(description).or_else(|| {
        let is_replaced = conn_type == CONNECTION_TYPE && is_of_replaced_service(description);
        is_replaced.then(|| replaced_owner(id, url, home)).flatten()
    })
}

/// Whether a description ends as the replaced service ended it: `Configuration to call http…/invocations`.
fn is_of_replaced_service(description: &str) -> bool {
    let Some((_, url)) = description.trim_end().rsplit_once("Configuration to call ") else { return false };
    (url.starts_with("http://") || url.starts_with("https://")) && url.ends_with("/invocations") && !url.contains(char::is_whitespace)
}

/// The release of the replaced service whose id and host these are. Its connections have the release's name, and its servers the hosts
/// `dbt-server-<release>.<namespace>.svc…` and, with https, `dbt-server-<release>.<customer>.<domain>`. The latter does not tell the
/// namespace; that service deleted in one namespace only, which is taken for it.
fn replaced_owner(id: &ConnectionId, url: &str, home: &Namespace) -> Option<ReleaseKey> {
    let name: ReleaseName = id.as_str().parse().ok()?;
    let url = Url::parse(url).ok().filter(|url| url.path() == "/invocations" && url.query().is_none())?;
    let place = url.host_str()?.strip_prefix("dbt-server-")?.strip_prefix(name.as_str())?.strip_prefix('.')?;
    let namespace = match url.scheme() {
        "http" => place.split_once(".svc").filter(|(_, rest)| rest.is_empty() || rest.starts_with('.'))?.0.parse().ok()?,
        "https" if !place.is_empty() => home.clone(),
        _ => return None,
    };
    Some(ReleaseKey { namespace, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "dbt-test-project-1a2b3c";
    const HTTP: &str = "http://dbt-server-dbt-test-project-1a2b3c.data.svc.cluster.local/invocations";
    const HTTPS: &str = "https://dbt-server-dbt-test-project-1a2b3c.acme.example.com/invocations";

    fn told(id: &str, conn_type: &str, url: &str, description: &str) -> Option<String> {
        let owner = owner(&id.parse().unwrap(), conn_type, url, Some(description), &"dbt-server".parse().unwrap());
        owner.map(|key| format!("{}/{}", key.namespace, key.name))
    }

    fn replaced(url: &str) -> String {
        format!("dbt API server. Configuration to call {url}")
    }

    #[test]
    fn ours_are_told_by_the_description_alone() {
        let description = "dbt-api-service-controller: release dbt-server-a in namespace data";
        assert_eq!(told("x", "postgres", "anywhere", description).as_deref(), Some("data/dbt-server-a"));
    }

    #[test]
    fn those_of_the_replaced_service_are_told_by_description_id_and_host() {
        assert_eq!(told(ID, "http", HTTP, &replaced(HTTP)).as_deref(), Some("data/dbt-test-project-1a2b3c"));
        assert_eq!(told(ID, "http", HTTPS, &replaced(HTTPS)).as_deref(), Some("dbt-server/dbt-test-project-1a2b3c"));
        let short = "http://dbt-server-dbt-test-project-1a2b3c.data.svc/invocations";
        assert_eq!(told(ID, "http", short, &replaced(short)).as_deref(), Some("data/dbt-test-project-1a2b3c"));
    }

    #[test]
    fn what_only_looks_like_it_is_somebody_elses() {
        let cases = [
            ("another", "http", HTTP, replaced(HTTP)),
            ("dbt-test-project", "http", HTTP, replaced(HTTP)),
            (ID, "https", HTTP, replaced(HTTP)),
            (ID, "http", "http://warehouse.example.com/invocations", replaced(HTTP)),
            (ID, "http", "http://dbt-server-dbt-test-project-1a2b3c.data.svc.cluster.local/other", replaced(HTTP)),
            (ID, "http", "http://dbt-server-dbt-test-project-1a2b3c.data.example.com/invocations", replaced(HTTP)),
            (ID, "http", "http://dbt-server-dbt-test-project-1a2b3cd.data.svc/invocations", replaced(HTTP)),
            (ID, "http", "http://dbt-server-dbt-test-project-1a2b3c.svc/invocations", replaced(HTTP)),
            (ID, "http", HTTP, "Configuration to call http://x/invocations, changed by hand".to_owned()),
            (ID, "http", HTTP, "Configuration to call ftp://x/invocations".to_owned()),
            (ID, "http", HTTP, "my own".to_owned()),
            (ID, "http", HTTP, String::new()),
        ];
        for (id, conn_type, url, description) in cases {
            assert_eq!(told(id, conn_type, url, &description), None, "{id} {conn_type} {url} {description}");
        }
    }
}
