//! Two instances of the service on one world.

use dbt_controller_domain::model::ReleaseStatus;
use dbt_controller_domain::ports::{ChartInstaller as _, Cluster as _, ConnectionStore as _, OperationStore as _, Random as _, StoreError};
use dbt_controller_port_contracts::fixtures::{self, fence};

use crate::harness::{apply, is_ready, request, until, world};

#[tokio::test(start_paused = true)]
async fn what_one_instance_does_the_other_sees() {
    let one = world();
    let two = one.clone();
    let desired = request().desired();
    let key = apply(&one, &desired).await;
    assert_eq!(two.installer().list().await.unwrap()[0].status, ReleaseStatus::PendingInstall);
    until(&two, &key, is_ready).await;
    two.cluster().set_replicas(&key, 0, &fence()).await.unwrap();
    until(&one, &key, |state| state.pods.is_empty()).await;
    let connection = fixtures::connection(&desired.key, &desired.connection_id.clone().unwrap());
    one.connections().put(&connection, None, &fence()).await.unwrap();
    assert_eq!(two.connections().list_ours().await.unwrap().len(), 1);
    assert_eq!(one.calls().all(), two.calls().all());
}

#[tokio::test(start_paused = true)]
async fn both_instances_lead_and_one_of_them_takes_the_lock() {
    let world = world();
    let (one, two) = (world.operations(), world.clone().operations());
    assert!(*one.leadership().borrow() && *two.leadership().borrow());
    let key = request().desired().key;
    let mut watch = two.watch(&key.name).await;
    let record = |holder: &str| fixtures::record(&key).running(&fixtures::operation_id(), holder).build();
    let (first, second) =
        tokio::join!(one.compare_and_swap(&key.name, None, record("one")), two.compare_and_swap(&key.name, None, record("two")));
    let conflicts = [&first, &second].iter().filter(|answer| matches!(answer, Err(StoreError::Conflict))).count();
    assert_eq!(conflicts, 1, "{first:?} {second:?}");
    let seen = watch.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!(seen.running.as_ref().unwrap().holder.0, if first.is_ok() { "one" } else { "two" });
}

#[tokio::test(start_paused = true)]
async fn instances_draw_different_ids_from_one_sequence() {
    let world = world();
    let (one, two) = (world.random(), world.clone().random());
    assert!(one.operation_id() < two.operation_id());
    assert_ne!(one.credentials(), two.credentials());
}
