//! The native engine keeps every promise of `ChartInstaller`, with real Helms and kubectl as the humans.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_domain::model::{Namespace as NamespaceName, ReleaseKey, RevisionNumber};
use dbt_controller_domain::ports::ChartInstaller;
use dbt_controller_port_contracts::{FarSide, Harness, Hook, InstallerHarness, chart_installer};
use dbt_controller_tests::{Helm, Link, Mode, Namespace};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{Stage, chart};

/// How often is looked. The suite has a limit for each check.
const POLL: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_native_engine_keeps_the_contract() {
    let harness = ClusterHarness::new().await;
    chart_installer(&harness).await.assert_kept_and_complete();
}

/// A stage on which humans act, and the way of the adapter to the control plane.
struct ClusterHarness {
    stage: Stage,
    link: Link,
    turn: AtomicUsize,
}

impl ClusterHarness {
    async fn new() -> Self {
        let namespace = Namespace::create().await;
        let direct = namespace.plane().kubeconfig();
        let link = Link::to(direct.address());
        let kubeconfig = link.kubeconfig(direct);
        Self { stage: Stage::with(namespace, kubeconfig).await, link, turn: AtomicUsize::new(0) }
    }

    /// The human's Helm: the one, then the other.
    fn helm(&self) -> &Helm {
        &self.stage.helms[self.turn.fetch_add(1, Ordering::Relaxed) % self.stage.helms.len()]
    }

    /// Waits until Helm has written everything and waits for the pods.
    async fn until_helm_waits(&self, release: &str) {
        let pending = format!("owner=helm,name={release},status=pending-upgrade");
        while self.stage.namespace.list("secrets", &pending).await.is_empty()
            || self.stage.namespace.get("statefulset", release).await["metadata"]["generation"] == json!(1)
        {
            sleep(POLL).await;
        }
    }

    /// The values of a release with an image that never gets ready.
    async fn unready_values(&self, release: &str) -> Value {
        let mut values = self.stage.helms[0].values(release).await;
        let objects = values["manifests"].as_array_mut().unwrap();
        let set = objects.iter_mut().find(|object| object["kind"] == "StatefulSet").unwrap();
        let containers = set["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
        let server = containers.iter_mut().find(|container| container["name"] == "dbt-server").unwrap();
        server["image"] = json!("registry.example.com/team/dbt-server:unready-1");
        values
    }
}

/// `Kind/name` apart.
fn parts(object: &str) -> (&str, &str) {
    object.split_once('/').unwrap()
}

#[async_trait]
impl Harness for ClusterHarness {
    fn namespace(&self) -> NamespaceName {
        self.stage.name()
    }

    async fn set_far_side(&self, far_side: FarSide) -> Hook {
        self.link.set(match far_side {
            FarSide::Answers => Mode::Answers,
            FarSide::Down => Mode::Down,
            FarSide::Hangs => Mode::Hangs,
        });
        if far_side == FarSide::Answers {
            // The watches are begun anew by themselves; until then reads from memory are as old as they say.
            while self.stage.installer.behind().is_some() {
                sleep(POLL).await;
            }
        }
        Hook::Done
    }
}

#[async_trait]
impl InstallerHarness for ClusterHarness {
    fn installer(&self) -> Arc<dyn ChartInstaller> {
        Arc::clone(&self.stage.installer) as Arc<dyn ChartInstaller>
    }

    fn missing_namespace(&self) -> Option<NamespaceName> {
        format!("{}-missing", self.stage.namespace.name()).parse().ok()
    }

    async fn human_rolls_back(&self, key: &ReleaseKey, to: RevisionNumber) -> Hook {
        self.helm().run(&["rollback", key.name.as_str(), &to.to_string()]).await;
        Hook::Done
    }

    async fn human_upgrades(&self, key: &ReleaseKey) -> Hook {
        self.helm().run(&["upgrade", key.name.as_str(), &chart(), "--reuse-values"]).await;
        Hook::Done
    }

    async fn human_leaves_pending(&self, key: &ReleaseKey) -> Hook {
        let release = key.name.as_str();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("values.json");
        std::fs::write(&file, self.unready_values(release).await.to_string()).unwrap();
        let (helm, chart) = (self.helm(), chart());
        let arguments = ["upgrade", release, &chart, "--values", file.to_str().unwrap(), "--wait", "--timeout", "5m"];
        let waits = helm.try_run(&arguments);
        tokio::select! {
            // Dropping the other kills it.
            () = self.until_helm_waits(release) => Hook::Done,
            ended = waits => panic!("helm did not wait: {ended:?}"),
        }
    }

    async fn human_uninstalls(&self, key: &ReleaseKey, keep_history: bool) -> Hook {
        let keep_history = format!("--keep-history={keep_history}");
        self.helm().run(&["uninstall", key.name.as_str(), &keep_history]).await;
        Hook::Done
    }

    async fn forget_records(&self, key: &ReleaseKey) -> Hook {
        self.stage.namespace.run(&["delete", "secrets", "-l", &format!("owner=helm,name={}", key.name)]).await.unwrap();
        Hook::Done
    }

    async fn plant_object(&self, _: &NamespaceName, object: &str) -> Hook {
        let (kind, name) = parts(object);
        let port = json!({"name": "http", "port": 80});
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": {"ports": [port]}});
        self.stage.namespace.apply(&object).await;
        Hook::Done
    }

    async fn remove_object(&self, _: &ReleaseKey, object: &str) -> Hook {
        let (kind, name) = parts(object);
        self.stage.namespace.delete(kind, name).await;
        Hook::Done
    }

    async fn disturb_object(&self, _: &ReleaseKey, object: &str) -> Hook {
        let (kind, name) = parts(object);
        let ports = json!([{"name": "http", "port": 80, "targetPort": 9999}]);
        self.stage.namespace.patch(kind, name, &json!({"spec": {"ports": ports, "selector": {"app": "another"}}})).await;
        Hook::Done
    }

    async fn break_record(&self, key: &ReleaseKey) -> Hook {
        let newest = self.stage.namespace.list("secrets", &format!("owner=helm,name={}", key.name)).await.pop().unwrap();
        let patch = json!({"data": {"release": BASE64.encode("neither base64 nor anything else")}});
        self.stage.namespace.patch("secret", newest["metadata"]["name"].as_str().unwrap(), &patch).await;
        Hook::Done
    }
}
