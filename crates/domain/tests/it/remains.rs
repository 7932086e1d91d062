//! What is left of a first deployment whose undo could not remove it: a debt, until the background work has, or it is somebody else's.

use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind};
use dbt_controller_domain::model::*;

use crate::stage::{NAME, Stage, background_for, caller, code, key, main_request, revision, server, target};

const MINUTE: Duration = Duration::from_secs(60);

/// A first deployment whose undo could not remove its release.
async fn left_behind(stage: &Stage) {
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
    stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 1, FaultKind::Forbid));
    let failure = stage.deploy(main_request("v1")).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{failure}");
    assert!(stage.world.releases().get(&key(NAME)).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_could_not_be_removed_is_removed_by_itself() {
    let stage = Stage::new();
    left_behind(&stage).await;
    assert_eq!(stage.debts().await.len(), 1);
    background_for(stage.controller.clone(), MINUTE).await;
    stage.assert_nothing_left();
    assert_eq!(stage.debts().await, []);
}

#[tokio::test(start_paused = true)]
async fn its_claim_goes_with_the_undo_of_the_next_deployment() {
    let stage = Stage::new();
    left_behind(&stage).await;
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
    assert_eq!(stage.deploy(main_request("v2")).await.unwrap_err().undo, UndoOutcome::Undone);
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn it_is_the_next_ones_when_that_goes_well() {
    let stage = Stage::new();
    left_behind(&stage).await;
    revision(stage.deploy(main_request("v2")).await);
    assert_eq!(stage.debts().await, [], "nobody has to look before it is void");
    background_for(stage.controller.clone(), MINUTE).await;
    assert!(stage.world.releases().get(&key(NAME)).is_some());
    assert_eq!(stage.world.claims().of(&server(NAME)).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_claims_of_before_stay_when_it_is_removed_by_itself() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    assert!(stage.world.releases().uninstall(&key(NAME), false));
    left_behind(&stage).await;
    background_for(stage.controller.clone(), MINUTE).await;
    assert!(stage.world.releases().get(&key(NAME)).is_none());
    assert_eq!(stage.world.claims().of(&server(NAME)).len(), 1, "a human kept it");
    assert_eq!(stage.debts().await, []);
}

#[tokio::test(start_paused = true)]
async fn it_is_left_to_a_human_who_brings_it_back() {
    let stage = Stage::new();
    left_behind(&stage).await;
    let brought_back = stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap();
    background_for(stage.controller.clone(), MINUTE).await;
    assert_eq!(stage.world.releases().get(&key(NAME)).unwrap().summary.revision, brought_back);
    assert_eq!(stage.debts().await, []);
}

/// As what is owed of connections is.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_first_deployments_again_and_again_is_owed_once() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 1, FaultKind::Forbid).times(1000));
    for _ in 0..20 {
        stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
        assert_eq!(code(stage.deploy(main_request("v1")).await), FailureCode::RollbackFailed);
    }
    assert_eq!(stage.debts().await.len(), 1);
    stage.world.faults().clear();
    background_for(stage.controller.clone(), MINUTE).await;
    stage.assert_nothing_left();
}

/// They are not taken for those of a deployment that is going to stay.
#[tokio::test(start_paused = true)]
async fn what_else_is_owed_of_a_first_deployment_goes_with_it() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::ConnectionsDelete, 1, FaultKind::Forbid));
    // Not at the first payment either.
    stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 2, FaultKind::Forbid));
    left_behind(&stage).await;
    assert_eq!(stage.debts().await.len(), 2);
    background_for(stage.controller.clone(), MINUTE).await;
    stage.assert_nothing_left();

    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.faults().plan(Fault::new(Call::ClusterDeleteClaims, 1, FaultKind::Forbid));
    assert_eq!(code(stage.delete(NAME).await), FailureCode::ClaimsNotDeleted);
    left_behind(&stage).await;
    background_for(stage.controller.clone(), MINUTE).await;
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn it_is_left_to_a_human_who_keeps_its_history() {
    let stage = Stage::new();
    left_behind(&stage).await;
    assert!(stage.world.releases().uninstall(&key(NAME), true));
    background_for(stage.controller.clone(), MINUTE).await;
    assert_eq!(stage.world.releases().history(&key(NAME)).len(), 1);
    assert_eq!(stage.debts().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_a_delete_cancelled_and_could_not_remove_is_removed_by_itself() {
    let stage = Stage::new();
    let ticket = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    stage.next(Call::InstallerApply).await;
    stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 1, FaultKind::Forbid));
    assert!(stage.delete(NAME).await.is_err());
    assert_eq!(code(stage.controller.wait(&ticket).await.unwrap().outcome.clone()), FailureCode::Cancelled);
    background_for(stage.controller.clone(), MINUTE).await;
    stage.assert_nothing_left();
    assert_eq!(stage.debts().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_a_human_keeps_of_it_is_not_taken_by_the_undo_of_the_next_one() {
    let stage = Stage::new();
    left_behind(&stage).await;
    assert!(stage.world.releases().uninstall(&key(NAME), true));
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
    assert_eq!(stage.deploy(main_request("v2")).await.unwrap_err().undo, UndoOutcome::Undone);
    background_for(stage.controller.clone(), MINUTE).await;
    assert_eq!(stage.world.claims().of(&server(NAME)).len(), 1);
    assert_eq!(stage.debts().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_a_human_keeps_of_it_stays_when_the_next_one_cannot_be_removed_either() {
    let stage = Stage::new();
    left_behind(&stage).await;
    assert!(stage.world.releases().uninstall(&key(NAME), true));
    left_behind(&stage).await;
    background_for(stage.controller.clone(), MINUTE).await;
    assert!(stage.world.releases().get(&key(NAME)).is_none());
    assert_eq!(stage.world.claims().of(&server(NAME)).len(), 1);
    assert_eq!(stage.debts().await, []);
}

/// Its caller was told that it failed.
#[tokio::test(start_paused = true)]
async fn one_whose_commit_was_without_an_answer_is_nothing_to_go_back_to() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::LoseAnswer).times(1000));
    stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 1, FaultKind::Forbid));
    assert_eq!(code(stage.deploy(main_request("v1")).await), FailureCode::RollbackFailed);
    assert_eq!(stage.world.releases().get(&key(NAME)).unwrap().summary.status, ReleaseStatus::Deployed);
    stage.world.faults().clear();
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
    assert_eq!(stage.deploy(main_request("v2")).await.unwrap_err().undo, UndoOutcome::Undone);
    stage.assert_nothing_left();
    background_for(stage.controller.clone(), MINUTE).await;
    assert_eq!(stage.debts().await, []);
}

