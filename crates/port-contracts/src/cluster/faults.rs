//! The rules of all ports, for this one.

use std::time::Duration;

use dbt_controller_domain::ports::{ClusterError, Fence};
use tokio::time::Instant;

use super::{ClusterHarness, Played};
use crate::check::{Outcome, ensure, ensure_eq, ensure_err};
use crate::fixtures::{fence, fence_down};
use crate::harness::FarSide;

async fn every_write(played: &Played<'_>, fence: &Fence) -> Vec<(&'static str, Result<(), ClusterError>)> {
    let (cluster, key) = (&played.cluster, &played.key);
    let larger = &played.desired.request.resources.memory_limit;
    let claims = [played.desired.key.name.claim_name(0)];
    vec![
        ("set_replicas", cluster.set_replicas(key, 0, fence).await),
        ("grow_claims", cluster.grow_claims(key, larger, fence).await),
        ("delete_broken_pods", cluster.delete_broken_pods(key, fence).await.map(drop)),
        ("delete_orphans", cluster.delete_orphans(key, fence).await.map(drop)),
        ("delete_stateful_set", cluster.delete_stateful_set(key, true, fence).await),
        ("delete_claims", cluster.delete_claims(key, &claims, fence).await),
    ]
}

pub(super) async fn every_write_asks_the_fence_first(harness: &dyn ClusterHarness) -> Outcome {
    let stale = Fence::new(Duration::from_millis(100), Instant::now());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let played = Played::ready(harness).await?;
    let before = (played.state().await?, played.cluster.claims(&played.key).await?);
    for fence in [fence_down(), stale] {
        for (method, answer) in every_write(&played, &fence).await {
            ensure_err!(answer, ClusterError::Fenced(_), "`{method}`");
        }
    }
    ensure_eq!((played.state().await?, played.cluster.claims(&played.key).await?), before, "the server and its claims");
    Ok(())
}

pub(super) async fn a_cluster_that_answers_is_checked(harness: &dyn ClusterHarness) -> Outcome {
    harness.cluster().check().await?;
    Ok(())
}

pub(super) async fn a_far_side_that_is_down_is_unavailable(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    harness.set_far_side(FarSide::Down).await.or_skip("set_far_side")?;
    let mut answers = every_write(&played, &fence()).await;
    // What has no orphans needs no far side for that.
    answers.retain(|(method, _)| *method != "delete_orphans");
    answers.push(("check", played.cluster.check().await));
    answers.push(("why_no_pod", played.cluster.why_no_pod(&played.key).await.map(drop)));
    let mended = harness.set_far_side(FarSide::Answers).await;
    mended.or_skip("set_far_side")?;
    for (method, answer) in answers {
        ensure_err!(answer, ClusterError::Unavailable(_), "`{method}`");
    }
    played.until_ready().await?;
    harness.cluster().check().await?;
    Ok(())
}

pub(super) async fn a_far_side_that_hangs_is_given_up(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let fence = Fence::new(Duration::from_secs(6), Instant::now());
    let grace = Duration::from_secs(1);
    harness.set_far_side(FarSide::Hangs).await.or_skip("set_far_side")?;
    let write = tokio::time::timeout(fence.call_limit() + grace, played.cluster.set_replicas(&played.key, 0, &fence)).await;
    let read = tokio::time::timeout(Duration::from_secs(10) + grace, played.cluster.check()).await;
    let probe = tokio::time::timeout(Duration::from_secs(2) + grace, played.cluster.probe(&played.key)).await;
    let mended = harness.set_far_side(FarSide::Answers).await;
    mended.or_skip("set_far_side")?;
    ensure_err!(write?, ClusterError::Unavailable(_), "a write that hangs");
    ensure_err!(read?, ClusterError::Unavailable(_), "a check that hangs");
    ensure_eq!(probe?, None, "the answer to a probe that hangs");
    Ok(())
}

pub(super) async fn an_autopsy_says_what_it_could_not_read(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    harness.set_far_side(FarSide::Down).await.or_skip("set_far_side")?;
    let autopsy = played.cluster.autopsy(&played.key).await;
    let mended = harness.set_far_side(FarSide::Answers).await;
    mended.or_skip("set_far_side")?;
    ensure!(!autopsy.gaps.is_empty(), "the autopsy has no gaps: {autopsy:?}");
    Ok(())
}
