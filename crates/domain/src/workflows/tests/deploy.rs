use super::stage::{Script, failure, ours, success};
use crate::model::*;
use crate::test_support::{deploy_task, key, new_login_task, release, request};

#[tokio::test(start_paused = true)]
async fn a_first_deploy_takes_every_step_in_order() {
    let (ending, stage) = Script::first().play(deploy_task()).await;
    let Success::Deployed { host, revision, unchanged, connection, .. } = success(ending) else { panic!("not deployed") };
    assert_eq!((revision, unchanged), (RevisionNumber(1), false));
    assert_eq!(host, "dbt-server-test-project-main.dbt-server.svc.cluster.local");
    assert_eq!(connection.status, ConnectionOutcome::Created);
    assert_eq!(connection.url.as_deref(), Some("http://dbt-server-test-project-main.dbt-server.svc.cluster.local/invocations"));
    let expected = ["operations.write", "installer.begin", "installer.apply", "operations.write", "connections.put", "installer.commit"];
    assert_eq!(stage.writes(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_changed_deploy_keeps_the_login_of_the_release() {
    let (ending, stage) = Script::deployed().play(deploy_task()).await;
    let Success::Deployed { revision, connection, .. } = success(ending) else { panic!("not deployed") };
    assert_eq!((revision, connection.status), (RevisionNumber(2), ConnectionOutcome::Updated));
    assert_eq!(stage.writes(), ["operations.write", "installer.begin", "installer.apply", "installer.commit"], "the connection has it");
}

#[tokio::test(start_paused = true)]
async fn a_connection_gets_the_login_again_when_it_may_have_another() {
    let mut unsettled = Script::deployed();
    // It is not known whether the revision that failed got as far as its connection.
    unsettled.newest.as_mut().unwrap().summary.status = ReleaseStatus::Failed;
    let mut foreign = Script::deployed();
    foreign.connection.as_mut().unwrap().login = Some("somebody".to_owned());
    for script in [unsettled, foreign] {
        let (ending, stage) = script.play(deploy_task()).await;
        success(ending);
        let story = stage.story.lock().unwrap();
        assert_eq!(story.written[0].credentials, crate::test_support::credentials("old-password"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wished_password_replaces_the_one_on_record_and_keeps_its_user() {
    let (ending, stage) = Script::deployed().play(new_login_task()).await;
    success(ending);
    let story = stage.story.lock().unwrap();
    assert_eq!(story.written[0].credentials, crate::test_support::credentials("wished-password"));
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_server_is_woken() {
    let (ending, stage) = Script { replicas: 0, ..Script::deployed() }.play(deploy_task()).await;
    success(ending);
    assert!(stage.called("cluster.set_replicas(1)"));
}

#[tokio::test(start_paused = true)]
async fn an_equal_deploy_writes_no_revision_and_no_connection() {
    let mut script = Script::deployed();
    script.newest.as_mut().unwrap().summary.deployment.as_mut().unwrap().manifest_hash = Some(ManifestHash("new".to_owned()));
    let (ending, stage) = script.clone().play(deploy_task()).await;
    let Success::Deployed { revision, unchanged, connection, .. } = success(ending) else { panic!("not deployed") };
    assert_eq!((revision, unchanged, connection.status), (RevisionNumber(1), true, ConnectionOutcome::Updated));
    assert_eq!(stage.writes(), ["installer.repair"]);

    script.connection.as_mut().unwrap().login = Some("somebody".to_owned());
    let (ending, stage) = script.play(deploy_task()).await;
    success(ending);
    assert_eq!(stage.writes(), ["installer.repair", "operations.write", "connections.put"], "a connection that differs is mended");
}

#[tokio::test(start_paused = true)]
async fn an_equal_deploy_of_a_broken_server_says_why_and_undoes_nothing() {
    let mut script = Script::deployed().failing("cluster.watch");
    script.newest.as_mut().unwrap().summary.deployment.as_mut().unwrap().manifest_hash = Some(ManifestHash("new".to_owned()));
    let (ending, stage) = script.play(deploy_task()).await;
    let failure = failure(ending);
    assert_eq!((failure.code, failure.undo), (FailureCode::ImagePullFailed, UndoOutcome::LeftAsIs));
    assert!(failure.autopsy.is_some());
    assert_eq!(stage.writes(), ["installer.repair"]);
}

#[tokio::test(start_paused = true)]
async fn a_larger_claim_grows_first_and_the_stateful_set_is_made_anew() {
    let mut wished = request();
    wished.resources.storage_size = "2Gi".parse().unwrap();
    let (ending, stage) = Script::deployed().play(Task::Deploy(Box::new(wished))).await;
    success(ending);
    assert_eq!(stage.run.ledger().rebuild, Rebuild::NONE, "whoever took over would make the server anew once more");
    let expected = [
        "operations.write",
        "installer.begin",
        "cluster.grow_claims",
        "cluster.delete_stateful_set",
        "installer.apply",
        "operations.write",
        "installer.commit",
    ];
    assert_eq!(stage.writes(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_missing_warehouse_secret_is_named_before_anything_is_made() {
    let (ending, stage) = Script { warehouse_secret: false, ..Script::first() }.play(deploy_task()).await;
    let failure = failure(ending);
    assert_eq!(failure.code, FailureCode::WarehouseSecretMissing);
    assert!(failure.message.contains("data-warehouse-bigquery-secrets"), "{}", failure.message);
    assert!(stage.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_airflow_a_deploy_works_and_says_so() {
    let (ending, _) = Script { airflow: false, ..Script::first() }.play(deploy_task()).await;
    let Success::Deployed { connection, .. } = success(ending) else { panic!("not deployed") };
    assert_eq!((connection.id, connection.status), (None, ConnectionOutcome::NotConfigured));
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_connection_is_left_alone_and_the_hashed_id_is_taken() {
    let mut script = Script::first();
    script.connection = Some(StoredConnection { owner: None, description: Some("by hand".to_owned()), ..ours() });
    let (ending, stage) = script.play(deploy_task()).await;
    let Success::Deployed { connection, .. } = success(ending) else { panic!("not deployed") };
    assert_eq!(connection.id.unwrap().as_str(), "test_project_main_7679bf0a");
    assert!(stage.story.lock().unwrap().written.iter().all(|written| written.id.as_str() != "test_project_main"));
}

#[tokio::test(start_paused = true)]
async fn two_deploys_of_one_slug_do_not_choose_one_connection_id() {
    let stage = Script::first().stage(deploy_task(), |_| {});
    let stranger = ReleaseKey { name: "dbt-server-stranger".parse().unwrap(), ..key() };
    let held = stage.workflows.reserve(&"test_project_main".parse().unwrap(), &stranger);
    let Success::Deployed { connection, .. } = success(stage.execute(false).await) else { panic!("not deployed") };
    assert_eq!(connection.id.unwrap().as_str(), "test_project_main_7679bf0a");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn steps_before_the_record_fail_with_nothing_to_undo() {
    for call in [
        "cluster.has_warehouse_secret",
        "installer.get",
        "connections.get",
        "installer.manifest_hash",
        "cluster.claims_now",
        "cluster.server",
    ] {
        let (ending, stage) = Script::first().failing(&format!("{call}@1")).play(deploy_task()).await;
        let failure = failure(ending);
        assert_eq!(failure.undo, UndoOutcome::NothingToUndo, "{call}: {failure}");
        assert!(stage.writes().is_empty(), "{call}: {:?}", stage.writes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_taken_over_deploy_that_recorded_nothing_is_interrupted() {
    let stage = Script::deployed().stage(deploy_task(), |running| running.phase = Phase::Record);
    let failure = failure(stage.execute(true).await);
    assert_eq!((failure.code, failure.undo), (FailureCode::Interrupted, UndoOutcome::NothingToUndo));
    assert!(stage.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_taken_over_deploy_is_finished_when_its_server_is_ready() {
    let mut script = Script::first();
    let mut own = release(1, ReleaseStatus::PendingInstall);
    own.summary.deployment.as_mut().unwrap().operation = Some("op-now".parse().unwrap());
    script.newest = Some(own);
    let stage = script.stage(deploy_task(), |running| {
        running.phase = Phase::Ready;
        running.ledger.writing = true;
        running.ledger.revision = Some(RevisionNumber(1));
        running.ledger.connection = Some(ConnectionIntent { id: "test_project_main".parse().unwrap(), before: None });
    });
    success(stage.execute(true).await);
    let expected = ["installer.apply", "operations.write", "connections.put", "installer.commit"];
    assert_eq!(stage.writes(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_taken_over_deploy_that_was_committed_ends_well() {
    let mut script = Script::first();
    let mut own = release(1, ReleaseStatus::Deployed);
    own.summary.deployment.as_mut().unwrap().operation = Some("op-now".parse().unwrap());
    script.newest = Some(own);
    let stage = script.stage(deploy_task(), |running| {
        running.ledger.writing = true;
        running.ledger.connection = Some(ConnectionIntent { id: "test_project_main".parse().unwrap(), before: None });
    });
    success(stage.execute(true).await);
    assert_eq!(stage.writes(), ["installer.commit"], "the commit is the point of no return, and may be half done itself");
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_is_not_made_anew_over_a_humans_revision_that_no_watch_has_shown() {
    let mut larger = request();
    larger.resources.storage_size = "2Gi".parse().unwrap();
    let (ending, stage) = Script { overtaken: true, ..Script::deployed() }.play(Task::Deploy(Box::new(larger))).await;
    let failure = failure(ending);
    assert_eq!((failure.code, failure.undo), (FailureCode::ReleaseChanged, UndoOutcome::LeftAsIs), "{failure}");
    assert!(!stage.called("cluster.grow_claims") && !stage.called("cluster.delete_stateful_set"));
}
