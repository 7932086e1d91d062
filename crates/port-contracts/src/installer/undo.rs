//! The record protocol, backwards.

use dbt_controller_domain::model::{DesiredRelease, ReleaseStatus, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;

use super::{InstallerHarness, Played};
use crate::check::{Outcome, ensure, ensure_eq, ensure_err};
use crate::fixtures::{self, fence};
use crate::harness::fresh_request;

const FIRST: RevisionNumber = RevisionNumber(1);

/// Revision 1 deployed, revision 2 applied and about to be given up.
async fn half_way(harness: &dyn InstallerHarness, change: fn(&mut DesiredRelease)) -> Outcome<(Played, RevisionHandle)> {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let mut next = played.next(11);
    change(&mut next);
    let handle = played.begin_of(&next).await?;
    played.installer.apply(&handle, &fence()).await?;
    Ok((played, handle))
}

pub(super) async fn a_rollback_takes_the_old_content_back(harness: &dyn InstallerHarness) -> Outcome {
    let change = |next: &mut DesiredRelease| {
        next.request.https_enabled = true;
        next.credentials = fixtures::credentials("second");
    };
    let (played, failed) = half_way(harness, change).await?;
    let before = played.get(Some(1)).await?.map(|release| release.values);
    let back = played.installer.roll_back(&failed, FIRST, "the image cannot be pulled", &fence()).await?;
    let promised = RevisionHandle { revision: RevisionNumber(3), ..failed.clone() };
    ensure_eq!(back, promised, "the handle");
    ensure_eq!(played.status(2).await?, Some(ReleaseStatus::Failed), "the status of the failed revision");
    ensure_eq!(played.status(3).await?, Some(ReleaseStatus::PendingRollback), "the status of the new revision");
    ensure_eq!(played.status(1).await?, Some(ReleaseStatus::Deployed), "the status of the old revision until the commit");
    let kinds: Vec<_> = played.objects().await?.iter().filter(|object| object.starts_with("Ingress/")).cloned().collect();
    ensure_eq!(kinds, Vec::<String>::new(), "what only the failed revision had");

    played.installer.commit(&back, &fence()).await?;
    let newest = played.newest().await?;
    ensure_eq!(newest.summary.status, ReleaseStatus::Deployed, "the status after the commit");
    ensure_eq!(newest.summary.standing.deployed, Some(RevisionNumber(3)), "the revision in force");
    ensure_eq!(played.status(1).await?, Some(ReleaseStatus::Superseded), "the status of the old revision after the commit");
    ensure_eq!(newest.credentials, Some(played.desired.credentials.clone()), "the login");
    ensure_eq!(Some(newest.values), before, "the values");
    let facts = newest.summary.deployment;
    ensure_eq!(facts.as_ref().and_then(|facts| facts.request_hash.clone()), Some(played.desired.request.hash()), "the request hash");
    ensure_eq!(facts.and_then(|facts| facts.operation), Some(failed.operation), "the operation that wrote the rollback");
    Ok(())
}

pub(super) async fn a_repeated_rollback_returns_the_same_handle(harness: &dyn InstallerHarness) -> Outcome {
    let (played, failed) = half_way(harness, |_| ()).await?;
    let back = played.installer.roll_back(&failed, FIRST, "why", &fence()).await?;
    ensure_eq!(played.installer.roll_back(&failed, FIRST, "why", &fence()).await?, back, "the handle");
    ensure!(played.get(Some(4)).await?.is_none(), "a repeated rollback made a revision");
    Ok(())
}

pub(super) async fn a_rollback_that_is_repeated_after_its_commit_returns_the_same_handle(harness: &dyn InstallerHarness) -> Outcome {
    let (played, failed) = half_way(harness, |_| ()).await?;
    let back = played.installer.roll_back(&failed, FIRST, "why", &fence()).await?;
    played.installer.commit(&back, &fence()).await?;
    ensure_eq!(played.installer.roll_back(&failed, FIRST, "why", &fence()).await?, back, "the handle");
    ensure_eq!(played.status(3).await?, Some(ReleaseStatus::Deployed), "the status");
    Ok(())
}

/// The answer to the commit was lost, the operation gives up: the record says `deployed`, and it must still be possible to go back.
pub(super) async fn a_rollback_after_a_lost_commit_succeeds(harness: &dyn InstallerHarness) -> Outcome {
    let (played, failed) = half_way(harness, |_| ()).await?;
    played.installer.commit(&failed, &fence()).await?;
    let back = played.installer.roll_back(&failed, FIRST, "why", &fence()).await?;
    played.installer.commit(&back, &fence()).await?;
    let statuses = [played.status(1).await?, played.status(2).await?, played.status(3).await?];
    let promised = [ReleaseStatus::Superseded, ReleaseStatus::Failed, ReleaseStatus::Deployed].map(Some);
    ensure_eq!(statuses, promised, "the statuses");
    Ok(())
}

pub(super) async fn a_rollback_is_refused_when_a_human_was_first(harness: &dyn InstallerHarness) -> Outcome {
    let (played, failed) = half_way(harness, |_| ()).await?;
    harness.human_rolls_back(played.key(), FIRST).await.or_skip("human_rolls_back")?;
    let back = played.installer.roll_back(&failed, FIRST, "why", &fence()).await;
    ensure_err!(back, InstallerError::Changed(_), "a rollback below a human's revision");
    ensure!(played.get(Some(4)).await?.is_none(), "it made a revision all the same");
    Ok(())
}

pub(super) async fn a_rollback_to_a_revision_that_is_gone_is_refused(harness: &dyn InstallerHarness) -> Outcome {
    let (played, failed) = half_way(harness, |_| ()).await?;
    let back = played.installer.roll_back(&failed, RevisionNumber(99), "why", &fence()).await;
    ensure_err!(back, InstallerError::Changed(_), "a rollback to a revision that does not exist");
    Ok(())
}

pub(super) async fn a_rollback_that_fails_can_be_marked_so(harness: &dyn InstallerHarness) -> Outcome {
    let (played, failed) = half_way(harness, |_| ()).await?;
    let back = played.installer.roll_back(&failed, FIRST, "why", &fence()).await?;
    played.installer.fail(&back, "the old server does not come up either", &fence()).await?;
    ensure_eq!(played.status(3).await?, Some(ReleaseStatus::Failed), "the status");
    let next = played.deploy_next(&played.next(12)).await?;
    ensure_eq!(next.revision, RevisionNumber(4), "the next revision");
    Ok(())
}

/// "An undo keeps a grown claim": the claim template of the failed revision cannot be changed back, and must not stop the undo.
pub(super) async fn a_rollback_crosses_a_larger_claim(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    harness.remove_object(played.key(), &format!("StatefulSet/{}", played.key().name)).await.or_skip("remove_object")?;
    let mut next = played.next(11);
    next.request.resources.storage_size = fresh_request(harness).storage("2Gi").build().resources.storage_size;
    let failed = played.begin_of(&next).await?;
    played.installer.apply(&failed, &fence()).await?;
    let back = played.installer.roll_back(&failed, FIRST, "why", &fence()).await?;
    played.installer.commit(&back, &fence()).await?;
    ensure_eq!(played.status(3).await?, Some(ReleaseStatus::Deployed), "the status");
    Ok(())
}
