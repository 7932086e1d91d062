//! `KubeCluster` keeps every promise of `Cluster`, with kubectl as the human.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_adapters_k8s::KubeCluster;
use dbt_controller_domain::model::{DesiredRelease, Namespace as NamespaceName, ServerKey, Warehouse};
use dbt_controller_domain::ports::{Cluster, ClusterError};
use dbt_controller_kube_access::annotations::{HELM_RELEASE_NAME, HELM_RELEASE_NAMESPACE};
use dbt_controller_kube_access::{Barrier as _, ObjectKey, identity_annotations};
use dbt_controller_port_contracts::fixtures::fence;
use dbt_controller_port_contracts::{ClusterHarness, FarSide, Harness, Hook, cluster};
use dbt_controller_tests::until;
use serde_json::{Value, json};

use super::Site;
use crate::client::WallClock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_keeps_the_contract() {
    let harness = Kubernetes::new().await;
    let report = cluster(&harness).await;
    report.assert_kept();
    // kwok's servers are objects that nobody runs.
    assert_eq!(report.skipped(), [("a_ready_server_answers_its_probe", "servers_answer")]);
}

/// Nothing is seen of a namespace that is not watched, which does not mean that nothing is there: a claim that is owed there stays owed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_of_a_namespace_that_is_not_watched() {
    let harness = Kubernetes::new().await;
    let key = ServerKey { namespace: "elsewhere".parse().unwrap(), name: "dbt-server-a".parse().unwrap() };
    let refused = |told: Option<ClusterError>| match told {
        Some(ClusterError::Forbidden(reason)) => {
            assert!(reason.contains("`elsewhere`") && reason.contains("ALLOWED_NAMESPACES"), "{reason}")
        }
        other => panic!("not refused: {other:?}"),
    };
    refused(harness.cluster.server(&key).await.err());
    refused(harness.cluster.claims(&key).await.err());
    refused(harness.cluster.claims_now(&key).await.err());
    refused(harness.cluster.delete_claims(&key, &["dbt-server-a-dbt-server-a-0".to_owned()], &fence()).await.err());
}

pub(super) struct Kubernetes {
    pub(super) site: Site,
    pub(super) cluster: Arc<KubeCluster>,
    /// The StatefulSets that were written.
    written: Mutex<HashMap<ServerKey, Value>>,
    /// The server whose pods a quota refuses.
    refused: Mutex<Option<ServerKey>>,
}

const QUOTA: &str = "refuses-pods";
/// How often is looked.
const POLL: Duration = Duration::from_millis(50);

impl Kubernetes {
    pub(super) async fn new() -> Self {
        let site = Site::new().await;
        let cluster = Arc::new(KubeCluster::start(site.client.clone(), &[site.name()], Arc::new(WallClock)));
        until("everything was read once", async || cluster.synced().ok()).await;
        Self { site, cluster, written: Mutex::default(), refused: Mutex::default() }
    }

    /// Writes a StatefulSet and returns when the adapter has seen it, as an installer does.
    async fn write(&self, key: &ServerKey, set: Value) {
        let written = self.site.namespace.apply(&set).await;
        self.written.lock().unwrap().insert(key.clone(), set);
        let version = written["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let object = ObjectKey::new(key.namespace.as_str(), key.name.as_str());
        self.cluster.seen("StatefulSet", &object, &version, Duration::from_secs(10)).await.unwrap();
    }

    async fn refuse_no_more(&self, key: &ServerKey) {
        let is_other = self.refused.lock().unwrap().take_if(|refused| refused != key).is_some();
        if is_other {
            self.site.namespace.delete("resourcequota", QUOTA).await;
        }
    }
}

/// A StatefulSet of the shape that releases have.
fn stateful_set(desired: &DesiredRelease) -> Value {
    let (name, request) = (desired.server.as_str(), &desired.request);
    let selector = json!({"app.kubernetes.io/instance": desired.key.name.as_str()});
    let mut labels = selector.clone();
    labels["app"] = json!("fastbi-dbt-project-runner");
    let annotations = json!(identity_annotations(&request.identity));
    let mut of_release = annotations.clone();
    of_release[HELM_RELEASE_NAME] = json!(desired.key.name.as_str());
    of_release[HELM_RELEASE_NAMESPACE] = json!(desired.key.namespace.as_str());
    let storage = request.resources.storage_size.as_str();
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "labels": labels, "annotations": of_release},
        "spec": {
            "serviceName": name,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 60,
                    "containers": [
                        {"name": "dbt-server", "image": request.image.to_string(), "volumeMounts": [{"name": name, "mountPath": "/data"}]},
                        {"name": "dbt-server-nginx-proxy", "image": "nginx:1.29"},
                    ],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": name, "labels": labels, "annotations": annotations},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}},
            }],
        },
    })
}

