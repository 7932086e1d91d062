//! What is left of a first deployment that failed: removed by its undo, or as a debt when that could not.

use std::time::Duration;

use tokio::time::Instant;

use super::Workflows;
use super::call::{Halt, call_with, stop_of};
use crate::model::{Debt, FailureCode, FinishedOperation, Namespace, OperationKind, ReleaseKey, ReleaseSummary, ServerKey};
use crate::operations::{Ending, Run, Stop};

/// What may be left of one.
pub(super) struct Remains<'a> {
    pub(super) key: &'a ReleaseKey,
    pub(super) server: &'a ServerKey,
    /// Claims that existed before it. They stay.
    pub(super) claims_before: &'a [String],
}

/// How hard a removal tries.
pub(super) struct Effort {
    /// Until when its calls may take.
    pub(super) deadline: Instant,
    /// How often each is tried again.
    pub(super) retries: u32,
    /// How long it waits for the pods to end.
    pub(super) pods: Duration,
}

impl Remains<'_> {
    /// Removes the release, its objects, and the claims that were made since. Returns what is left, in sentences; safe to run again.
    pub(super) async fn remove(&self, workflows: &Workflows, run: &Run, effort: &Effort) -> Result<Vec<String>, Stop> {
        let Self { key, server, claims_before } = self;
        let Effort { deadline, retries, pods } = *effort;
        let ports = &workflows.ports;
        let removed = call_with(run, deadline, retries, || ports.installer.uninstall(key, &run.fence)).await;
        if let Err(error) = stop_of(removed)? {
            return Ok(vec![format!("the release is not removed: {error}")]);
        }
        if let Err(halt) = workflows.await_gone(run, key, server, deadline.min(Instant::now() + pods)).await {
            return match halt {
                Halt::Stop(stop) => Err(stop),
                Halt::Failed(failure) => Ok(vec![failure.message]),
            };
        }
        let made = match stop_of(call_with(run, deadline, retries, || workflows.own_claims_now(key, server)).await)? {
            Ok(claims) => claims.into_iter().map(|claim| claim.name).filter(|name| !claims_before.contains(name)).collect::<Vec<_>>(),
            Err(error) => return Ok(vec![format!("claims are not looked for: {error}")]),
        };
        if made.is_empty() {
            return Ok(Vec::new());
        }
        let names = made.join(", ");
        run.progress(format!("deleting claims {names}"));
        let deleted = call_with(run, deadline, retries, || ports.cluster.delete_claims(server, &made, &run.fence)).await;
        Ok(stop_of(deleted)?.err().map(|error| format!("claims {names} are not deleted: {error}")).into_iter().collect())
    }
}

/// Whether a release, by its newest revision, is what this operation left, or an attempt since then that did not come up either. Whoever asks
/// holds the lock, so that nobody of ours is at work on it. What was uninstalled with its history kept is a human's.
pub(super) fn is_left_of(left_by: &FinishedOperation, newest: Option<&ReleaseSummary>, home: &Namespace) -> bool {
    let Some(newest) = newest else { return true };
    let Some(facts) = newest.deployment.as_ref().filter(|_| newest.is_present()) else { return false };
    let is_ours = facts.operation.is_some() && facts.home.as_ref().is_none_or(|namespace| namespace == home);
    let is_in_force = newest.standing.to_go_back_to().is_some();
    // One that was stopped may have been committed, and nobody decided to take it back.
    let is_taken_back =
        left_by.outcome.as_ref().is_err_and(|failure| !matches!(failure.code, FailureCode::Cancelled | FailureCode::Internal));
    is_ours && (!is_in_force || is_taken_back && newest.is_by(&left_by.info.id))
}

/// After a deploy or a delete that went well nothing is left of what failed before. That is told in the same write: a human could uninstall the
/// release before the next look, and its claims would count as those of the failed attempt.
pub(super) async fn make_void(run: &Run, ending: &mut Ending) {
    let Ending::Done { outcome, paid, .. } = ending else { return };
    let is_in_place = match outcome {
        Ok(_) => true,
        Err(failure) => failure.code == FailureCode::PutToSleep,
    };
    if is_in_place && matches!(run.info.kind, OperationKind::Deploy | OperationKind::Delete) {
        let debts = run.debts().await.into_iter().map(|(left_by, debt)| (left_by.info.key.clone(), debt));
        paid.extend(debts.filter(|(key, debt)| *key == run.info.key && matches!(debt, Debt::Remains { .. })));
    }
}
