//! A human's Helm that takes its time.

use std::time::Duration;

use dbt_controller_tests::{Helm, Namespace, Refusal};
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::time::sleep;

use super::site::chart;

/// The values of one of our releases with another tag of the dbt server's image, in a file.
pub(crate) async fn values_with_tag(helm: &Helm, release: &str, tag: &str) -> NamedTempFile {
    let mut values = helm.values(release).await;
    let objects = values["manifests"].as_array_mut().unwrap();
    let set = objects.iter_mut().find(|object| object["kind"] == "StatefulSet").unwrap();
    let containers = set["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    let server = containers.iter_mut().find(|container| container["name"] == "dbt-server").unwrap();
    server["image"] = json!(format!("4fastbi/dbt-api-server-core:{tag}"));
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.to_string()).unwrap();
    file
}

/// `helm upgrade --wait` of one of our releases to an image of this tag.
pub(crate) async fn upgrade(helm: &Helm, release: &str, tag: &str) -> Result<String, Refusal> {
    let file = values_with_tag(helm, release, tag).await;
    helm.try_run(&["upgrade", release, &chart(), "--values", file.path().to_str().unwrap(), "--wait", "--timeout", "5m"]).await
}

/// An object that stays when it is deleted, so that whoever waits for its end goes on waiting.
pub(crate) struct Held<'a> {
    namespace: &'a Namespace,
    kind: &'static str,
    name: &'a str,
}

impl<'a> Held<'a> {
    pub(crate) async fn new(namespace: &'a Namespace, kind: &'static str, name: &'a str) -> Self {
        namespace.patch(kind, name, &json!({"metadata": {"finalizers": ["example.com/held"]}})).await;
        Self { namespace, kind, name }
    }

    /// Lets it go.
    pub(crate) async fn let_go(self) {
        self.namespace.patch(self.kind, self.name, &json!({"metadata": {"finalizers": null}})).await;
    }
}

/// `helm uninstall --wait`.
pub(crate) async fn uninstall(helm: &Helm, release: &str) -> Result<String, Refusal> {
    helm.try_run(&["uninstall", release, "--wait"]).await
}

/// Waits until somebody has begun to uninstall a release. The test has a limit.
pub(crate) async fn until_uninstalling(namespace: &Namespace, release: &str) {
    let label = format!("owner=helm,name={release},status=uninstalling");
    while namespace.list("secrets", &label).await.is_empty() {
        sleep(Duration::from_millis(50)).await;
    }
}
