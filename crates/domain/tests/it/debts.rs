//! What an operation had to leave: it is on its record, and is paid when it can be.

use std::time::Duration;

use dbt_controller_adapters_memory::{AirflowLink, Call, Fault, FaultKind, ForeignConnection};
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::ConnectionId;

use crate::stage::{NAME, Stage, background_for, code, connection, key, main_request, replica, revision, server, settings, with_password};

/// User and password of the connection in Airflow.
fn login(stage: &Stage) -> Credentials {
    let (user, password) = stage.world.airflow().login(&connection()).unwrap();
    Credentials { user, password: password.into() }
}

fn password(stage: &Stage) -> String {
    stage.world.airflow().login(&connection()).unwrap().1
}

/// A deployment to which an undo could not give its old login back. Returns that.
async fn owed_a_login(stage: &Stage) -> Credentials {
    revision(stage.deploy(main_request("v1")).await);
    let old = login(stage);
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 2, FaultKind::Forbid));
    assert_eq!(stage.deploy(with_password("v1", "another-password")).await.unwrap_err().undo, UndoOutcome::Failed);
    assert_eq!(password(stage), "another-password");
    old
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_airflow_could_not_remove_is_removed_when_it_is_back() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.set_airflow_link(AirflowLink::Down);
    let Ok(Success::Deleted { connection, .. }) = stage.delete(NAME).await else { panic!("not deleted") };
    assert_eq!(connection.status, ConnectionOutcome::Error);
    let next = replica(&stage.world, stage.world.operations(), settings());
    let background = tokio::spawn(async move { next.run_background().await });
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert_eq!(stage.world.leftovers().len(), 1, "the debt outlives the retention");
    stage.world.set_airflow_link(AirflowLink::Up);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.world.leftovers(), Vec::<String>::new());
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert_eq!(stage.world.operation_records().count(), 0, "a paid debt is forgotten like any other ended operation");
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn a_debt_is_void_when_the_deployment_is_back() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.set_airflow_link(AirflowLink::Down);
    stage.delete(NAME).await.unwrap();
    assert_eq!(code(stage.deploy(main_request("v1")).await), FailureCode::AirflowUnavailable);
    stage.world.set_airflow_link(AirflowLink::Up);
    revision(stage.deploy(main_request("v1")).await);
    background_for(stage.controller.clone(), Duration::from_secs(60)).await;
    assert!(stage.world.releases().get(&key(NAME)).is_some());
    assert_eq!(stage.world.airflow().count(), 1, "the new deployment keeps its connection");
    assert_eq!(stage.debts().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_delete_without_a_record_owes_the_connections_that_name_the_release() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    assert!(stage.world.releases().uninstall(&key(NAME), false));
    stage.world.set_airflow_link(AirflowLink::Down);
    assert!(stage.delete(NAME).await.is_ok());
    stage.world.set_airflow_link(AirflowLink::Up);
    background_for(stage.controller.clone(), Duration::from_secs(600)).await;
    assert_eq!(stage.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_debt_is_paid_where_it_was_made_also_when_the_name_has_moved() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.faults().plan(Fault::new(Call::ClusterDeleteClaims, 1, FaultKind::Forbid));
    assert_eq!(code(stage.delete(NAME).await), FailureCode::ClaimsNotDeleted);
    revision(stage.deploy(DeployRequest { namespace: "data".parse().unwrap(), ..main_request("v1") }).await);
    background_for(stage.controller.clone(), Duration::from_secs(600)).await;
    assert_eq!(stage.debts().await, []);
    assert!(stage.world.claims().of(&server(NAME)).is_empty());
}

#[tokio::test(start_paused = true)]
async fn claims_that_a_cluster_which_is_away_kept_go_with_the_same_delete_sent_again() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.faults().plan(Fault::new(Call::ClusterDeleteClaims, 1, FaultKind::Fail).times(1000));
    let failure = stage.delete(NAME).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ClusterUnavailable);
    assert!(failure.message.contains("the deployment is removed") && !failure.message.contains("rights"), "{}", failure.message);
    stage.world.faults().clear();
    assert!(stage.delete(NAME).await.is_ok());
    stage.assert_nothing_left();
}

