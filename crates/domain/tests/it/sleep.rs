//! Servers that sleep: by a suspend, by somebody else, and what wakes them.

use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind};
use dbt_controller_domain::model::*;
use dbt_controller_domain::ports::ConnectionStore as _;
use dbt_controller_port_contracts::fixtures;

use crate::stage::{NAME, Stage, caller, code, main_request, revision, server, statuses, target};

/// A deployment whose server sleeps.
async fn asleep() -> Stage {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    assert!(stage.world.servers().scale(&server(NAME), 0));
    stage
}

async fn phase(stage: &Stage) -> ServerPhase {
    stage.controller.inspect(&target(NAME)).await.unwrap().server.phase
}

#[tokio::test(start_paused = true)]
async fn a_server_sleeps_and_wakes() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let controller = &stage.controller;
    let suspended = controller.suspend(&target(NAME), false, caller()).await.unwrap();
    assert_eq!(controller.wait(&suspended).await.unwrap().outcome, Ok(Success::Suspended));
    assert_eq!(stage.world.servers().pods(), 0);
    assert_eq!(phase(&stage).await, ServerPhase::Sleeping);

    let resumed = controller.resume(&target(NAME), caller()).await.unwrap();
    assert_eq!(controller.wait(&resumed).await.unwrap().outcome, Ok(Success::Resumed));
    assert_eq!(phase(&stage).await, ServerPhase::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_deploy_wakes_a_sleeping_server_changed_or_not() {
    for tag in ["v1", "v2"] {
        let stage = asleep().await;
        revision(stage.deploy(main_request(tag)).await);
        assert_eq!(phase(&stage).await, ServerPhase::Ready, "{tag}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_an_equal_deploy_woke_sleeps_again_when_it_fails() {
    let stage = asleep().await;
    // Somebody has deleted it, and it cannot be made again.
    stage.world.airflow().delete(&"test_project_main".parse().unwrap());
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Forbid).times(100));
    let failure = stage.deploy(main_request("v1")).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::AirflowRefused, UndoOutcome::Undone), "{failure}");
    assert_eq!(phase(&stage).await, ServerPhase::Sleeping);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_somebody_upgraded_meanwhile_is_not_put_to_sleep() {
    let stage = asleep().await;
    stage.world.airflow().delete(&"test_project_main".parse().unwrap());
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Fail).times(1000));
    let somebody = async {
        stage.next(Call::ConnectionsPut).await;
        stage.world.releases().deploy(&fixtures::desired(main_request("v2"))).unwrap();
    };
    let (outcome, ()) = tokio::join!(stage.deploy(main_request("v1")), somebody);
    assert!(outcome.is_err(), "{outcome:?}");
    assert_ne!(phase(&stage).await, ServerPhase::Sleeping);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_somebody_puts_to_sleep_during_the_wait_is_not_called_ready() {
    let stage = Stage::new();
    let ticket = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    let mut views = stage.controller.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Ready).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(stage.world.servers().scale(&server(NAME), 0));
    let failure = stage.controller.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!(failure.code, FailureCode::PutToSleep);
    assert_eq!(statuses(&stage), [(1, ReleaseStatus::Deployed)]);
    let connection = stage.world.connections().get(&"test_project_main".parse().unwrap()).await.unwrap();
    assert!(connection.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_put_to_sleep_just_before_the_wait_is_not_waited_for() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let ticket = stage.controller.deploy(main_request("v2"), caller()).await.unwrap();
    let mut views = stage.controller.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Apply).await.unwrap();
    assert!(stage.world.servers().scale(&server(NAME), 0));
    assert_eq!(code(stage.controller.wait(&ticket).await.unwrap().outcome.clone()), FailureCode::PutToSleep);
}
