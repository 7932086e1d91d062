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
use dbt_controller_tests::{Helm, HelmVersion, Kubeconfig, Link, Mode, Namespace};
use serde_json::json;
use tokio::time::sleep;

use super::installer_of;
use crate::support::at_work::{Held, uninstall, until_uninstalling, upgrade};
use crate::support::site::chart;

/// How often is looked. The suite has a limit for each check.
const POLL: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_native_engine_keeps_the_contract() {
    let harness =
        ClusterHarness::new(async |namespace, kubeconfig| Arc::new(installer_of(namespace, kubeconfig).await) as Arc<dyn ChartInstaller>);
    let harness = harness.await;
    chart_installer(&harness).await.assert_kept_and_complete();
}

/// A namespace in which humans act, an engine, and its way to the control plane.
pub(crate) struct ClusterHarness {
    namespace: Namespace,
    installer: Arc<dyn ChartInstaller>,
    helms: [Helm; 2],
    link: Link,
    turn: AtomicUsize,
}

impl ClusterHarness {
    /// With the engine that is made for a namespace and a kubeconfig.
    pub(crate) async fn new(engine: impl AsyncFnOnce(&Namespace, Kubeconfig) -> Arc<dyn ChartInstaller>) -> Self {
        let namespace = Namespace::create().await;
        let direct = namespace.plane().kubeconfig();
        let link = Link::to(direct.address());
        let installer = engine(&namespace, link.kubeconfig(direct)).await;
        let helms = HelmVersion::ALL.map(|version| Helm::new(version, &namespace));
        Self { namespace, installer, helms, link, turn: AtomicUsize::new(0) }
    }

    /// The human's Helm: the one, then the other.
    fn helm(&self) -> &Helm {
        &self.helms[self.turn.fetch_add(1, Ordering::Relaxed) % self.helms.len()]
    }

    /// Waits until Helm has written everything and waits for the pods.
    async fn until_helm_waits(&self, release: &str) {
        let pending = format!("owner=helm,name={release},status=pending-upgrade");
        while self.namespace.list("secrets", &pending).await.is_empty()
            || self.namespace.get("statefulset", release).await["metadata"]["generation"] == json!(1)
        {
            sleep(POLL).await;
        }
    }
}

/// `Kind/name` apart.
fn parts(object: &str) -> (&str, &str) {
    object.split_once('/').unwrap()
}

#[async_trait]
impl Harness for ClusterHarness {
    fn namespace(&self) -> NamespaceName {
        self.namespace.name().parse().unwrap()
    }

    async fn set_far_side(&self, far_side: FarSide) -> Hook {
        self.link.set(match far_side {
            FarSide::Answers => Mode::Answers,
            FarSide::Down => Mode::Down,
            FarSide::Hangs => Mode::Hangs,
        });
        if far_side == FarSide::Answers {
            // The watches are begun anew by themselves; until then reads from memory are as old as they say.
            while self.installer.behind().is_some() {
                sleep(POLL).await;
            }
        }
        Hook::Done
    }
}

#[async_trait]
impl InstallerHarness for ClusterHarness {
    fn installer(&self) -> Arc<dyn ChartInstaller> {
        Arc::clone(&self.installer)
    }

    fn missing_namespace(&self) -> Option<NamespaceName> {
        format!("{}-missing", self.namespace.name()).parse().ok()
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
        tokio::select! {
            // Dropping the other kills it.
            () = self.until_helm_waits(release) => Hook::Done,
            ended = upgrade(self.helm(), release, "unready-1") => panic!("helm did not wait: {ended:?}"),
        }
    }

    async fn human_leaves_uninstalling(&self, key: &ReleaseKey) -> Hook {
        let release = key.name.as_str();
        let held = Held::new(&self.namespace, "service", release).await;
        tokio::select! {
            () = until_uninstalling(&self.namespace, release) => {}
            ended = uninstall(self.helm(), release) => panic!("helm did not wait: {ended:?}"),
        }
        held.let_go().await;
        Hook::Done
    }

    async fn human_uninstalls(&self, key: &ReleaseKey, keep_history: bool) -> Hook {
        let keep_history = format!("--keep-history={keep_history}");
        self.helm().run(&["uninstall", key.name.as_str(), &keep_history]).await;
        Hook::Done
    }

    async fn forget_records(&self, key: &ReleaseKey) -> Hook {
        self.namespace.run(&["delete", "secrets", "-l", &format!("owner=helm,name={}", key.name)]).await.unwrap();
        Hook::Done
    }

    async fn plant_object(&self, _: &NamespaceName, object: &str) -> Hook {
        let (kind, name) = parts(object);
        let port = json!({"name": "http", "port": 80});
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": {"ports": [port]}});
        self.namespace.apply(&object).await;
        Hook::Done
    }

    async fn remove_object(&self, _: &ReleaseKey, object: &str) -> Hook {
        let (kind, name) = parts(object);
        self.namespace.delete(kind, name).await;
        Hook::Done
    }

    async fn disturb_object(&self, _: &ReleaseKey, object: &str) -> Hook {
        let (kind, name) = parts(object);
        let ports = json!([{"name": "http", "port": 80, "targetPort": 9999}]);
        self.namespace.patch(kind, name, &json!({"spec": {"ports": ports, "selector": {"app": "another"}}})).await;
        Hook::Done
    }

    async fn break_record(&self, key: &ReleaseKey) -> Hook {
        let newest = self.namespace.list("secrets", &format!("owner=helm,name={}", key.name)).await.pop().unwrap();
        let patch = json!({"data": {"release": BASE64.encode("neither base64 nor anything else")}});
        self.namespace.patch("secret", newest["metadata"]["name"].as_str().unwrap(), &patch).await;
        Hook::Done
    }
}
