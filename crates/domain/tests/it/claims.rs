//! Claims that are hard to see are neither left behind nor lost.

use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind};
use dbt_controller_domain::model::*;

use crate::stage::{NAME, Stage, code, key, main_request, revision, server};

/// A cluster that is away for a moment while an undo looks for its claims: nothing would remember them.
#[tokio::test(start_paused = true)]
async fn an_undo_waits_for_the_claims_that_it_has_to_delete() {
    let stage = Stage::new();
    // More often than a step that can be undone is tried again, and not before the undo removes the release.
    let breaks = async {
        while stage.world.calls().count(Call::InstallerUninstall) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage.world.faults().plan(Fault::new(Call::ClusterClaimsNow, 1, FaultKind::Fail).times(8));
    };
    let failure = tokio::join!(stage.deploy(main_request("missing-1")), breaks).0.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ImagePullFailed, UndoOutcome::Undone), "{failure}");
    stage.assert_nothing_left();
}

/// A watch whose connection died without a word shows the past for a minute. What it does not show is deleted all the same, and an older claim
/// that it does not show is none that the deploy which is undone has made.
#[tokio::test(start_paused = true)]
async fn claims_that_no_watch_shows_are_neither_left_nor_lost() {
    let stage = Stage::new();
    stage.world.claims().are_seen(&server(NAME), false);
    revision(stage.deploy(main_request("v1")).await);
    let Ok(Success::Deleted { claims, .. }) = stage.delete(NAME).await else { panic!("not deleted") };
    assert_eq!(claims, [format!("{NAME}-{NAME}-0")]);
    stage.assert_nothing_left();

    assert_eq!(code(stage.deploy(main_request("missing-1")).await), FailureCode::ImagePullFailed);
    stage.assert_nothing_left();

    let (name, identity) = (key(NAME).name.claim_name(0), Some(main_request("v1").identity));
    stage.world.claims().plant(&server(NAME), Claim { name, identity, size: None, phase: "Bound".to_owned(), terminating: false });
    assert_eq!(code(stage.deploy(main_request("missing-1")).await), FailureCode::ImagePullFailed);
    assert_eq!(stage.world.claims().of(&server(NAME)).len(), 1);
}
