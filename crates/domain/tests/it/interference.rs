//! Somebody's Helm at work while an operation of ours waits for its server.

use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind, ForeignRelease, Hindrance};
use dbt_controller_domain::model::*;

use crate::stage::{NAME, Stage, assert_tells_no_secret, code, crashing, key, main_request, revision, server, target};

/// A deployment whose next server takes long to get ready.
async fn deployed() -> Stage {
    let stage = Stage::new();
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
    stage
}

/// What became of an operation in whose wait somebody acted; it has to end long before its own time is over.
async fn interfered(
    stage: &Stage,
    operation: impl Future<Output = Result<Success, Failure>>,
    act: impl FnOnce(),
) -> Result<Success, Failure> {
    let interferer = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        act();
    };
    let both = async { tokio::join!(operation, interferer).0 };
    let limit = stage.controller.settings().deploy_timeout / 10;
    tokio::time::timeout(limit, both).await.expect("the wait ends when there is nothing to wait for")
}

#[tokio::test(start_paused = true)]
async fn an_uninstall_during_the_wait_of_a_first_deploy_ends_it() {
    let stage = Stage::new();
    let act = || assert!(stage.world.releases().uninstall(&key(NAME), false));
    let failure = interfered(&stage, stage.deploy(main_request("missing-1")), act).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ReleaseChanged, UndoOutcome::LeftAsIs), "{failure}");
    assert!(failure.message.contains("it was uninstalled meanwhile"), "{failure}");
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
}

#[tokio::test(start_paused = true)]
async fn an_uninstall_during_the_wait_of_a_changed_deploy_ends_it() {
    let stage = deployed().await;
    let act = || assert!(stage.world.releases().uninstall(&key(NAME), false));
    let failure = interfered(&stage, stage.deploy(main_request("missing-1")), act).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ReleaseChanged, UndoOutcome::LeftAsIs), "{failure}");
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_during_the_wait_wins() {
    let stage = deployed().await;
    let act = || assert_eq!(stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap(), RevisionNumber(3));
    let failure = interfered(&stage, stage.deploy(main_request("missing-1")), act).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ReleaseChanged, UndoOutcome::LeftAsIs), "{failure}");
    let release = stage.controller.find(&target(NAME)).await.unwrap();
    assert_eq!((release.revision, release.status), (RevisionNumber(3), ReleaseStatus::Deployed));
    assert_eq!(revision(stage.deploy(main_request("v2")).await), 4);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_while_the_claim_grows_keeps_its_server() {
    let stage = deployed().await;
    stage.world.faults().plan(Fault::new(Call::ClusterGrowClaims, 1, FaultKind::Hang));
    let mut larger = main_request("v2");
    larger.resources.storage_size = "30Gi".parse().unwrap();
    let act = || assert_eq!(stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).unwrap(), RevisionNumber(3));
    let failure = interfered(&stage, stage.deploy(larger), act).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ReleaseChanged, UndoOutcome::LeftAsIs), "{failure}");
    assert_eq!(stage.world.calls().count(Call::ClusterDeleteStatefulSet), 0, "it is the human's revision that runs on it");
    let release = stage.controller.find(&target(NAME)).await.unwrap();
    assert_eq!((release.revision, release.status), (RevisionNumber(3), ReleaseStatus::Deployed));
}

#[tokio::test(start_paused = true)]
async fn an_uninstall_during_the_wait_of_a_resume_ends_it() {
    let stage = deployed().await;
    let asleep = stage.controller.suspend(&target(NAME), false, crate::stage::caller()).await.unwrap();
    assert_eq!(stage.controller.wait(&asleep).await.unwrap().outcome.clone().unwrap(), Success::Suspended);
    stage.world.servers().hinder(&server(NAME), Some(Hindrance::Unschedulable("0/1 nodes are available".to_owned())));
    let resume = async {
        let ticket = stage.controller.resume(&target(NAME), crate::stage::caller()).await?;
        stage.controller.wait(&ticket).await?.outcome.clone()
    };
    let act = || assert!(stage.world.releases().uninstall(&key(NAME), false));
    assert_eq!(code(interfered(&stage, resume, act).await), FailureCode::ReleaseChanged);
}

#[tokio::test(start_paused = true)]
async fn a_failed_deploy_over_a_refused_rollback_keeps_the_server_that_runs() {
    let stage = deployed().await;
    let mut larger = main_request("v2");
    larger.resources.storage_size = "30Gi".parse().unwrap();
    assert_eq!(revision(stage.deploy(larger.clone()).await), 2);
    let refused = stage.world.releases().roll_back(&key(NAME), RevisionNumber(1));
    assert!(refused.is_err(), "a claim cannot become smaller");
    let left = stage.controller.find(&target(NAME)).await.unwrap();
    let superseded = Standing { deployed: None, superseded: Some(RevisionNumber(2)) };
    assert_eq!((left.revision, left.status, left.standing), (RevisionNumber(3), ReleaseStatus::Failed, superseded));

    let mut broken = main_request("missing-1");
    broken.resources.storage_size = larger.resources.storage_size.clone();
    let failure = stage.deploy(broken).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ImagePullFailed, UndoOutcome::Undone), "{failure}");
    let kept = stage.controller.find(&target(NAME)).await.unwrap();
    assert_eq!((kept.revision, kept.standing.deployed), (RevisionNumber(5), Some(RevisionNumber(5))));
    assert_eq!(kept.deployment.as_ref().unwrap().request_hash, Some(larger.hash()));
    assert!(stage.world.airflow().get(&"test_project_main".parse().unwrap()).is_some());
    assert!(revision(stage.deploy(larger).await) >= 5);
}