#[async_trait]
impl Harness for Kubernetes {
    fn namespace(&self) -> NamespaceName {
        self.site.name()
    }

    async fn set_far_side(&self, far_side: FarSide) -> Hook {
        self.site.set_far_side(far_side);
        Hook::Done
    }
}

#[async_trait]
impl ClusterHarness for Kubernetes {
    fn cluster(&self) -> Arc<dyn Cluster> {
        Arc::clone(&self.cluster) as Arc<dyn Cluster>
    }

    async fn write_server(&self, desired: &DesiredRelease) -> ServerKey {
        let key = desired.server_key();
        self.refuse_no_more(&key).await;
        let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
        let selector = json!({"app.kubernetes.io/instance": desired.key.name.as_str()});
        let metadata = json!({"name": key.name.as_str()});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": selector, "ports": ports}});
        self.site.namespace.apply(&service).await;
        self.write(&key, stateful_set(desired)).await;
        key
    }

    fn crashing_tag(&self) -> Option<String> {
        Some("crash-1".to_owned())
    }

    async fn set_warehouse_secret(&self, _: &NamespaceName, warehouse: Warehouse, exists: bool) -> Hook {
        let name = warehouse.secret_name();
        if exists {
            self.site.namespace.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}})).await;
        } else {
            self.site.namespace.delete("secret", &name).await;
        }
        Hook::Done
    }

    /// Until the next server is written: a quota is for a whole namespace.
    async fn refuse_pods(&self, key: &ServerKey) -> Hook {
        *self.refused.lock().unwrap() = Some(key.clone());
        let spec = json!({"hard": {"requests.memory": "1", "pods": "0"}});
        self.site.namespace.apply(&json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": QUOTA}, "spec": spec})).await;
        // Before it is in force, it refuses in other words. The suite's own limit ends this.
        while !self.site.namespace.get("resourcequota", QUOTA).await["status"]["hard"].is_object() {
            tokio::time::sleep(POLL).await;
        }
        Hook::Done
    }

    /// The class of a claim cannot be changed, so the server and its claim are made again.
    async fn forbid_growth(&self, key: &ServerKey) -> Hook {
        let mut set = self.written.lock().unwrap().get(key).cloned().unwrap();
        let namespace = &self.site.namespace;
        let claim = format!("{0}-{0}-0", key.name);
        namespace.run(&["delete", "statefulset", key.name.as_str(), "--cascade=foreground"]).await.unwrap();
        namespace.delete("persistentvolumeclaim", &claim).await;
        set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!("kwok-fixed");
        self.write(key, set).await;
        while self.cluster.claims(key).await.unwrap().iter().filter(|claim| claim.phase == "Bound").count() != 1 {
            tokio::time::sleep(POLL).await;
        }
        Hook::Done
    }

    async fn human_scales(&self, key: &ServerKey, replicas: u32) -> Hook {
        self.site.namespace.run(&["scale", "statefulset", key.name.as_str(), &format!("--replicas={replicas}")]).await.unwrap();
        Hook::Done
    }
}
