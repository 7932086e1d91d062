//! Undos whose holder is gone, or that cannot do all of it.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind};
use dbt_controller_domain::model::*;

use super::Pair;
use crate::freezing::Freezing;
use crate::stage::{
    NAME, Stage, assert_tells_no_secret, caller, code, crashing, deploy, key, main_request, replica, revision, server, settings, target,
    world,
};

#[tokio::test(start_paused = true)]
async fn an_undo_of_which_nothing_could_be_stored_is_not_taken_for_the_deploy() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let mut wished = main_request("v2");
    wished.credentials.password = Some("another-password".into());
    let ticket = stage.controller.deploy(wished, caller()).await.unwrap();
    // The submission and the intent to write are stored, and then nothing for a while: neither the undo nor the end.
    stage.world.faults().plan(Fault::new(Call::OperationsCompareAndSwap, 2, FaultKind::Forbid).times(16));
    let next = replica(&stage.world, stage.world.operations(), settings());
    let background = tokio::spawn(async move { next.run_background().await });
    let failure = stage.controller.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::Interrupted, UndoOutcome::Undone), "{failure}");
    assert!(stage.world.releases().get(&key(NAME)).unwrap().summary.deployment.unwrap().image.ends_with(":v1"));
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_two_holders_left_behind_ends_with_nothing_left() {
    let world = world();
    let stores = [Freezing::new(world.operations()), Freezing::new(world.operations())];
    let [first, second] = stores.clone().map(|store| replica(&world, store, settings()));
    let ticket = first.deploy(main_request("crash-1"), caller()).await.unwrap();
    let mut views = first.follow(&ticket.id).await.unwrap().unwrap();
    // So soon that the ledger does not yet say which revision it was.
    views.wait_for(|view| view.phase == Phase::Ready).await.unwrap();
    stores[0].freeze(true);

    world.faults().plan(Fault::new(Call::ClusterDeleteClaims, 1, FaultKind::Fail).times(1_000));
    let mut views = second.follow(&ticket.id).await.unwrap().unwrap();
    let background = tokio::spawn(async move { second.run_background().await });
    views.wait_for(|view| view.phase == Phase::Undo).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    stores[1].freeze(true);
    assert!(world.releases().get(&key(NAME)).is_none() && !world.claims().of(&server(NAME)).is_empty());
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.faults().clear();

    let third = replica(&world, world.operations(), settings());
    let _background = tokio::spawn({
        let third = Arc::clone(&third);
        async move { third.run_background().await }
    });
    let failure = third.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::CrashLoop, UndoOutcome::Undone), "{failure}");
    assert_eq!(world.leftovers(), Vec::<String>::new());
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn an_undo_outlasts_an_outage() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    stage.world.faults().plan(Fault::new(Call::InstallerRollBack, 1, FaultKind::Fail).times(20));
    assert_eq!(stage.deploy(main_request("missing-1")).await.unwrap_err().undo, UndoOutcome::Undone);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_cannot_read_the_release_ends_and_a_delete_removes_it() {
    let pair = Pair::new();
    let ticket = pair.frozen.deploy(main_request("missing-1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    assert!(pair.world.releases().break_record(&key(NAME), "gzip: invalid header"));
    let _background = pair.survivor_works();
    let ended = tokio::time::timeout(Duration::from_secs(600), pair.survivor.wait(&ticket)).await.expect("it is not begun anew for ever");
    let failure = ended.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{failure}");
    assert!(failure.message.contains("gzip: invalid header"), "{failure}");
    assert_eq!(code(deploy(&pair.survivor, main_request("v1")).await), FailureCode::ReleaseUnreadable);
    let ticket = pair.survivor.delete(&target(NAME), caller()).await.unwrap();
    assert!(pair.survivor.wait(&ticket).await.unwrap().outcome.is_ok());
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn secrets_of_the_server_that_runs_are_not_told_after_a_takeover() {
    let pair = Pair::new();
    crashing(&pair.world, "1Gi").await;
    // The holder dies while the pod of the old revision is still there; whoever goes on finds it there too, and may not delete it.
    pair.world.faults().plan(Fault::new(Call::ClusterDeleteBrokenPods, 1, FaultKind::Hang).times(2));
    pair.world.faults().plan(Fault::new(Call::ClusterDeleteBrokenPods, 3, FaultKind::Forbid).times(100));
    let ticket = pair.frozen.deploy(main_request("v2"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    let _background = pair.survivor_works();
    let failure = pair.survivor.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_tells_no_secret(&failure);
}
