//! A service on the control plane, in a namespace of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dbt_controller_tests::{Account, Helm, HelmVersion, Namespace, Service, until};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::role;

/// The kinds of which a deployment has objects.
const KINDS: &str = "statefulsets,pods,services,configmaps,secrets,serviceaccounts,ingresses,persistentvolumeclaims";

/// A namespace and the service that owns the servers in it.
pub(crate) struct Site {
    // Ends before its namespace goes.
    pub(crate) service: Service,
    pub(crate) namespace: Namespace,
    _account: Account,
}

impl Site {
    /// Opens one whose service may do what the shipped Role says, and no more.
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// The same with further settings.
    pub(crate) async fn open_with(settings: &[(&str, &str)]) -> Self {
        let namespace = Namespace::create().await;
        let account = role::account(&namespace, role::shipped(&namespace).await).await;
        let service = serve(&namespace, account.kubeconfig_file(), settings).await;
        Self { service, namespace, _account: account }
    }

    /// Deploys, and returns the `details` of the answer.
    pub(crate) async fn deploy(&self, body: &Value) -> Value {
        deploy(&self.service, body).await
    }

    /// A deployment as GET shows it.
    pub(crate) async fn deployment(&self, release: &str) -> Value {
        self.service.get(&path(release)).await.expect(200).json()
    }

    /// The administrator's Helm.
    pub(crate) fn helm(&self, version: HelmVersion) -> Helm {
        Helm::new(version, &self.namespace)
    }

    /// The uid of a server's pod.
    pub(crate) async fn pod_uid(&self, release: &str) -> String {
        let pod = self.namespace.get("pod", &format!("{release}-0")).await;
        pod["metadata"]["uid"].as_str().unwrap().to_owned()
    }
}

/// The administrator's kubeconfig as a file.
pub(crate) fn admin(namespace: &Namespace, folder: &TempDir) -> PathBuf {
    namespace.plane().kubeconfig().write(folder)
}

/// Starts a service whose home is this namespace, with quick decisions on failing pods, and waits until it is ready.
pub(crate) async fn serve(namespace: &Namespace, kubeconfig: &Path, more: &[(&str, &str)]) -> Service {
    Service::start(&settings(namespace, kubeconfig, more)).await
}

/// Its settings, for those who start it in another way.
pub(crate) fn settings<'a>(namespace: &'a Namespace, kubeconfig: &'a Path, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut settings = vec![
        ("KUBECONFIG", kubeconfig.to_str().unwrap()),
        ("KUBERNETES_NAMESPACE", namespace.name()),
        ("DEFAULT_CUSTOMER", "acme"),
        ("DEFAULT_DOMAIN", "example.com"),
        ("DEFAULT_TAG", "1.0.0"),
        ("PULL_ERROR_WINDOW", "1s"),
        ("NO_POD_WINDOW", "1s"),
        ("LOG_LEVEL", "debug"),
    ];
    settings.extend(more);
    settings
}

/// The least that a body must hold.
pub(crate) fn body(project: &str) -> Value {
    json!({"project_name": project, "git_branch": "main"})
}

/// The same with other fields on top.
pub(crate) fn body_with(project: &str, fields: &Value) -> Value {
    let mut body = body(project);
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

/// The path of a deployment.
pub(crate) fn path(release: &str) -> String {
    format!("/api/v1/deployments/{release}")
}

/// Deploys, and returns the `details` of the answer.
pub(crate) async fn deploy(service: &Service, body: &Value) -> Value {
    service.post("/api/v1/deployments", body).await.expect(200).json()["details"].clone()
}

/// What a namespace has of the kinds of a deployment, as `Kind/name`, without the service's own records of operations.
pub(crate) async fn inventory(namespace: &Namespace) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let objects = namespace.list(KINDS, "").await.into_iter();
    let titles = objects.map(|object| format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"])));
    titles.filter(|title| !title.starts_with("Secret/dbt-controller-op.")).collect()
}

/// Waits until a namespace has what it had before, and no Helm knows of a release.
pub(crate) async fn until_nothing_is_left(namespace: &Namespace, before: &BTreeSet<String>) {
    // A claim goes when the controllers have let go of it.
    until("nothing is left of the deployment", async || (inventory(namespace).await == *before).then_some(())).await;
    for version in HelmVersion::ALL {
        let releases = Helm::new(version, namespace).list().await;
        assert!(releases.is_empty(), "{releases:?}");
    }
}

/// The path of the chart whose releases the service writes.
pub(crate) fn chart() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/dbt-server").to_str().unwrap().to_owned()
}
