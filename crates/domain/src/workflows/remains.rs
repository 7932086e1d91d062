//! What is left of a first deployment that failed: removed by its undo, or as a debt when that could not.

use std::time::Duration;

use tokio::time::Instant;

use super::Workflows;
use super::call::{Halt, call_with, stop_of};
use crate::model::{
    Debt, FailureCode, FinishedOperation, Ledger, Namespace, OperationKind, ReleaseKey, ReleaseSummary, ServerKey, ServerName,
};
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
    // What was cancelled, or ended by a bug, may be committed, and nobody has told that it is taken back.
    let is_taken_back = left_by.outcome.as_ref().is_err_and(|failure| failure.code == FailureCode::RollbackFailed);
    is_ours && (!is_in_force || is_taken_back && newest.is_by(&left_by.info.id))
}

/// Tells with the end of an operation which remains are none any more, in the same write: by the next look the release may be gone, and its claims
/// would count as those of the failed attempt.
pub(super) async fn make_void(run: &Run, ending: &mut Ending) {
    let Ending::Done { outcome, paid, .. } = ending else { return };
    let went_well = match outcome {
        Ok(_) => true,
        Err(failure) => failure.code == FailureCode::PutToSleep,
    };
    let ledger = run.ledger();
    let is_void = |debt: &Debt| match (run.info.kind, debt) {
        (OperationKind::Delete, Debt::Remains { .. }) => went_well,
        (OperationKind::Deploy, Debt::Remains { server, claims_before }) => went_well || found_void(&ledger, server, claims_before),
        _ => false,
    };
    let debts = run.debts().await.into_iter().map(|(left_by, debt)| (left_by.info.key.clone(), debt));
    paid.extend(debts.filter(|(key, debt)| *key == run.info.key && is_void(debt)));
}

/// Whether a deploy saw that the release was not what these remains are of, when it decided what its undo goes back to: to a revision, or to claims
/// that were made since.
fn found_void(ledger: &Ledger, server: &ServerName, claims_before: &[String]) -> bool {
    let has_others = ledger.claims_before.iter().any(|claim| !claims_before.contains(claim));
    ledger.writing && ledger.server.as_ref() == Some(server) && (ledger.previous.is_some() || has_others)
}
