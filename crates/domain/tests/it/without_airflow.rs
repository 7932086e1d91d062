//! The service is started without an Airflow, or with one again: what it could not do there is owed.

use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind, MemoryWorld};
use dbt_controller_domain::model::*;

use crate::freezing::Freezing;
use crate::stage::{
    NAME, background_for, caller, connection, deploy, key, main_request, replica, replica_with, revision, server, settings, target,
    with_password, world,
};

#[tokio::test(start_paused = true)]
async fn a_delete_without_airflow_remembers_the_connection_of_when_there_was_one() {
    let world = world();
    revision(deploy(&replica(&world, world.operations(), settings()), main_request("v1")).await);
    let without = replica_with(&world, world.operations(), None, settings());
    let ticket = without.delete(&target(NAME), crate::stage::caller()).await.unwrap();
    let Ok(Success::Deleted { connection: report, .. }) = without.wait(&ticket).await.unwrap().outcome.clone() else { panic!() };
    assert_eq!(report.status, ConnectionOutcome::NotConfigured);
    let writes = world.calls().count(Call::OperationsCompareAndSwap);
    background_for(without, Duration::from_secs(600)).await;
    assert_eq!(world.calls().count(Call::OperationsCompareAndSwap), writes, "what cannot be paid is not tried");

    let with = replica(&world, world.operations(), settings());
    background_for(with, Duration::from_secs(60)).await;
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_change_without_airflow_keeps_the_connection_on_record() {
    let world = world();
    revision(deploy(&replica(&world, world.operations(), settings()), main_request("v1")).await);
    let without = replica_with(&world, world.operations(), None, settings());
    revision(deploy(&without, main_request("v2")).await);
    let ticket = without.delete(&target(NAME), crate::stage::caller()).await.unwrap();
    assert!(without.wait(&ticket).await.unwrap().outcome.is_ok());
    let with = replica(&world, world.operations(), settings());
    background_for(with, Duration::from_secs(60)).await;
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

/// Runs the background work of a replica that has the Airflow.
async fn airflow_is_back(world: &MemoryWorld) {
    let with = replica(world, world.operations(), settings());
    background_for(with, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_changed_without_airflow_is_written_when_there_is_one_again() {
    let world = world();
    let with = replica(&world, world.operations(), settings());
    revision(deploy(&with, with_password("v1", "password-one")).await);
    let without = replica_with(&world, world.operations(), None, settings());
    for (tag, password) in [("v2", "password-one"), ("v2", "password-two"), ("v3", "password-two"), ("v3", "password-three")] {
        revision(deploy(&without, with_password(tag, password)).await);
    }
    let debts = without.operations().await.unwrap().iter().map(|view| view.debts.len()).sum::<usize>();
    assert_eq!(debts, 1, "it is owed once");
    let password = || world.airflow().login(&connection()).unwrap().1;
    assert_eq!(password(), "password-one");
    airflow_is_back(&world).await;
    assert_eq!(password(), "password-three");
    assert!(with.operations().await.unwrap().iter().all(|view| view.debts.is_empty()));
}

/// A deploy that is committed and then ends as a failure: somebody has put the server to sleep.
#[tokio::test(start_paused = true)]
async fn a_login_that_is_changed_without_airflow_is_owed_also_when_the_server_sleeps_at_the_end() {
    let world = world();
    revision(deploy(&replica(&world, world.operations(), settings()), with_password("v1", "password-one")).await);
    let without = replica_with(&world, world.operations(), None, settings());
    let sleeps = async {
        while world.calls().count(Call::InstallerApply) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(world.servers().scale(&server(NAME), 0));
    };
    let failure = tokio::join!(deploy(&without, with_password("v2", "password-two")), sleeps).0.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::PutToSleep, UndoOutcome::LeftAsIs), "{failure}");
    airflow_is_back(&world).await;
    assert_eq!(world.airflow().login(&connection()).unwrap().1, "password-two");
}

/// A replica with an Airflow dies in the undo of a first deploy, which cannot take the connection back; the one that goes on has none.
#[tokio::test(start_paused = true)]
async fn a_connection_that_a_service_without_airflow_cannot_take_back_is_owed() {
    let world = world();
    let store = Freezing::new(world.operations());
    let with = replica(&world, store.clone(), settings());
    world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::LoseAnswer));
    world.faults().plan(Fault::new(Call::ConnectionsPut, 2, FaultKind::Fail).times(1_000));
    world.faults().plan(Fault::new(Call::ConnectionsDelete, 1, FaultKind::Fail).times(1_000));
    let ticket = with.deploy(main_request("v1"), caller()).await.unwrap();
    let mut views = with.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Undo).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    store.freeze(true);

    let without = replica_with(&world, world.operations(), None, settings());
    let survivor = without.clone();
    let background = tokio::spawn(async move { survivor.run_background().await });
    let failure = without.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    background.abort();
    assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{failure}");
    assert!(failure.message.contains("the service runs without Airflow now"), "{failure}");
    assert_eq!(world.leftovers().len(), 1, "the connection");

    world.faults().clear();
    let again = replica(&world, world.operations(), settings());
    background_for(again, Duration::from_secs(60)).await;
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_login_is_written_when_a_replica_with_airflow_goes_on_with_a_deploy_that_was_begun_without() {
    let world = world();
    let with = replica(&world, world.operations(), settings());
    revision(deploy(&with, with_password("v1", "password-one")).await);
    let store = Freezing::new(world.operations());
    let without = replica_with(&world, store.clone(), None, settings());
    let ticket = without.deploy(with_password("v2", "password-two"), caller()).await.unwrap();
    let mut views = without.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Ready).await.unwrap();
    store.freeze(true);
    let survivor = with.clone();
    let background = tokio::spawn(async move { survivor.run_background().await });
    assert_eq!(revision(with.wait(&ticket).await.unwrap().outcome.clone()), 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    background.abort();
    assert_eq!(world.airflow().login(&connection()).unwrap().1, "password-two");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_was_made_without_airflow_is_registered_by_its_next_post() {
    let world = world();
    revision(deploy(&replica_with(&world, world.operations(), None, settings()), main_request("v1")).await);
    assert_eq!(world.airflow().count(), 0);
    let with = replica(&world, world.operations(), settings());
    revision(deploy(&with, main_request("v1")).await);
    let login = world.releases().get(&key(NAME)).unwrap().credentials.unwrap();
    assert_eq!(world.airflow().login(&connection()).unwrap().0, login.user);
    let ticket = with.delete(&target(NAME), caller()).await.unwrap();
    assert!(with.wait(&ticket).await.unwrap().outcome.is_ok());
    assert_eq!(world.leftovers(), Vec::<String>::new());
}
