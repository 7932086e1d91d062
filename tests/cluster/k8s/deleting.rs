//! Deleting a StatefulSet: one that somebody makes anew at that moment, and one that was not read yet.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_k8s::KubeCluster;
use dbt_controller_domain::ports::{Cluster as _, ClusterError, Fence};
use dbt_controller_port_contracts::{ClusterHarness as _, FarSide, fixtures};
use dbt_controller_tests::{as_new, until};
use tokio::time::{Instant, timeout};

use super::Site;
use super::cluster::Kubernetes;
use crate::client::WallClock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_took_its_place_meanwhile_is_left_alone() {
    let harness = Kubernetes::new().await;
    let namespace = &harness.site.namespace;
    let desired = fixtures::request("deleting", None).namespace(namespace.name()).desired();
    let key = harness.write_server(&desired).await;
    let name = key.name.as_str();
    let uid = async || namespace.get("statefulset", name).await["metadata"]["uid"].as_str().unwrap().to_owned();
    let before = uid().await;

    // The request is on its way, and arrives when there is another one of that name.
    harness.site.set_far_side(FarSide::Hangs);
    let fence = Fence::new(Duration::from_secs(60), Instant::now());
    let mut deletion = Box::pin(harness.cluster.delete_stateful_set(&key, false, &fence));
    assert!(timeout(Duration::from_secs(1), &mut deletion).await.is_err(), "nobody can have answered");
    let anew = as_new(namespace.get("statefulset", name).await);
    namespace.delete("statefulset", name).await;
    namespace.apply(&anew).await;
    let after = uid().await;
    assert_ne!(before, after);
    harness.site.set_far_side(FarSide::Answers);

    deletion.await.unwrap();
    assert_eq!(uid().await, after);
    let is_shown = async || harness.cluster.server(&key).await.unwrap().stateful_set.is_some().then_some(());
    until("the new one is shown", is_shown).await;
}

#[tokio::test]
async fn what_was_not_read_yet_does_not_count_as_deleted() {
    let site = Site::new().await;
    let key = fixtures::request("deleting", None).namespace(site.namespace.name()).desired().server_key();
    site.set_far_side(FarSide::Down);
    let cluster = KubeCluster::start(site.client.clone(), &[site.name()], Arc::new(WallClock));
    let fence = Fence::new(Duration::from_secs(60), Instant::now());
    for keep_pods in [true, false] {
        let deleted = cluster.delete_stateful_set(&key, keep_pods, &fence).await;
        assert!(matches!(deleted, Err(ClusterError::Unavailable(_))), "{deleted:?}");
    }
    site.set_far_side(FarSide::Answers);
    until("everything was read once", async || cluster.synced().ok()).await;
    cluster.delete_stateful_set(&key, true, &fence).await.unwrap();
}