/// Each is paid by itself, and kept until then: a pipeline that tries all weekend must not fill the record with them.
#[tokio::test(start_paused = true)]
async fn what_is_owed_again_and_again_is_owed_once() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let old = login(&stage);
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Fail).times(1000));
    for _ in 0..20 {
        assert_eq!(code(stage.deploy(with_password("v1", "another-password")).await), FailureCode::RollbackFailed);
    }
    let views = stage.controller.operations().await.unwrap();
    assert_eq!(views.iter().flat_map(|view| &view.debts).count(), 1, "{views:?}");
    assert!(views.len() <= OperationRecord::MAX_FINISHED + 1, "{}", views.len());

    stage.world.faults().clear();
    background_for(stage.controller.clone(), Duration::from_secs(60)).await;
    assert_eq!(login(&stage), old);
    assert_eq!(stage.debts().await, []);
}

/// As one to Airflow waits for a service with Airflow.
#[tokio::test(start_paused = true)]
async fn a_debt_in_a_namespace_that_is_not_managed_any_more_waits_until_it_is_again() {
    let stage = Stage::new();
    revision(stage.deploy(DeployRequest { namespace: "data".parse().unwrap(), ..main_request("v1") }).await);
    stage.world.faults().plan(Fault::new(Call::ClusterDeleteClaims, 1, FaultKind::Forbid));
    assert_eq!(code(stage.delete(NAME).await), FailureCode::ClaimsNotDeleted);

    let without = Settings { namespaces: vec![settings().home().clone()], ..settings() };
    let elsewhere = Stage { controller: replica(&stage.world, stage.world.operations(), without), world: stage.world.clone() };
    let writes = stage.world.calls().count(Call::OperationsCompareAndSwap);
    background_for(elsewhere.controller.clone(), Duration::from_secs(600)).await;
    assert_eq!(stage.world.calls().count(Call::OperationsCompareAndSwap), writes);
    assert_eq!(stage.debts().await.len(), 1);

    background_for(stage.controller.clone(), Duration::from_secs(60)).await;
    assert_eq!(stage.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_the_undo_could_not_restore_is_restored_later() {
    let stage = Stage::new();
    let old = owed_a_login(&stage).await;
    background_for(stage.controller.clone(), Duration::from_secs(60)).await;
    assert_eq!(login(&stage), old);
}

#[tokio::test(start_paused = true)]
async fn a_login_is_restored_to_that_of_the_server_that_runs_not_of_the_newest_revision() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::InstallerRollBack, 1, FaultKind::Forbid).times(100));
    let runs = owed_a_login(&stage).await;
    let newest = stage.world.releases().get(&key(NAME)).unwrap().summary;
    assert_eq!((newest.revision, newest.standing.deployed), (RevisionNumber(2), Some(RevisionNumber(1))));

    background_for(stage.controller.clone(), Duration::from_secs(60)).await;
    assert_eq!(login(&stage), runs);
}

#[tokio::test(start_paused = true)]
async fn connections_left_of_a_deployment_go_and_the_one_that_is_in_use_again_stays() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let left: ConnectionId = "made_by_somebody_under_another_id".parse().unwrap();
    let description = Some(description_of_owner(&key(NAME)));
    let of_ours = ForeignConnection { conn_type: CONNECTION_TYPE.to_owned(), description, ..ForeignConnection::new(left.clone()) };
    stage.world.airflow().plant(of_ours);
    assert!(stage.world.releases().uninstall(&key(NAME), false));
    stage.world.set_airflow_link(AirflowLink::Down);
    assert!(stage.delete(NAME).await.is_ok());
    stage.world.set_airflow_link(AirflowLink::Up);
    revision(stage.deploy(main_request("v1")).await);
    assert!(stage.world.airflow().get(&left).is_some());

    background_for(stage.controller.clone(), Duration::from_secs(60)).await;
    let ids: Vec<_> = stage.world.airflow().ours().into_iter().map(|connection| connection.id).collect();
    assert_eq!(ids, [connection()]);
}