/// The undo goes on for minutes when the cluster does not take it; whoever helps by hand meanwhile is not undone.
#[tokio::test(start_paused = true)]
async fn what_a_human_brings_back_between_two_tries_of_the_undo_is_left_alone() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
    stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 1, FaultKind::Fail).times(3));
    let human = async {
        stage.next(Call::InstallerUninstall).await;
        stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap()
    };
    let (failed, brought_back) = tokio::join!(stage.deploy(main_request("v1")), human);
    let failure = failed.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{failure}");
    assert!(failure.message.contains("the release is left as it is: somebody else wrote its revision 2"), "{failure}");
    background_for(stage.controller.clone(), MINUTE).await;
    assert_eq!(stage.world.releases().get(&key(NAME)).unwrap().summary.revision, brought_back);
    assert_eq!((stage.world.claims().of(&server(NAME)).len(), stage.debts().await), (1, Vec::new()));
}

/// The delete looks for it, but may not get so far.
#[tokio::test(start_paused = true)]
async fn the_connection_of_a_deploy_that_a_failing_delete_cancelled_goes_too() {
    let stage = Stage::new();
    // It is connected, and cannot be committed.
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Fail).times(1000));
    let ticket = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    stage.next(Call::InstallerCommit).await;
    assert_eq!(stage.world.airflow().ours().len(), 1);
    let deleting = stage.controller.delete(&target(NAME), caller()).await.unwrap();
    stage.world.faults().plan(Fault::new(Call::InstallerGet, 1, FaultKind::Fail).times(4));
    assert_eq!(code(stage.controller.wait(&ticket).await.unwrap().outcome.clone()), FailureCode::Cancelled);
    assert!(stage.controller.wait(&deleting).await.unwrap().outcome.is_err());
    stage.world.faults().clear();
    background_for(stage.controller.clone(), MINUTE).await;
    stage.assert_nothing_left();
    assert_eq!((stage.world.airflow().ours().len(), stage.debts().await), (0, Vec::new()));
}
