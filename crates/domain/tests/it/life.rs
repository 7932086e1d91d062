//! One deployment from its first POST to its DELETE.

use std::time::Duration;

use dbt_controller_adapters_memory::{AirflowLink, Call, Fault, FaultKind, ForeignConnection};
use dbt_controller_domain::model::*;

use crate::stage::{NAME, Stage, background_for, code, key, main_request, request, revision, server, statuses, target};

#[tokio::test(start_paused = true)]
async fn a_deployment_is_made_read_and_removed_without_a_trace() {
    let stage = Stage::new();
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);

    let deployment = stage.controller.inspect(&target(NAME)).await.unwrap();
    assert_eq!(deployment.server.phase, ServerPhase::Ready);
    assert_eq!(deployment.claims.len(), 1);
    assert_eq!(deployment.connection.unwrap().presence, ConnectionPresence::Registered);
    assert!(deployment.health.unwrap().reachable);
    assert_eq!(stage.controller.list(&DeploymentFilter::default()).await.unwrap().len(), 1);

    let Ok(Success::Deleted { claims, connection }) = stage.delete(NAME).await else { panic!("not deleted") };
    assert_eq!(claims, [format!("{NAME}-{NAME}-0")]);
    assert_eq!(connection.status, ConnectionOutcome::Deleted);
    stage.assert_nothing_left();
    assert_eq!(code(stage.delete(NAME).await), FailureCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_changed_deploy_supersedes_and_keeps_the_login() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let login = stage.world.releases().get(&key(NAME)).unwrap().credentials;
    assert_eq!(revision(stage.deploy(main_request("v2")).await), 2);
    assert_eq!(statuses(&stage), [(1, ReleaseStatus::Superseded), (2, ReleaseStatus::Deployed)]);
    assert_eq!(stage.world.releases().get(&key(NAME)).unwrap().credentials, login);
}

#[tokio::test(start_paused = true)]
async fn an_equal_deploy_is_no_revision_and_mends_what_is_missing() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.releases().remove_object(&key(NAME), &format!("Service/{NAME}"));
    let Ok(Success::Deployed { revision, unchanged, notes, .. }) = stage.deploy(main_request("v1")).await else { panic!("not deployed") };
    assert_eq!((revision.0, unchanged), (1, true));
    assert_eq!(notes, [format!("mended: Service/{NAME}")]);
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_that_cannot_work_leaves_nothing_and_says_why() {
    for (tag, expected, word) in
        [("missing-1", FailureCode::ImagePullFailed, "missing-1"), ("crash-1", FailureCode::CrashLoop, "dbt-server")]
    {
        let stage = Stage::new();
        let failure = stage.deploy(main_request(tag)).await.unwrap_err();
        assert_eq!((failure.code, failure.undo), (expected, UndoOutcome::Undone), "{failure}");
        assert!(failure.message.contains(word), "{failure}");
        assert!(!failure.autopsy.as_ref().unwrap().containers.is_empty());
        stage.assert_nothing_left();
        assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_deploy_that_cannot_work_brings_the_old_server_back() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let failure = stage.deploy(main_request("missing-1")).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ImagePullFailed, UndoOutcome::Undone), "{failure}");
    assert_eq!(statuses(&stage), [(1, ReleaseStatus::Superseded), (2, ReleaseStatus::Failed), (3, ReleaseStatus::Deployed)]);
    let deployment = stage.controller.inspect(&target(NAME)).await.unwrap();
    assert_eq!(deployment.server.phase, ServerPhase::Ready);
    assert!(deployment.release.deployment.as_ref().unwrap().image.ends_with(":v1"));
    assert_eq!(revision(stage.deploy(main_request("v2")).await), 4);
}

#[tokio::test(start_paused = true)]
async fn a_broken_server_is_mended_by_the_next_deploy() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap();
    assert_eq!(revision(stage.deploy(main_request("v3")).await), 3);
}

