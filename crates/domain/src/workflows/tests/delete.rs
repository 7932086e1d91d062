use super::stage::{Script, claim, failure, success};
use crate::model::*;
use crate::operations::Ending;
use crate::test_support::server_key;

#[tokio::test(start_paused = true)]
async fn a_delete_goes_from_the_connection_to_the_claims() {
    let (ending, stage) = Script::deployed().play(Task::Delete).await;
    let Success::Deleted { claims, connection } = success(ending) else { panic!("not deleted") };
    assert_eq!(claims, [claim()]);
    assert_eq!((connection.id.unwrap().as_str(), connection.status), ("test_project_main", ConnectionOutcome::Deleted));
    assert_eq!(stage.writes(), ["connections.delete", "operations.write", "installer.uninstall", "cluster.delete_claims"]);
}

#[tokio::test(start_paused = true)]
async fn airflow_being_away_leaves_a_debt_and_does_not_stop_the_delete() {
    for call in ["connections.get", "connections.delete"] {
        let (ending, stage) = Script::deployed().failing(call).play(Task::Delete).await;
        let Ending::Done { outcome: Ok(Success::Deleted { connection, .. }), debts, .. } = ending else { panic!("{ending:?}") };
        assert_eq!(connection.status, ConnectionOutcome::Error, "{call}");
        assert!(connection.error.is_some());
        assert_eq!(debts, [Debt::Connection("test_project_main".parse().unwrap())], "{call}");
        assert!(stage.called("cluster.delete_claims"), "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_connection_under_our_id_is_left_alone() {
    let mut script = Script::deployed();
    script.connection.as_mut().unwrap().owner = None;
    let (ending, stage) = script.play(Task::Delete).await;
    let Success::Deleted { connection, .. } = success(ending) else { panic!("not deleted") };
    assert_eq!(connection.status, ConnectionOutcome::NotFound);
    assert!(!stage.called("connections.delete"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_release_is_found_by_its_description() {
    let (ending, stage) = Script { newest: None, ..Script::deployed() }.play(Task::Delete).await;
    let Success::Deleted { connection, .. } = success(ending) else { panic!("not deleted") };
    assert_eq!(connection.status, ConnectionOutcome::Deleted);
    assert!(stage.called("connections.list_ours"));
}

#[tokio::test(start_paused = true)]
async fn nothing_at_all_is_not_found_in_the_contracts_words() {
    let (ending, _) = Script::first().play(Task::Delete).await;
    let failure = failure(ending);
    assert_eq!(failure.code, FailureCode::NotFound);
    assert_eq!(failure.message, "Deployment dbt-server-test-project-main not found in namespace dbt-server");
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_says_which_and_what_is_left() {
    let table = [
        ("installer.get", None),
        ("installer.uninstall", Some(Phase::Uninstall)),
        ("cluster.watch", Some(Phase::Drain)),
        ("cluster.claims_now", Some(Phase::Claims)),
        ("cluster.delete_claims", Some(Phase::Claims)),
    ];
    for (call, phase) in table {
        let (ending, _) = Script::deployed().failing(call).play(Task::Delete).await;
        let failure = failure(ending);
        assert_eq!((failure.phase, failure.undo), (phase, UndoOutcome::LeftAsIs), "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_could_not_be_looked_for_is_a_debt() {
    let (ending, _) = Script::deployed().failing("cluster.claims_now").play(Task::Delete).await;
    let Ending::Done { outcome: Err(failure), debts, .. } = ending else { panic!("{ending:?}") };
    assert_eq!(failure.code, FailureCode::ClaimsNotDeleted);
    assert_eq!(debts, [Debt::Claim { server: server_key().name, name: claim() }]);
}

#[tokio::test(start_paused = true)]
async fn claims_that_could_not_be_deleted_are_a_debt() {
    let (ending, _) = Script::deployed().failing("cluster.delete_claims").play(Task::Delete).await;
    let Ending::Done { outcome: Err(failure), debts, .. } = ending else { panic!("{ending:?}") };
    assert_eq!(failure.code, FailureCode::ClaimsNotDeleted);
    assert!(failure.message.contains(&claim()) && failure.message.contains("persistentvolumeclaims"), "{}", failure.message);
    assert_eq!(debts, [Debt::Claim { server: server_key().name, name: claim() }]);
}

#[tokio::test(start_paused = true)]
async fn without_airflow_a_delete_says_so() {
    let (ending, _) = Script { airflow: false, ..Script::deployed() }.play(Task::Delete).await;
    let Success::Deleted { connection, .. } = success(ending) else { panic!("not deleted") };
    assert_eq!(connection.status, ConnectionOutcome::NotConfigured);
}