#[tokio::test(start_paused = true)]
async fn a_post_does_not_rely_on_a_login_that_is_still_owed() {
    for tag in ["v1", "v2"] {
        let stage = Stage::new();
        let old = owed_a_login(&stage).await;
        // Nobody has paid the debt yet.
        revision(stage.deploy(main_request(tag)).await);
        assert_eq!(login(&stage), old, "{tag}");
    }
}

/// Takes Airflow down as soon as a call was made.
async fn goes_down_after(stage: &Stage, call: Call) {
    while stage.world.calls().count(call) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stage.world.set_airflow_link(AirflowLink::Down);
}

#[tokio::test(start_paused = true)]
async fn an_airflow_that_was_never_reached_leaves_nothing_to_take_back() {
    let stage = Stage::new();
    let (outcome, ()) = tokio::join!(stage.deploy(main_request("v1")), goes_down_after(&stage, Call::InstallerApply));
    let failure = outcome.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::AirflowUnavailable, UndoOutcome::Undone), "{failure}");
    stage.assert_nothing_left();
    assert_eq!(stage.debts().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_made_after_the_undo_has_looked_is_removed_later() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Fail).times(1000));
    let failure = stage.deploy(main_request("v1")).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::AirflowUnavailable, UndoOutcome::Undone), "{failure}");
    // Airflow had taken the request after all.
    let late = ForeignConnection { description: Some(description_of_owner(&key(NAME))), ..ForeignConnection::new(connection()) };
    stage.world.airflow().plant(late);
    background_for(stage.controller.clone(), Duration::from_secs(90)).await;
    stage.assert_nothing_left();
    assert_eq!(stage.debts().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_somebody_makes_after_ours_is_gone_is_left_alone() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.faults().plan(Fault::new(Call::ConnectionsDelete, 1, FaultKind::LoseAnswer));
    let somebody = async {
        while stage.world.airflow().get(&connection()).is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage.world.airflow().plant(ForeignConnection::new(connection()));
    };
    let (outcome, ()) = tokio::join!(stage.delete(NAME), somebody);
    assert!(matches!(outcome, Ok(Success::Deleted { .. })), "{outcome:?}");
    assert_eq!(stage.world.airflow().login(&connection()).unwrap().0, "somebody");
}

/// Lets the write of the connection go without an answer, and the next try be refused.
fn loses_the_answer(stage: &Stage) {
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Fail));
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 2, FaultKind::Forbid));
}

/// Airflow does now what it was asked for long ago.
fn late_write(stage: &Stage, password: &str) {
    let url = stage.world.releases().get(&key(NAME)).map_or_else(String::new, |release| release.summary.deployment.unwrap().url);
    let login = Some(stage.world.airflow().login(&connection()).map_or_else(|| "late".to_owned(), |(user, _)| user));
    stage.world.airflow().plant(ForeignConnection {
        conn_type: CONNECTION_TYPE.to_owned(),
        url,
        login,
        password: Some(password.to_owned().into()),
        description: Some(description_of_owner(&key(NAME))),
        has_foreign_fields: false,
        ..ForeignConnection::new(connection())
    });
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_written_after_the_undo_has_restored_it_is_restored_again() {
    let stage = Stage::new();
    revision(stage.deploy(with_password("v1", "password-one")).await);
    loses_the_answer(&stage);
    let failure = stage.deploy(with_password("v1", "password-two")).await.unwrap_err();
    assert_eq!((failure.undo, password(&stage)), (UndoOutcome::Undone, "password-one".to_owned()), "{failure}");
    late_write(&stage, "password-two");
    background_for(stage.controller.clone(), Duration::from_secs(90)).await;
    assert_eq!(password(&stage), "password-one");
}

#[tokio::test(start_paused = true)]
async fn a_try_without_an_answer_is_not_forgotten_when_the_next_one_succeeds() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Fail));
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
    assert_eq!(stage.deploy(main_request("v1")).await.unwrap_err().undo, UndoOutcome::Undone);
    late_write(&stage, "late");
    background_for(stage.controller.clone(), Duration::from_secs(90)).await;
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_an_undo_owes_is_that_of_the_next_deployment() {
    let stage = Stage::new();
    loses_the_answer(&stage);
    assert_eq!(stage.deploy(main_request("v1")).await.unwrap_err().undo, UndoOutcome::Undone);
    late_write(&stage, "late");
    revision(stage.deploy(with_password("v1", "password-one")).await);
    background_for(stage.controller.clone(), Duration::from_secs(90)).await;
    assert_eq!((stage.world.airflow().count(), password(&stage)), (1, "password-one".to_owned()));
    assert_eq!(stage.debts().await, []);
}