#[tokio::test(start_paused = true)]
async fn a_larger_claim_grows() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let mut larger = main_request("v1");
    larger.resources.storage_size = "2Gi".parse().unwrap();
    assert_eq!(revision(stage.deploy(larger.clone()).await), 2);
    assert_eq!(stage.world.claims().of(&server(NAME))[0].size.as_ref().unwrap().as_str(), "2Gi");

    stage.world.claims().can_grow(&server(NAME), false);
    larger.resources.storage_size = "4Gi".parse().unwrap();
    let failure = stage.deploy(larger).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ClaimCannotGrow, UndoOutcome::Undone), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn what_helm_uninstall_left_is_found_and_removed_by_a_delete() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    assert!(stage.world.releases().uninstall(&key(NAME), false));
    assert!(stage.controller.list(&DeploymentFilter::default()).await.unwrap().is_empty());
    let Ok(Success::Deleted { claims, connection }) = stage.delete(NAME).await else { panic!("not deleted") };
    assert_eq!((claims.len(), connection.status), (1, ConnectionOutcome::Deleted));
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn a_human_who_changes_the_release_in_the_middle_is_not_overruled() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let ticket = stage.controller.deploy(main_request("v2"), crate::stage::caller()).await.unwrap();
    let mut views = stage.controller.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Ready).await.unwrap();
    stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap();
    let failure = stage.controller.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ReleaseChanged, UndoOutcome::LeftAsIs), "{failure}");
    assert_eq!(stage.world.releases().get(&key(NAME)).unwrap().summary.revision, RevisionNumber(3));
    assert_eq!(revision(stage.deploy(main_request("v2")).await), 4);
}

#[tokio::test(start_paused = true)]
async fn a_human_who_uninstalls_the_release_before_the_commit_is_not_overruled() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let mut wished = main_request("v2");
    // So that the connection is written, too.
    wished.credentials.password = Some("another-password".into());
    let ticket = stage.controller.deploy(wished, crate::stage::caller()).await.unwrap();
    let mut views = stage.controller.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Connect).await.unwrap();
    assert!(stage.world.releases().uninstall(&key(NAME), false));
    let failure = stage.controller.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ReleaseChanged, UndoOutcome::LeftAsIs), "{failure}");
    assert_eq!(stage.world.releases().count(), 0);
    assert_eq!(revision(stage.deploy(main_request("v2")).await), 1);
}

#[tokio::test(start_paused = true)]
async fn a_missing_warehouse_secret_stops_a_deploy_before_it_makes_anything() {
    let stage = Stage::new();
    stage.world.servers().remove_warehouse_secret(&"dbt-server".parse().unwrap(), Warehouse::Bigquery);
    assert_eq!(code(stage.deploy(main_request("v1")).await), FailureCode::WarehouseSecretMissing);
    assert_eq!(stage.world.releases().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_identity_lives_in_one_namespace_only() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let elsewhere = DeployRequest { namespace: "data".parse().unwrap(), ..main_request("v1") };
    let failure = stage.deploy(elsewhere).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::DeployedElsewhere);
    assert!(failure.message.contains("dbt-server"), "{failure}");
    let other = DeployRequest { namespace: "data".parse().unwrap(), ..request("other", None, "v1") };
    assert_eq!(revision(stage.deploy(other).await), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_somebody_replaces_in_the_middle_is_theirs() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let ticket = stage.controller.deploy(main_request("v2"), crate::stage::caller()).await.unwrap();
    let mut views = stage.controller.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Ready).await.unwrap();
    let id: dbt_controller_domain::ConnectionId = "test_project_main".parse().unwrap();
    stage.world.airflow().delete(&id);
    stage.world.airflow().plant(dbt_controller_adapters_memory::ForeignConnection::new(id));
    let failure = stage.controller.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ConnectionTaken, UndoOutcome::Undone), "{failure}");
    let Ok(Success::Deployed { connection, .. }) = stage.deploy(main_request("v2")).await else { panic!("not deployed") };
    assert_eq!(connection.id.unwrap().as_str(), "test_project_main_7679bf0a");
}

#[tokio::test(start_paused = true)]
async fn a_delete_ends_the_pod_that_lost_its_stateful_set() {
    let stage = Stage::new();
    revision(stage.deploy(sized("v1", "10Gi")).await);
    for call in [Call::InstallerApply, Call::InstallerRollBack] {
        stage.world.faults().plan(Fault::new(call, 1, FaultKind::Forbid).times(100));
    }
    let failure = stage.deploy(sized("v2", "20Gi")).await.unwrap_err();
    assert_eq!((failure.undo, failure.phase), (UndoOutcome::Failed, Some(Phase::Apply)), "{failure}");
    assert_eq!(stage.world.servers().pods(), 1, "its StatefulSet was to be made anew around it");
    stage.world.faults().clear();
    assert!(matches!(stage.delete(NAME).await, Ok(Success::Deleted { .. })));
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_refuses_the_pod_is_asked_for_and_named() {
    let stage = Stage::new();
    let words = "exceeded quota: small, requested: limits.cpu=3500m";
    let refusal = PodRefusal { by_quota: true, message: words.to_owned() };
    stage.world.servers().hinder(&server(NAME), Some(dbt_controller_adapters_memory::Hindrance::Refused(refusal)));
    let failure = stage.deploy(main_request("v1")).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::QuotaExceeded, UndoOutcome::Undone), "{failure}");
    assert!(failure.message.contains(words), "{failure}");
    stage.assert_nothing_left();
}

