//! `KubeOperationStore` keeps every promise of `OperationStore`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_adapters_k8s::{KubeOperationStore, StoreSettings};
use dbt_controller_domain::Identity;
use dbt_controller_domain::model::Namespace as NamespaceName;
use dbt_controller_domain::ports::{OperationStore, StoreError};
use dbt_controller_port_contracts::{FarSide, Harness, Hook, OperationHarness, fixtures, operation_store};
use dbt_controller_tests::until;
use serde_json::json;

use super::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operation_store_keeps_the_contract() {
    operation_store(&Kubernetes::new().await).await.assert_kept_and_complete();
}

#[tokio::test]
async fn a_record_is_a_secret_of_its_own_kind_that_helm_does_not_see() {
    let site = Site::new().await;
    let store = store(&site).await;
    let key = fixtures::release_key(&site.name(), &Identity::parse("a", Some("main")).unwrap());
    store.compare_and_swap(&key.name, None, fixtures::record(&key).waiting().build()).await.unwrap();
    let secret = site.namespace.get("secret", "dbt-controller-op.dbt-server-a-main").await;
    assert_eq!(secret["type"], "dbt-controller/operation.v1");
    assert_eq!(secret["metadata"]["labels"], json!(null));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_other_and_is_not_overwritten() {
    let site = Site::new().await;
    let store = store(&site).await;
    let key = |project| fixtures::release_key(&site.name(), &Identity::parse(project, None).unwrap());
    let (damaged, whole) = (key("damaged"), key("whole"));
    let record = |key| fixtures::record(key).waiting().build();
    let version = store.compare_and_swap(&damaged.name, None, record(&damaged)).await.unwrap();
    store.compare_and_swap(&whole.name, None, record(&whole)).await.unwrap();

    let newer = json!({"stringData": {"record": r#"{"schema": 99}"#}});
    site.namespace.patch("secret", "dbt-controller-op.dbt-server-damaged", &newer).await;
    let only_the_whole = async || {
        let list = store.list().await.unwrap();
        (list.len() == 1 && list[0].record.key == whole).then_some(())
    };
    until("the damage is seen", only_the_whole).await;
    let read = store.read(&damaged.name).await;
    assert!(matches!(&read, Err(StoreError::Unreadable(reason)) if reason.contains("newer version")), "{read:?}");
    for expected in [None, Some(version)] {
        let written = store.compare_and_swap(&damaged.name, expected, record(&damaged)).await;
        assert!(matches!(written, Err(StoreError::Conflict | StoreError::Unreadable(_))), "{written:?}");
    }
    let secret = site.namespace.get("secret", "dbt-controller-op.dbt-server-damaged").await;
    assert_eq!(secret["data"]["record"], "eyJzY2hlbWEiOiA5OX0=");
    assert!(store.watch(&damaged.name).await.borrow().is_none());
}

async fn store(site: &Site) -> Arc<KubeOperationStore> {
    let settings = StoreSettings::new(Duration::from_secs(30));
    let store = Arc::new(KubeOperationStore::start(site.client.clone(), &site.name(), settings));
    until("everything was read once", async || store.synced().ok()).await;
    store
}

struct Kubernetes {
    site: Site,
    replicas: [Arc<KubeOperationStore>; 2],
}

impl Kubernetes {
    async fn new() -> Self {
        let site = Site::new().await;
        let replicas = [store(&site).await, store(&site).await];
        Self { site, replicas }
    }
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
impl OperationHarness for Kubernetes {
    fn operations(&self) -> Arc<dyn OperationStore> {
        Arc::clone(&self.replicas[0]) as Arc<dyn OperationStore>
    }

    fn other_replica(&self) -> Option<Arc<dyn OperationStore>> {
        Some(Arc::clone(&self.replicas[1]) as Arc<dyn OperationStore>)
    }

    fn clock_resolution(&self) -> Duration {
        Duration::from_secs(1)
    }
}
