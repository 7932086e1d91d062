//! What is left of a first deployment that failed: removed by its undo, or as a debt when that could not.

use std::time::Duration;

use tokio::time::Instant;

use super::Workflows;
use super::call::{Halt, call_with, stop_of};
use crate::controller::Ports;
use crate::model::{
    Debt, FailureCode, FinishedOperation, Ledger, Namespace, OperationKind, ReleaseKey, ReleaseSummary, ServerKey, ServerName,
};
use crate::operations::{Ending, Run, Stop};
use crate::ports::InstallerError;

/// What may be left of one.
pub(super) struct Remains<'a> {
    pub(super) key: &'a ReleaseKey,
    pub(super) server: &'a ServerKey,
    /// Claims that existed before it. They stay.
    pub(super) claims_before: &'a [String],
    /// Whether the release, by its newest revision, is still what is to be removed. Without any record it is: the objects that are left of it are
    /// what an earlier try did not get to.
    pub(super) is_left: &'a (dyn Fn(&ReleaseSummary) -> bool + Sync),
}

/// Why something is there after a removal, in a sentence.
pub(super) enum Left {
    /// The release is somebody else's by now.
    Others(String),
    /// It could not be removed.
    Ours(String),
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
    /// Removes the release, its objects, and the claims that were made since. Safe to run again.
    pub(super) async fn remove(&self, workflows: &Workflows, run: &Run, effort: &Effort) -> Result<Result<(), Left>, Stop> {
        let Self { key, server, claims_before, is_left: _ } = self;
        let Effort { deadline, retries, pods } = *effort;
        let ports = &workflows.ports;
        let left = |what: String| Ok(Err(Left::Ours(what)));
        match stop_of(call_with(run, deadline, retries, || self.uninstall(ports, run)).await)? {
            Ok(None) => {}
            Ok(Some(others)) => return Ok(Err(Left::Others(others))),
            Err(error) => return left(format!("the release is not removed: {error}")),
        }
        if let Err(halt) = workflows.await_gone(run, key, server, deadline.min(Instant::now() + pods)).await {
            return match halt {
                Halt::Stop(stop) => Err(stop),
                Halt::Failed(failure) => left(failure.message),
            };
        }
        let made = match stop_of(call_with(run, deadline, retries, || workflows.own_claims_now(key, server)).await)? {
            Ok(claims) => claims.into_iter().map(|claim| claim.name).filter(|name| !claims_before.contains(name)).collect::<Vec<_>>(),
            Err(error) => return left(format!("claims are not looked for: {error}")),
        };
        if made.is_empty() {
            return Ok(Ok(()));
        }
        let names = made.join(", ");
        run.progress(format!("deleting claims {names}"));
        let deleted = call_with(run, deadline, retries, || workflows.delete_claims(run, key, server, &made)).await;
        Ok(stop_of(deleted)?.map_err(|error| Left::Ours(format!("claims {names} are not deleted: {error}"))))
    }

    /// Tries once to uninstall the release, after a look whose it is: a human may have taken it further, also since the try before. Says so if
    /// somebody has.
    async fn uninstall(&self, ports: &Ports, run: &Run) -> Result<Option<String>, InstallerError> {
        if let Some(newest) = ports.installer.get(self.key, None).await?
            && !(self.is_left)(&newest.summary)
        {
            return Ok(Some(written_by_others(&newest.summary)));
        }
        ports.installer.uninstall(self.key, &run.fence).await.map(|_| None)
    }
}

/// That a revision is not ours, in words.
pub(super) fn written_by_others(newest: &ReleaseSummary) -> String {
    format!("somebody else wrote its revision {} ({})", newest.revision, newest.status)
}

/// Whether a release, by its newest revision, is what this operation left, or an attempt since then that did not come up either. Whoever asks
/// holds the lock, so that nobody of ours is at work on it. What was uninstalled with its history kept is a human's.
pub(super) fn is_left_of(left_by: &FinishedOperation, newest: &ReleaseSummary, home: &Namespace) -> bool {
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