#[tokio::test(start_paused = true)]
async fn an_undo_of_a_first_deploy_leaves_a_release_that_a_human_installed_meanwhile() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Hang));
    let human = async {
        while stage.world.calls().count(Call::ConnectionsPut) == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(stage.world.releases().uninstall(&key(NAME), false));
        stage.world.releases().install(ForeignRelease::new(key(NAME))).unwrap();
    };
    // What fails the deploy has nothing to do with the human.
    stage.world.faults().plan(Fault::new(Call::ConnectionsPut, 2, FaultKind::Forbid));
    let failure = tokio::join!(stage.deploy(main_request("v1")), human).0.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{failure}");
    assert!(failure.message.contains("the release is left as it is: somebody else wrote its revision 1 (deployed)"), "{failure}");
    let kept = stage.world.releases().get(&key(NAME)).unwrap();
    assert_eq!((kept.summary.chart.as_str(), kept.summary.status), ("other-chart-1.2.3", ReleaseStatus::Deployed));
}

#[tokio::test(start_paused = true)]
async fn secrets_of_the_server_that_runs_over_a_refused_rollback_are_not_told() {
    let stage = deployed().await;
    let mut larger = main_request("v2");
    larger.resources.storage_size = "30Gi".parse().unwrap();
    assert_eq!(revision(stage.deploy(larger).await), 2);
    let runs = crashing(&stage.world, "30Gi").await;
    assert!(stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).is_err(), "a claim cannot become smaller");
    let left = stage.controller.find(&target(NAME)).await.unwrap();
    assert_eq!(left.standing, Standing { deployed: None, superseded: Some(runs) });

    // The deploy fails while the pod of that revision is still there, and says what it logs.
    stage.world.faults().plan(Fault::new(Call::ClusterDeleteBrokenPods, 1, FaultKind::Forbid));
    let mut wished = main_request("v3");
    wished.resources.storage_size = "30Gi".parse().unwrap();
    let failure = stage.deploy(wished).await.unwrap_err();
    assert_tells_no_secret(&failure);
}

#[tokio::test(start_paused = true)]
async fn a_resume_does_not_tell_secrets_of_the_server_that_runs_over_a_refused_rollback() {
    let stage = deployed().await;
    let mut larger = main_request("v2");
    larger.resources.storage_size = "30Gi".parse().unwrap();
    assert_eq!(revision(stage.deploy(larger).await), 2);
    crashing(&stage.world, "30Gi").await;
    assert!(stage.world.releases().roll_back(&key(NAME), RevisionNumber(1)).is_err(), "a claim cannot become smaller");
    let ticket = stage.controller.resume(&target(NAME), crate::stage::caller()).await.unwrap();
    let failure = stage.controller.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_tells_no_secret(&failure);
}

#[tokio::test(start_paused = true)]
async fn a_humans_helm_at_work_is_left_alone_until_it_must_be_dead() {
    for (uninstalls, next) in [(false, 3), (true, 1)] {
        let stage = deployed().await;
        let releases = stage.world.releases();
        assert!(if uninstalls { releases.leave_uninstalling(&key(NAME)) } else { releases.leave_pending(&key(NAME)).is_ok() });
        let (history, limit) = (stage.world.releases().history(&key(NAME)), stage.controller.settings().deploy_timeout);
        for wait in [Duration::ZERO, limit - Duration::from_secs(1)] {
            tokio::time::sleep(wait).await;
            let failure = stage.deploy(main_request("v2")).await.unwrap_err();
            assert_eq!((failure.code, failure.undo), (FailureCode::ReleasePending, UndoOutcome::NothingToUndo), "{failure}");
            assert_eq!(stage.world.releases().history(&key(NAME)), history);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(revision(stage.deploy(main_request("v2")).await), next);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_takes_over_what_a_humans_uninstall_left() {
    let stage = deployed().await;
    assert!(stage.world.releases().leave_uninstalling(&key(NAME)));
    assert!(matches!(stage.delete(NAME).await, Ok(Success::Deleted { .. })));
    assert_eq!(stage.world.releases().count(), 0);
}

/// Somebody's uninstall begins after it was decided to write the next revision.
#[tokio::test(start_paused = true)]
async fn an_uninstall_that_begins_while_a_deploy_chooses_its_connection_wins() {
    let stage = deployed().await;
    stage.world.faults().plan(Fault::new(Call::InstallerManifestHash, 1, FaultKind::Hang));
    let calls = stage.world.calls().count(Call::InstallerManifestHash);
    let human = async {
        while stage.world.calls().count(Call::InstallerManifestHash) == calls {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(stage.world.releases().leave_uninstalling(&key(NAME)));
    };
    let failure = tokio::join!(stage.deploy(main_request("v2")), human).0.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ReleaseChanged, UndoOutcome::NothingToUndo), "{failure}");
    assert_eq!(stage.world.releases().history(&key(NAME)).len(), 1);
}
