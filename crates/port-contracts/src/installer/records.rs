//! The record protocol, forwards.

use dbt_controller_domain::model::{DesiredRelease, ReleaseStatus, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;

use super::{InstallerHarness, Played};
use crate::check::{Outcome, Stopped, ensure, ensure_eq, ensure_err};
use crate::fixtures::{self, fence};
use crate::harness::{fresh_request, until};

/// As many revisions as a release keeps.
const HISTORY: u32 = 10;

pub(super) async fn the_first_revision_is_pending_install(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let handle = played.begin().await?;
    let promised = RevisionHandle { key: played.key().clone(), revision: RevisionNumber(1), operation: played.desired.operation.clone() };
    ensure_eq!(handle, promised, "the handle");
    ensure_eq!(played.status(1).await?, Some(ReleaseStatus::PendingInstall), "the status");
    let listed = played.listed().await?;
    ensure_eq!(listed.map(|summary| (summary.status, summary.standing.deployed)), Some((ReleaseStatus::PendingInstall, None)), "the list");
    Ok(())
}

pub(super) async fn the_next_revision_is_pending_upgrade(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let handle = played.begin_of(&played.next(11)).await?;
    ensure_eq!(handle.revision, RevisionNumber(2), "the revision");
    ensure_eq!(played.status(2).await?, Some(ReleaseStatus::PendingUpgrade), "its status");
    ensure_eq!(played.status(1).await?, Some(ReleaseStatus::Deployed), "the status of the one in force");
    let summary = played.newest().await?.summary;
    ensure_eq!(summary.standing.deployed, Some(RevisionNumber(1)), "the revision in force");
    Ok(())
}

pub(super) async fn a_repeated_begin_returns_the_same_handle(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    ensure_eq!(played.begin().await?, played.begin().await?, "the handle of the first revision");
    let handle = played.begin().await?;
    played.installer.apply(&handle, &fence()).await?;
    ensure_eq!(played.begin().await?, handle, "the handle after the apply");
    played.installer.commit(&handle, &fence()).await?;
    let next = played.next(11);
    let second = played.begin_of(&next).await?;
    ensure_eq!(played.begin_of(&next).await?, second, "the handle of the second revision");
    ensure!(played.get(Some(3)).await?.is_none(), "a repeated begin made a revision");
    Ok(())
}

pub(super) async fn a_begin_that_is_repeated_after_the_commit_returns_the_same_handle(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let handle = played.deploy().await?;
    ensure_eq!(played.begin().await?, handle, "the handle");
    ensure_eq!(played.status(1).await?, Some(ReleaseStatus::Deployed), "the status");
    ensure!(played.get(Some(2)).await?.is_none(), "a repeated begin made a revision");
    Ok(())
}

pub(super) async fn begin_changes_no_object(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.begin().await?;
    ensure_eq!(played.objects().await?, Vec::<String>::new(), "the objects after the first begin");
    played.deploy().await?;
    let objects = played.objects().await?;
    let mut next = played.next(11);
    next.request.https_enabled = true;
    played.begin_of(&next).await?;
    ensure_eq!(played.objects().await?, objects, "the objects after the second begin");
    Ok(())
}

pub(super) async fn begin_stops_at_a_revision_that_was_not_decided_on(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.begin().await?;
    let blind = DesiredRelease { after: None, ..played.next(11) };
    let other = played.installer.begin(&blind, &fence()).await;
    ensure_err!(other, InstallerError::Changed(_), "begin of a first revision beside one that is there");
    let stale = DesiredRelease { after: Some(RevisionNumber(2)), ..played.next(11) };
    let other = played.installer.begin(&stale, &fence()).await;
    ensure_err!(other, InstallerError::Changed(_), "begin after a revision that is not there");
    ensure!(played.get(Some(2)).await?.is_none(), "it made a revision all the same");
    Ok(())
}

pub(super) async fn begin_goes_past_a_pending_revision_that_was_decided_on(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    harness.human_leaves_pending(played.key()).await.or_skip("human_leaves_pending")?;
    until(harness, "the human's revision", || async { Ok(played.get(Some(2)).await?.is_some()) }).await?;
    ensure_eq!(played.begin_of(&played.next(11)).await?.revision, RevisionNumber(3), "the revision above it");
    ensure_eq!(played.status(2).await?, Some(ReleaseStatus::Failed), "the status of the one that was left");
    Ok(())
}

pub(super) async fn begin_stops_at_a_humans_uninstall(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    harness.human_leaves_uninstalling(played.key()).await.or_skip("human_leaves_uninstalling")?;
    until(harness, "the human's uninstall", || async { Ok(played.status(1).await? == Some(ReleaseStatus::Uninstalling)) }).await?;
    let begun = played.installer.begin(&played.next(11), &fence()).await;
    ensure_err!(begun, InstallerError::Changed(_), "begin of a revision over one that is being removed");
    ensure_eq!(played.status(1).await?, Some(ReleaseStatus::Uninstalling), "its status");
    ensure!(played.get(Some(2)).await?.is_none(), "it made a revision all the same");
    Ok(())
}

pub(super) async fn begin_after_an_uninstall_that_kept_the_history_counts_on(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    harness.human_uninstalls(played.key(), true).await.or_skip("human_uninstalls")?;
    until(harness, "the uninstalled release", || async { Ok(played.status(1).await? == Some(ReleaseStatus::Uninstalled)) }).await?;
    let Some(listed) = played.listed().await? else { return Err(Stopped::broken("an uninstalled release is not listed")) };
    ensure!(!listed.is_present(), "an uninstalled release counts as present");
    ensure_eq!(listed.standing.deployed, None, "the revision in force");
    let handle = played.deploy_next(&played.next(11)).await?;
    ensure_eq!(handle.revision, RevisionNumber(2), "the revision after the kept one");
    ensure_eq!(played.status(2).await?, Some(ReleaseStatus::Deployed), "its status");
    Ok(())
}

pub(super) async fn begin_in_a_missing_namespace_says_so(harness: &dyn InstallerHarness) -> Outcome {
    let Some(namespace) = harness.missing_namespace() else { return Err(Stopped::Skipped("missing_namespace")) };
    let played = Played::new(harness, fresh_request(harness).namespace(namespace.as_str()).desired());
    let begun = played.begin_of(&played.desired).await;
    ensure_err!(begun, InstallerError::NamespaceMissing(_), "begin in a namespace that does not exist");
    Ok(())
}

pub(super) async fn a_dead_pending_revision_is_marked_failed(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    played.begin_of(&played.next(11)).await?;
    // A human's rollback goes through beside our pending revision, and leaves it below its own.
    harness.human_rolls_back(played.key(), RevisionNumber(1)).await.or_skip("human_rolls_back")?;
    until(harness, "the human's revision", || async { Ok(played.get(Some(3)).await?.is_some()) }).await?;
    let next = played.deploy_next(&played.next(12)).await?;
    ensure_eq!(next.revision, RevisionNumber(4), "the revision above the human's");
    ensure_eq!(played.status(2).await?, Some(ReleaseStatus::Failed), "the status of the dead one");
    Ok(())
}

pub(super) async fn a_commit_supersedes_every_other_deployed_revision(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    played.deploy_next(&played.next(11)).await?;
    played.deploy_next(&played.next(12)).await?;
    let statuses = [played.status(1).await?, played.status(2).await?, played.status(3).await?];
    let promised = [ReleaseStatus::Superseded, ReleaseStatus::Superseded, ReleaseStatus::Deployed].map(Some);
    ensure_eq!(statuses, promised, "the statuses");
    let listed = played.listed().await?;
    ensure_eq!(listed.and_then(|summary| summary.standing.deployed), Some(RevisionNumber(3)), "the revision in force");
    Ok(())
}

pub(super) async fn a_repeated_commit_succeeds(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let handle = played.deploy().await?;
    played.installer.commit(&handle, &fence()).await?;
    ensure_eq!(played.status(1).await?, Some(ReleaseStatus::Deployed), "the status");
    Ok(())
}

pub(super) async fn a_commit_below_a_humans_revision_is_refused(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let handle = played.begin_of(&played.next(11)).await?;
    harness.human_rolls_back(played.key(), RevisionNumber(1)).await.or_skip("human_rolls_back")?;
    let committed = played.installer.commit(&handle, &fence()).await;
    ensure_err!(committed, InstallerError::Changed(_), "commit below a human's revision");
    ensure_eq!(played.status(3).await?, Some(ReleaseStatus::Deployed), "the status of the human's revision");
    Ok(())
}

pub(super) async fn a_commit_of_an_uninstalled_release_is_refused(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let handle = played.begin().await?;
    played.installer.apply(&handle, &fence()).await?;
    harness.human_uninstalls(played.key(), false).await.or_skip("human_uninstalls")?;
    let committed = played.installer.commit(&handle, &fence()).await;
    ensure_err!(committed, InstallerError::Changed(_), "commit of a release that a human uninstalled");
    ensure!(played.get(None).await?.is_none(), "the commit brought the record back");
    Ok(())
}

pub(super) async fn a_failed_revision_leaves_the_deployed_one_in_force(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let handle = played.begin_of(&played.next(11)).await?;
    played.installer.fail(&handle, "the image cannot be pulled", &fence()).await?;
    ensure_eq!(played.status(2).await?, Some(ReleaseStatus::Failed), "the status");
    let summary = played.newest().await?.summary;
    ensure_eq!(summary.standing.deployed, Some(RevisionNumber(1)), "the revision in force");
    let next = played.deploy_next(&played.next(12)).await?;
    ensure_eq!(next.revision, RevisionNumber(3), "the revision after a failed one");
    Ok(())
}

pub(super) async fn a_repeated_fail_succeeds(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let handle = played.begin().await?;
    played.installer.fail(&handle, "why", &fence()).await?;
    played.installer.fail(&handle, "why", &fence()).await?;
    ensure_eq!(played.status(1).await?, Some(ReleaseStatus::Failed), "the status");
    let other = RevisionHandle { operation: fixtures::operation_id(), ..handle };
    let failed = played.installer.fail(&other, "why", &fence()).await;
    ensure_err!(failed, InstallerError::Changed(_), "fail with the handle of an operation that did not write the revision");
    Ok(())
}

pub(super) async fn a_failed_revision_cannot_be_committed(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let handle = played.begin().await?;
    played.installer.fail(&handle, "why", &fence()).await?;
    ensure_err!(played.installer.apply(&handle, &fence()).await, InstallerError::Changed(_), "apply of a failed revision");
    ensure_err!(played.installer.commit(&handle, &fence()).await, InstallerError::Changed(_), "commit of a failed revision");
    Ok(())
}

pub(super) async fn history_is_cut_at_ten_and_never_the_deployed_one(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    // Revision 1 stays in force while later ones fail.
    for _ in 0..=HISTORY {
        let handle = played.begin_of(&played.next(11)).await?;
        played.installer.fail(&handle, "why", &fence()).await?;
    }
    let newest = played.newest().await?.summary.revision.0;
    ensure_eq!(newest, HISTORY + 2, "the newest revision");
    let mut kept = Vec::new();
    for revision in 1..=newest {
        if played.get(Some(revision)).await?.is_some() {
            kept.push(revision);
        }
    }
    ensure_eq!(kept.len(), HISTORY as usize, "how many of the revisions are kept ({kept:?})");
    ensure!(kept.contains(&1) && kept.contains(&newest), "of the deployed and the newest revision one was cut: kept are {kept:?}");
    Ok(())
}