/// A first deploy that a delete cancels at this call, and whose connection Airflow makes after all of that, leaves nothing.
async fn assert_owed_when_cancelled_at(stage: &Stage, call: Call) {
    let ticket = stage.controller.deploy(main_request("v1"), crate::stage::caller()).await.unwrap();
    stage.next(call).await;
    assert!(stage.delete(NAME).await.is_ok());
    assert_eq!(code(stage.controller.wait(&ticket).await.unwrap().outcome.clone()), FailureCode::Cancelled);
    late_write(stage, "late");
    background_for(stage.controller.clone(), Duration::from_secs(90)).await;
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_a_delete_cancels_owes_the_connection_that_may_still_be_made() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Fail).times(1000));
    assert_owed_when_cancelled_at(&stage, Call::ConnectionsPut).await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_a_delete_cancels_in_its_undo_owes_the_connection_that_may_still_be_made() {
    let stage = Stage::new();
    loses_the_answer(&stage);
    stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 1, FaultKind::Fail).times(3));
    assert_owed_when_cancelled_at(&stage, Call::InstallerUninstall).await;
}

#[tokio::test(start_paused = true)]
async fn a_password_that_a_human_brought_back_is_owed_also_when_airflow_was_never_reached() {
    let stage = Stage::new();
    revision(stage.deploy(with_password("v1", "password-one")).await);
    revision(stage.deploy(with_password("v1", "password-two")).await);
    stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap();
    let applied = stage.world.calls().count(Call::InstallerApply);
    let goes_down = async {
        while stage.world.calls().count(Call::InstallerApply) == applied {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage.world.set_airflow_link(AirflowLink::Down);
    };
    assert_eq!(tokio::join!(stage.deploy(main_request("v2")), goes_down).0.unwrap_err().undo, UndoOutcome::Failed);
    stage.world.set_airflow_link(AirflowLink::Up);
    background_for(stage.controller.clone(), Duration::from_secs(90)).await;
    assert_eq!(password(&stage), "password-one");
}

#[tokio::test(start_paused = true)]
async fn a_debt_that_cannot_be_paid_keeps_no_other_from_being_paid() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.set_airflow_link(AirflowLink::Down);
    stage.world.faults().plan(Fault::new(Call::ClusterDeleteClaims, 1, FaultKind::Forbid));
    assert_eq!(code(stage.delete(NAME).await), FailureCode::ClaimsNotDeleted);
    assert_eq!(stage.world.leftovers().len(), 2);
    stage.world.set_airflow_link(AirflowLink::Up);
    // Whether the first one is void cannot be told.
    stage.world.faults().plan(Fault::new(Call::InstallerGet, 1, FaultKind::Forbid));
    background_for(stage.controller.clone(), Duration::from_secs(5)).await;
    assert_eq!(stage.world.leftovers().len(), 1);
    background_for(stage.controller.clone(), Duration::from_secs(60)).await;
    stage.assert_nothing_left();
}