fn sized(tag: &str, size: &str) -> DeployRequest {
    let mut request = main_request(tag);
    request.resources.storage_size = size.parse().unwrap();
    request
}

#[tokio::test(start_paused = true)]
async fn a_humans_rollback_that_the_cluster_refuses_does_not_lock_the_deployment_up() {
    let stage = Stage::new();
    revision(stage.deploy(sized("v1", "2Gi")).await);
    assert!(stage.world.releases().uninstall(&key(NAME), true));
    assert_eq!(revision(stage.deploy(sized("v1", "1Gi")).await), 2);
    // Revision 1 has another size, which a StatefulSet cannot change to; Helm leaves no revision in force.
    assert!(stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).is_err());
    assert_eq!(statuses(&stage).last(), Some(&(3, ReleaseStatus::Failed)));
    assert_eq!(code(stage.deploy(sized("v1", "1Gi")).await), FailureCode::ClaimCannotShrink, "the claim has kept its size");
    assert_eq!(revision(stage.deploy(sized("v1", "2Gi")).await), 4);
}

#[tokio::test(start_paused = true)]
async fn a_larger_claim_whose_undo_did_not_end_can_be_asked_for_again() {
    for (size, wished) in [("2Gi", "2Gi"), ("2Gi", "1Gi")] {
        let stage = Stage::new();
        revision(stage.deploy(sized("v1", "1Gi")).await);
        stage.world.faults().plan(Fault::new(Call::ClusterGrowClaims, 1, FaultKind::Forbid));
        stage.world.faults().plan(Fault::new(Call::InstallerRollBack, 1, FaultKind::Forbid));
        assert_eq!(code(stage.deploy(sized("v2", size)).await), FailureCode::RollbackFailed);
        assert_eq!(revision(stage.deploy(sized("v2", wished)).await), 3, "{wished}");
        assert_eq!(stage.world.claims().of(&server(NAME))[0].size.as_ref().unwrap().as_str(), wished);
    }
}

