//! A volume that cannot be mounted.

use std::time::Duration;

use dbt_controller_domain::ports::Cluster as _;
use dbt_controller_port_contracts::{ClusterHarness as _, fixtures};
use dbt_controller_tests::until;

use super::cluster::Kubernetes;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_told_while_somebody_waits() {
    let harness = Kubernetes::new().await;
    let desired = fixtures::request("mount", None).namespace(harness.site.namespace.name()).tag("mount-1").desired();
    let key = harness.write_server(&desired).await;
    let watch = harness.cluster.watch(&key).await.unwrap();
    let failure = async || watch.borrow().pods.first()?.volume_failure.clone();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(failure().await, None, "the first tries may fail");
    let failure = until("the failure is told", failure).await;
    assert!(failure.contains("MountVolume.SetUp failed"), "{failure}");
}
