//! Planned faults: each kind, for each port.

use std::time::Duration;

use dbt_controller_adapters_memory::{AirflowLink, Call, ClusterLink, Fault, FaultKind, MemoryWorld};
use dbt_controller_domain::model::{ReleaseStatus, Warehouse};
use dbt_controller_domain::naming::NameForm;
use dbt_controller_domain::ports::{
    ChartInstaller as _, Cluster as _, ClusterError, ConnectionError, ConnectionStore as _, Fence, InstallerError, OperationStore as _,
    StoreError,
};
use dbt_controller_port_contracts::fixtures::{self, fence};
use tokio::time::Instant;

use crate::harness::{apply, is_ready, request, until, world};

fn plan(world: &MemoryWorld, method: Call, kind: FaultKind) {
    world.faults().plan(Fault::new(method, 1, kind));
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_not_done() {
    let world = world();
    let desired = request().desired();
    let connection = fixtures::connection(&desired.key, &desired.request.identity.connection_id(NameForm::Plain));
    for method in [Call::InstallerBegin, Call::ClusterSetReplicas, Call::ConnectionsPut, Call::OperationsCompareAndSwap] {
        plan(&world, method, FaultKind::Fail);
    }
    let begun = world.installer().begin(&desired, &fence()).await;
    assert!(matches!(begun, Err(InstallerError::Unavailable(_))), "{begun:?}");
    assert_eq!(world.releases().count(), 0);

    let key = apply(&world, &desired).await;
    until(&world, &key, is_ready).await;
    let scaled = world.cluster().set_replicas(&key, 0, &fence()).await;
    assert!(matches!(scaled, Err(ClusterError::Unavailable(_))), "{scaled:?}");
    assert!(is_ready(&world.servers().get(&key)));

    let put = world.connections().put(&connection, None, &fence()).await;
    assert!(matches!(put, Err(ConnectionError::Unavailable(_))), "{put:?}");
    assert_eq!(world.airflow().count(), 0);

    let swapped = world.operations().compare_and_swap(&desired.key.name, None, fixtures::record(&desired.key).build()).await;
    assert!(matches!(swapped, Err(StoreError::Unavailable(_))), "{swapped:?}");
    assert_eq!(world.operation_records().count(), 0);
    assert_eq!(world.faults().pending(), []);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_a_call_that_was_done() {
    let world = world();
    let desired = request().desired();
    let connection = fixtures::connection(&desired.key, &desired.request.identity.connection_id(NameForm::Plain));
    for method in [
        Call::InstallerBegin,
        Call::InstallerApply,
        Call::InstallerCommit,
        Call::ClusterSetReplicas,
        Call::ConnectionsPut,
        Call::OperationsCompareAndSwap,
    ] {
        plan(&world, method, FaultKind::LoseAnswer);
    }
    let installer = world.installer();
    assert!(matches!(installer.begin(&desired, &fence()).await, Err(InstallerError::Unavailable(_))));
    let handle = installer.begin(&desired, &fence()).await.unwrap();
    assert_eq!(world.releases().history(&desired.key).len(), 1, "a repeated call makes nothing twice");
    assert!(matches!(installer.apply(&handle, &fence()).await, Err(InstallerError::Unavailable(_))));
    assert_eq!(world.releases().objects(&desired.key).len(), 5);
    assert!(matches!(installer.commit(&handle, &fence()).await, Err(InstallerError::Unavailable(_))));
    assert_eq!(world.releases().history(&desired.key)[0].status, ReleaseStatus::Deployed);

    let key = fixtures::server_key(&desired.key);
    assert!(matches!(world.cluster().set_replicas(&key, 0, &fence()).await, Err(ClusterError::Unavailable(_))));
    assert_eq!(world.servers().get(&key).stateful_set.unwrap().replicas, 0);
    assert!(matches!(world.connections().put(&connection, None, &fence()).await, Err(ConnectionError::Unavailable(_))));
    assert_eq!(world.airflow().count(), 1);
    let record = fixtures::record(&desired.key).build();
    let swapped = world.operations().compare_and_swap(&desired.key.name, None, record).await;
    assert!(matches!(swapped, Err(StoreError::Unavailable(_))), "{swapped:?}");
    assert_eq!(world.operation_records().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_lasts_as_long_as_it_may_and_is_not_done() {
    let world = world();
    let desired = request().desired();
    let fence = Fence::new(Duration::from_secs(9), Instant::now());
    for method in [Call::InstallerBegin, Call::InstallerList, Call::ClusterProbe, Call::ConnectionsGet, Call::OperationsRead] {
        plan(&world, method, FaultKind::Hang);
    }
    let begun = Instant::now();
    assert!(matches!(world.installer().begin(&desired, &fence).await, Err(InstallerError::Unavailable(_))));
    assert_eq!(begun.elapsed(), fence.call_limit());
    assert_eq!(world.releases().count(), 0);

    let begun = Instant::now();
    assert!(matches!(world.installer().list().await, Err(InstallerError::Unavailable(_))));
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    let begun = Instant::now();
    assert_eq!(world.cluster().probe(&fixtures::server_key(&desired.key)).await, None);
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    let id = desired.connection_id.clone().unwrap();
    assert!(matches!(world.connections().get(&id).await, Err(ConnectionError::Unavailable(_))));
    assert!(matches!(world.operations().read(&desired.key.name).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hung_until_its_fence_was_down_is_fenced() {
    let world = world();
    plan(&world, Call::InstallerBegin, FaultKind::Hang);
    let fence = fence();
    let down = fence.clone();
    let takes_down = async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        down.take_down();
    };
    let desired = request().desired();
    let installer = world.installer();
    let (begun, ()) = tokio::join!(installer.begin(&desired, &fence), takes_down);
    assert!(matches!(begun, Err(InstallerError::Fenced(_))), "{begun:?}");
    assert_eq!(world.releases().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_call_is_not_done() {
    let world = world();
    let desired = request().desired();
    plan(&world, Call::InstallerBegin, FaultKind::Forbid);
    plan(&world, Call::ClusterHasWarehouseSecret, FaultKind::Forbid);
    plan(&world, Call::ConnectionsCheck, FaultKind::Forbid);
    assert!(matches!(world.installer().begin(&desired, &fence()).await, Err(InstallerError::Forbidden(_))));
    assert_eq!(world.releases().count(), 0);
    let secret = world.cluster().has_warehouse_secret(&fixtures::namespace(), Warehouse::Redshift).await;
    assert!(matches!(secret, Err(ClusterError::Forbidden(_))), "{secret:?}");
    assert!(matches!(world.connections().check().await, Err(ConnectionError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn the_nth_call_is_struck_as_often_as_planned() {
    let world = world();
    world.installer().list().await.unwrap();
    // Counted from now on.
    world.faults().plan(Fault::new(Call::InstallerList, 2, FaultKind::Fail).times(2));
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(world.installer().list().await.is_ok());
    }
    assert_eq!(answers, [true, false, false, true, true]);
    assert_eq!(world.calls().count(Call::InstallerList), 6);
    assert_eq!(world.calls().all(), [(Call::InstallerList, 6)]);

    world.faults().plan(Fault::new(Call::InstallerList, 7, FaultKind::Fail));
    assert_eq!(world.faults().pending().len(), 1, "a test can see that what it planned was never struck");
    world.faults().clear();
    assert!(world.faults().pending().is_empty());
}

#[tokio::test(start_paused = true)]
async fn calls_that_cannot_fail_show_a_fault_in_their_own_way() {
    let world = world();
    let key = apply(&world, &request().desired()).await;
    for method in [Call::ClusterAutopsy, Call::ClusterProbe, Call::OperationsWatch] {
        plan(&world, method, FaultKind::Fail);
    }
    assert_eq!(world.cluster().autopsy(&key).await.gaps.len(), 1);
    assert_eq!(world.cluster().probe(&key).await, None);
    let mut watch = world.operations().watch(&request().desired().key.name).await;
    assert!(watch.changed().await.is_err(), "its sender is gone");
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_ends_and_the_next_one_stands() {
    let world = world();
    let key = apply(&world, &request().desired()).await;
    let mut watch = world.cluster().watch(&key).await.unwrap();
    world.servers().break_watches(&key);
    let ends = async { while watch.changed().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(1), ends).await.expect("the watch ends");
    until(&world, &key, is_ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_cluster_answers_from_memory_only() {
    let world = world();
    let desired = request().desired();
    let key = apply(&world, &desired).await;
    world.set_cluster_link(ClusterLink::Lost);
    assert!(matches!(world.cluster().check().await, Err(ClusterError::Unavailable(_))));
    assert!(matches!(world.installer().get(&desired.key, None).await, Err(InstallerError::Unavailable(_))));
    assert!(matches!(world.operations().read(&desired.key.name).await, Err(StoreError::Unavailable(_))));
    assert_eq!(world.installer().list().await.unwrap().len(), 1);
    assert!(world.cluster().server(&key).await.unwrap().stateful_set.is_some());
    assert!(world.connections().check().await.is_ok(), "Airflow is another system");

    world.set_cluster_link(ClusterLink::NeverSynced);
    assert!(matches!(world.installer().list().await, Err(InstallerError::Unavailable(_))));
    assert!(matches!(world.cluster().watch(&key).await, Err(ClusterError::Unavailable(_))));
    assert!(matches!(world.operations().list().await, Err(StoreError::Unavailable(_))));

    world.set_cluster_link(ClusterLink::Up);
    until(&world, &key, is_ready).await;
    world.cluster().check().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_airflow_that_is_down_or_refuses_says_so() {
    let world = world();
    let store = world.connections();
    let id = request().desired().connection_id.unwrap();
    world.set_airflow_link(AirflowLink::Down);
    assert!(matches!(store.check().await, Err(ConnectionError::Unavailable(_))));
    world.set_airflow_link(AirflowLink::RefusesUs);
    assert!(matches!(store.check().await, Err(ConnectionError::Refused(_))));
    world.set_airflow_link(AirflowLink::RoleTooLow);
    assert!(!store.check().await.unwrap().role_sufficient);
    assert!(matches!(store.get(&id).await, Err(ConnectionError::Refused(_))));
    assert!(store.dags(&request().desired().key.name).await.is_ok(), "Airflow's viewers may see DAGs");
    world.cluster().check().await.unwrap();
    world.set_airflow_link(AirflowLink::Up);
    assert_eq!(store.get(&id).await.unwrap(), None);
}