#[tokio::test(start_paused = true)]
async fn an_equal_deploy_after_a_humans_rollback_brings_the_old_password_back_to_airflow() {
    let stage = Stage::new();
    let with = |password: &str| {
        let mut request = main_request("v1");
        request.credentials.password = Some(password.into());
        request
    };
    revision(stage.deploy(with("password-one")).await);
    revision(stage.deploy(with("password-two")).await);
    stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap();
    let Ok(Success::Deployed { unchanged: true, .. }) = stage.deploy(with("password-one")).await else { panic!("not unchanged") };
    let (_, password) = stage.world.airflow().login(&"test_project_main".parse().unwrap()).unwrap();
    assert_eq!(password, "password-one");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_a_humans_uninstall_left_is_used_again_although_a_better_id_is_free_now() {
    let stage = Stage::new();
    let (plain, hashed) = ("test_project_main".parse().unwrap(), "test_project_main_7679bf0a".parse().unwrap());
    stage.world.airflow().plant(ForeignConnection::new(plain));
    revision(stage.deploy(main_request("v1")).await);
    assert!(stage.world.releases().uninstall(&key(NAME), false));
    stage.world.airflow().delete(&"test_project_main".parse().unwrap());
    let Ok(Success::Deployed { connection, .. }) = stage.deploy(main_request("v1")).await else { panic!("not deployed") };
    assert_eq!((connection.id, connection.status), (Some(hashed), ConnectionOutcome::Updated));
    assert_eq!(stage.world.airflow().count(), 1);
    stage.delete(NAME).await.unwrap();
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn a_delete_after_a_humans_rollback_removes_the_connection_that_the_old_record_does_not_name() {
    for link in [AirflowLink::Up, AirflowLink::Down] {
        let stage = Stage::new();
        revision(stage.deploy(main_request("v1")).await);
        stage.world.airflow().plant(ForeignConnection::new("test_project_main".parse().unwrap()));
        revision(stage.deploy(main_request("v1")).await);
        stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap();
        stage.world.set_airflow_link(link);
        let Ok(Success::Deleted { .. }) = stage.delete(NAME).await else { panic!("not deleted") };
        stage.world.set_airflow_link(AirflowLink::Up);
        let controller = stage.controller.clone();
        background_for(controller, Duration::from_secs(60)).await;
        stage.assert_nothing_left();
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_back_to_a_humans_rollback_brings_the_old_password_back_to_airflow() {
    let stage = Stage::new();
    let with = |tag: &str, password: &str| {
        let mut request = main_request(tag);
        request.credentials.password = Some(password.into());
        request
    };
    revision(stage.deploy(with("v1", "password-one")).await);
    revision(stage.deploy(with("v1", "password-two")).await);
    stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap();
    assert_eq!(stage.deploy(main_request("missing-1")).await.unwrap_err().undo, UndoOutcome::Undone);
    let (_, password) = stage.world.airflow().login(&"test_project_main".parse().unwrap()).unwrap();
    assert_eq!(password, "password-one");
}

#[tokio::test(start_paused = true)]
async fn an_airflow_that_is_away_for_long_does_not_keep_the_undo_from_the_server() {
    let stage = Stage::new();
    // Nobody knows whether the first try has made the connection.
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Fail));
    let goes_away = async {
        while stage.world.calls().count(Call::ConnectionsPut) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage.world.set_airflow_link(AirflowLink::Down);
    };
    let failure = tokio::join!(stage.deploy(main_request("v1")), goes_away).0.unwrap_err();
    assert_eq!(failure.code, FailureCode::RollbackFailed, "{failure}");
    assert!(failure.message.contains("connection `test_project_main` is not as it was"), "{failure}");
    stage.assert_nothing_left();
}

/// How often each method of the connection port was called meanwhile.
fn connection_calls(stage: &Stage) -> [u64; 5] {
    use Call::{ConnectionsAllDags, ConnectionsDelete, ConnectionsGet, ConnectionsListOurs, ConnectionsPut};
    [ConnectionsGet, ConnectionsPut, ConnectionsDelete, ConnectionsListOurs, ConnectionsAllDags].map(|call| stage.world.calls().count(call))
}

#[tokio::test(start_paused = true)]
async fn a_deploy_asks_airflow_twice_and_an_equal_one_once() {
    let stage = Stage::new();
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
    assert_eq!(connection_calls(&stage), [1, 1, 0, 0, 0], "it looks once, and writes");
    assert_eq!(revision(stage.deploy(main_request("v2")).await), 2);
    assert_eq!(connection_calls(&stage), [3, 1, 0, 0, 0], "it looks before and after the wait, and the login is the same");
    assert_eq!(revision(stage.deploy(main_request("v2")).await), 2);
    assert_eq!(connection_calls(&stage), [4, 1, 0, 0, 0], "nothing changed");
}

/// A human deleted the connection; the change that wrote it anew failed, and its connection cannot be deleted. What it has then is the
/// login of a revision that is not in force.
#[tokio::test(start_paused = true)]
async fn a_connection_that_an_undo_could_not_delete_gets_the_login_of_the_server_that_runs() {
    let stage = Stage::new();
    let controller = stage.controller.clone();
    tokio::spawn(async move { controller.run_background().await });
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
    let id = "test_project_main".parse().unwrap();
    let login = stage.world.airflow().login(&id).unwrap();
    stage.world.airflow().delete(&id);

    let mut changed = main_request("v2");
    changed.credentials.password = Some("another-password".into());
    stage.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
    stage.world.faults().plan(Fault::new(Call::ConnectionsDelete, 1, FaultKind::Forbid));
    let failure = stage.deploy(changed).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{failure}");
    assert_ne!(stage.world.airflow().login(&id).unwrap(), login);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.world.airflow().login(&id).unwrap(), login);
}

#[tokio::test(start_paused = true)]
async fn a_get_after_a_deploy_shows_what_it_has_made_whatever_was_read_before() {
    let stage = Stage::new();
    let ticket = stage.controller.deploy(main_request("v1"), crate::stage::caller()).await.unwrap();
    let mut views = stage.controller.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Ready).await.unwrap();
    let presence = async || stage.controller.inspect(&target(NAME)).await.unwrap().connection.unwrap().presence;
    assert_eq!(presence().await, ConnectionPresence::Missing, "it is connected last");
    assert!(stage.controller.wait(&ticket).await.unwrap().outcome.is_ok());
    assert_eq!(presence().await, ConnectionPresence::Registered);
}
