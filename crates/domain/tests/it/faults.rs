//! The fault matrix: every call of every workflow goes wrong once, in every way. Each run ends in success or in a clean failure.

use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind};
use dbt_controller_domain::model::*;
use dbt_controller_domain::ports::ChartInstaller as _;

use crate::stage::{NAME, Stage, key, main_request, revision, target};

const KINDS: [FaultKind; 4] = [FaultKind::Fail, FaultKind::Hang, FaultKind::LoseAnswer, FaultKind::Forbid];

/// Which calls a scenario makes, and how often, from a run without faults.
async fn calls_of(prepare: impl AsyncFn(&Stage), act: impl AsyncFn(&Stage)) -> Vec<(Call, u64)> {
    let stage = Stage::new();
    prepare(&stage).await;
    let before = stage.world.calls();
    let counted: Vec<_> = Call::ALL.iter().map(|call| (*call, before.count(*call))).collect();
    act(&stage).await;
    counted.into_iter().map(|(call, earlier)| (call, before.count(call) - earlier)).filter(|(_, made)| *made > 0).collect()
}

/// Runs the scenario once for each call, each time that it is made, each kind of fault, once and for good.
async fn matrix(prepare: impl AsyncFn(&Stage), act: impl AsyncFn(&Stage), check: impl AsyncFn(&Stage, &str)) {
    let mut runs = 0;
    for (call, made) in calls_of(&prepare, &act).await {
        for nth in 1..=made as u32 {
            for kind in KINDS {
                for times in [1, 2, u32::MAX] {
                    let stage = Stage::new();
                    prepare(&stage).await;
                    let background = works(&stage);
                    let fault = format!("{call} #{nth} {kind:?} ×{times}");
                    stage.world.faults().plan(Fault::new(call, nth, kind).times(times));
                    let ended = tokio::time::timeout(Duration::from_secs(36_000), act(&stage)).await;
                    assert!(ended.is_ok(), "{fault}: nobody answers");
                    stage.world.faults().clear();
                    // Lets takeovers and debts be dealt with.
                    tokio::time::sleep(Duration::from_secs(400)).await;
                    background.abort();
                    check(&stage, &fault).await;
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 100, "the matrix has only {runs} runs");
}

/// The background work of the service.
fn works(stage: &Stage) -> tokio::task::JoinHandle<()> {
    let controller = stage.controller.clone();
    tokio::spawn(async move { controller.run_background().await })
}

/// Whether an operation says that its undo was incomplete. The next deploy must put that right.
async fn undo_failed(stage: &Stage) -> bool {
    let incomplete = |view: &OperationView| matches!(&view.outcome, Some(Err(failure)) if failure.undo == UndoOutcome::Failed);
    stage.controller.operations().await.unwrap().iter().any(|view| incomplete(view))
}

/// The three worlds agree: a release in force, its server and its connection, or nothing at all.
async fn assert_consistent(stage: &Stage, fault: &str) -> bool {
    let unfinished: Vec<_> = stage.controller.operations().await.unwrap().into_iter().filter(|view| view.finished_at.is_none()).collect();
    assert!(unfinished.is_empty(), "{fault}: {unfinished:?}");
    let Some(release) = stage.world.releases().get(&key(NAME)) else {
        assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{fault}");
        return false;
    };
    // A change that was never applied is only marked as failed; the revision before it stays in force.
    let in_force = release.summary.standing.deployed.unwrap_or_else(|| panic!("{fault}: nothing is in force: {:?}", release.summary));
    let release = stage.world.installer().get(&key(NAME), Some(in_force)).await.unwrap().unwrap();
    let pending = stage.world.releases().history(&key(NAME)).into_iter().filter(|row| row.status.is_pending()).count();
    assert_eq!(pending, 0, "{fault}");
    let deployment = stage.controller.inspect(&target(NAME)).await.unwrap();
    assert_eq!(deployment.server.phase, ServerPhase::Ready, "{fault}");
    let (user, password) =
        stage.world.airflow().login(&"test_project_main".parse().unwrap()).unwrap_or_else(|| panic!("{fault}: no connection"));
    assert_eq!(Some(Credentials { user, password: password.into() }), release.credentials, "{fault}: the login agrees");
    true
}

async fn deployed(stage: &Stage) {
    revision(stage.deploy(main_request("v1")).await);
}

/// The deployment is whole, if need be after one more deploy.
async fn still_deployed(stage: &Stage, fault: &str) {
    if undo_failed(stage).await {
        revision(stage.deploy(main_request("v3")).await);
    }
    assert!(assert_consistent(stage, fault).await, "{fault}: the deployment is gone");
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_ends_whole_or_leaves_nothing() {
    let nothing = async |_: &Stage| {};
    let act = async |stage: &Stage| {
        let outcome = stage.deploy(main_request("v1")).await;
        let _ = outcome;
    };
    matrix(nothing, act, async |stage, fault| {
        // Also when the undo failed: what it left was removed since.
        assert_consistent(stage, fault).await;
        revision(stage.deploy(main_request("v2")).await);
        assert!(assert_consistent(stage, fault).await, "{fault}: the next deploy works");
        stage.delete(NAME).await.unwrap();
        assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{fault}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_deploy_ends_whole_or_as_before() {
    let act = async |stage: &Stage| {
        let mut changed = main_request("v2");
        changed.credentials.password = Some("another-password".into());
        let outcome = stage.deploy(changed).await;
        let image = stage.world.releases().get(&key(NAME)).unwrap().summary.deployment.unwrap().image;
        if let Ok(success) = outcome {
            assert!(image.ends_with(":v2"), "{success:?}");
        }
    };
    matrix(deployed, act, still_deployed).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_change_is_undone_through_every_fault() {
    let act = async |stage: &Stage| {
        stage.deploy(main_request("missing-1")).await.unwrap_err();
    };
    matrix(deployed, act, still_deployed).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_leaves_nothing_or_can_be_repeated() {
    let act = async |stage: &Stage| {
        let outcome = stage.delete(NAME).await;
        let _ = outcome;
    };
    matrix(deployed, act, async |stage, fault| {
        match stage.delete(NAME).await {
            Ok(_) | Err(Failure { code: FailureCode::NotFound, .. }) => {}
            Err(failure) => panic!("{fault}: {failure}"),
        }
        assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{fault}");
    })
    .await;
}
