//! The rules of all ports, for this one: fence, limits, secrets.

use std::future::Future;
use std::time::Duration;

use dbt_controller_domain::model::{DesiredRelease, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::{Fence, InstallerError};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::{InstallerHarness, Played};
use crate::check::{Outcome, Stopped, ensure, ensure_eq, ensure_err};
use crate::fixtures::{fence, fence_down};
use crate::harness::{FarSide, fresh_request};

/// Every write with this fence, on a release whose revision 1 is deployed and whose revision 2 is pending.
async fn every_write(
    played: &Played,
    pending: &RevisionHandle,
    next: &DesiredRelease,
    fence: &Fence,
) -> Vec<(&'static str, Result<(), InstallerError>)> {
    let installer = &played.installer;
    vec![
        ("begin", installer.begin(next, fence).await.map(drop)),
        ("apply", installer.apply(pending, fence).await),
        ("commit", installer.commit(pending, fence).await),
        ("fail", installer.fail(pending, "why", fence).await),
        ("roll_back", installer.roll_back(pending, RevisionNumber(1), "why", fence).await.map(drop)),
        ("repair", installer.repair(played.key(), fence).await.map(drop)),
        ("uninstall", installer.uninstall(played.key(), fence).await.map(drop)),
    ]
}

async fn pending(harness: &dyn InstallerHarness) -> Outcome<(Played, RevisionHandle)> {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let mut next = played.next(11);
    next.request.https_enabled = true;
    let handle = played.begin_of(&next).await?;
    Ok((played, handle))
}

async fn is_fenced_by(harness: &dyn InstallerHarness, fence: &Fence) -> Outcome {
    let (played, pending) = pending(harness).await?;
    let before = (played.newest().await?.summary, played.objects().await?);
    for (method, answer) in every_write(&played, &pending, &played.next(12), fence).await {
        ensure_err!(answer, InstallerError::Fenced(_), "`{method}`");
    }
    ensure_eq!((played.newest().await?.summary, played.objects().await?), before, "the release");
    Ok(())
}

pub(super) async fn every_write_asks_the_fence_first(harness: &dyn InstallerHarness) -> Outcome {
    is_fenced_by(harness, &fence_down()).await
}

pub(super) async fn every_write_heeds_a_fence_that_was_not_renewed(harness: &dyn InstallerHarness) -> Outcome {
    let stale_after = Duration::from_millis(100);
    let fence = Fence::new(stale_after, Instant::now());
    tokio::time::sleep(stale_after / 2).await;
    is_fenced_by(harness, &fence).await
}

pub(super) async fn a_far_side_that_is_down_is_unavailable(harness: &dyn InstallerHarness) -> Outcome {
    let (played, pending) = pending(harness).await?;
    harness.set_far_side(FarSide::Down).await.or_skip("set_far_side")?;
    let answers = every_write(&played, &pending, &played.next(12), &fence()).await;
    let mended = harness.set_far_side(FarSide::Answers).await;
    mended.or_skip("set_far_side")?;
    for (method, answer) in answers {
        ensure_err!(answer, InstallerError::Unavailable(_), "`{method}`");
    }
    ensure_eq!(played.newest().await?.summary.revision, pending.revision, "the newest revision");
    Ok(())
}

pub(super) async fn a_far_side_that_hangs_is_given_up(harness: &dyn InstallerHarness) -> Outcome {
    let (played, pending) = pending(harness).await?;
    // S/3 is 2 s for a write.
    let fence = Fence::new(Duration::from_secs(6), Instant::now());
    harness.set_far_side(FarSide::Hangs).await.or_skip("set_far_side")?;
    let write = given_up(fence.call_limit(), played.installer.apply(&pending, &fence)).await;
    let read = given_up(Duration::from_secs(10), played.installer.get(played.key(), None)).await;
    let mended = harness.set_far_side(FarSide::Answers).await;
    mended.or_skip("set_far_side")?;
    write.and(read)
}

/// The call ends within the limit, or at most a second later, as `Unavailable`.
async fn given_up<T>(limit: Duration, call: impl Future<Output = Result<T, InstallerError>>) -> Outcome {
    match tokio::time::timeout(limit + Duration::from_secs(1), call).await {
        Ok(Err(InstallerError::Unavailable(_))) => Ok(()),
        Ok(Err(other)) => Err(Stopped::broken(&format!("{other:?} instead of Unavailable"))),
        Ok(Ok(_)) => Err(Stopped::broken("an answer came out of nothing")),
        Err(_) => Err(Stopped::broken(&format!("a call lasted longer than {limit:?}"))),
    }
}

pub(super) async fn errors_hold_no_secret(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness).git_url("https://bot:gh_canary_3@git.example.com/p.git").desired());
    let handle = played.begin().await?;
    let other = RevisionHandle { operation: crate::fixtures::operation_id(), ..handle };
    let mut errors = vec![
        played.installer.apply(&other, &fence()).await.map(drop),
        played.installer.begin(&played.next(11), &fence()).await.map(drop),
        played.installer.repair(played.key(), &fence()).await.map(drop),
        played.installer.commit(&other, &fence_down()).await.map(drop),
    ];
    if let Some(namespace) = harness.missing_namespace() {
        let mut desired = played.desired.clone();
        desired.key.namespace = namespace;
        errors.push(played.begin_of(&desired).await.map(drop));
    }
    let password = played.desired.credentials.password.expose_secret();
    for error in errors {
        let Err(error) = error else { return Err(Stopped::broken("what had to be refused was done")) };
        let text = format!("{error} {error:?}");
        ensure!(!text.contains("gh_canary_3") && !text.contains(password), "a secret is in an error of this kind: {error}");
    }
    Ok(())
}
