//! The undo of a deploy: what the ledger says was changed is taken back, last first. Run by the holder or by whoever took over.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Workflows;
use super::await_server::{Awaited, Awake, Limit};
use super::call::{Broken, Halt, UNTIL_DEADLINE, call, insist, stop_of};
use super::delete::ConnectionRemoval;
use super::deploy::Deploy;
use super::remains::{Effort, Left, Remains, written_by_others};
use crate::model::{
    ConnectionIntent, Debt, Failure, FailureCode, Ledger, Phase, Release, ReleaseSummary, RevisionHandle, RevisionNumber, StoredConnection,
    UndoOutcome,
};
use crate::operations::{Ending, Stop};
use crate::ports::{ClusterError, ConnectionError};

/// What an undo could not take back.
#[derive(Default)]
struct Leftovers {
    sentences: Vec<String>,
    debts: Vec<Debt>,
}

impl Deploy<'_> {
    /// Takes everything back, as far as possible, and ends the operation with the failure.
    pub(super) async fn undo(&self, failure: Failure) -> Ending {
        if failure.undo == UndoOutcome::LeftAsIs {
            // What is left may be committed.
            return self.ended(Err(failure));
        }
        let ledger = self.run.ledger();
        if !ledger.writing && !ledger.connecting && !ledger.waking {
            return Ending::failure(failure);
        }
        match self.take_back(failure, &ledger).await {
            Ok(ending) => ending,
            Err(stop) => Ending::Stopped(stop),
        }
    }

    async fn take_back(&self, failure: Failure, ledger: &Ledger) -> Result<Ending, Stop> {
        let deadline = Instant::now() + self.workflows.settings.undo_timeout;
        let mut left = Leftovers::default();
        let revision = match self.own_revision(ledger, deadline).await? {
            Ok(None) if !ledger.connecting && !ledger.waking => return Ok(Ending::failure(failure)),
            Ok(revision) => revision,
            Err(error) => {
                left.sentences.push(format!("whether a revision was recorded cannot be read: {error}"));
                if failure.code != FailureCode::ReleaseChanged {
                    left.debts.extend(ledger.remains());
                }
                None
            }
        };
        if let Some(revision) = &revision {
            // Once it is removed it cannot be found any more, by whoever takes over in the middle of the undo.
            self.run.note(|ledger| ledger.revision = Some(revision.revision));
        }
        let failure = self.begin(failure, ledger).await;
        if ledger.connecting
            && let Some(intent) = &ledger.connection
        {
            // An Airflow that is away must not use up the time of the release: what it could not take is a debt, paid when it is back.
            let share = deadline.saturating_duration_since(Instant::now()) / 4;
            self.restore_connection(intent, ledger.previous, Instant::now() + share, &mut left).await?;
        }
        let hands_off = failure.code == FailureCode::ReleaseChanged;
        if ledger.waking && !hands_off {
            self.back_to_sleep(ledger, deadline, &mut left).await?;
        }
        if let Some(revision) = revision.filter(|_| !hands_off) {
            match ledger.previous {
                Some(previous) => self.back_to(&revision, previous, &failure, ledger, deadline, &mut left).await?,
                None => self.remove(ledger, deadline, &mut left).await?,
            }
        }
        Ok(conclude(failure, left, hands_off))
    }

    /// Collects the autopsy before anything is taken back, and stores that the undo has begun.
    async fn begin(&self, failure: Failure, ledger: &Ledger) -> Failure {
        let failure = match ledger.undoing {
            Some(_) => failure,
            None if self.has_unknown_secrets.load(Ordering::Relaxed) => self.run.redact_failure(failure),
            None => self.run.redact_failure(self.workflows.with_autopsy(self.run, failure, &self.server).await),
        };
        self.run.phase(Phase::Undo, format!("undoing: {}", failure.message));
        let noted = failure.clone();
        if let Err(error) = self.run.record(|ledger| ledger.undoing = Some(Box::new(noted))).await {
            // The undo is safe to begin again, so a takeover that does not know of it does no harm.
            tracing::warn!(operation.id = %self.run.info.id, %error, "the begin of the undo is not stored");
        }
        failure
    }

    /// The revision that this operation recorded: from the ledger, or found when the answer of `begin` was lost.
    async fn own_revision(&self, ledger: &Ledger, deadline: Instant) -> Result<Result<Option<RevisionHandle>, String>, Stop> {
        let key = &self.run.info.key;
        let handle = |revision| RevisionHandle { key: key.clone(), revision, operation: self.run.info.id.clone() };
        if let Some(revision) = ledger.revision {
            return Ok(Ok(Some(handle(revision))));
        }
        let newest = stop_of(insist(self.run, deadline, || self.workflows.ports.installer.get(key, None)).await)?;
        let own = |newest: Option<Release>| newest.filter(|newest| self.wrote(&newest.summary));
        Ok(newest.map(|newest| own(newest).map(|own| handle(own.summary.revision))))
    }

    /// Puts the connection back as it was: its old fields and the previous revision's password, or none.
    async fn restore_connection(
        &self,
        intent: &ConnectionIntent,
        previous: Option<RevisionNumber>,
        deadline: Instant,
        left: &mut Leftovers,
    ) -> Result<(), Stop> {
        let restored = match (&self.workflows.ports.connections, &intent.before, previous) {
            // There was one when this was begun.
            (None, _, _) => Err("the service runs without Airflow now".to_owned()),
            (Some(_), Some(before), Some(previous)) => self.write_back(before, previous, deadline).await?,
            (Some(store), _, _) => {
                let removal = ConnectionRemoval::new(store.as_ref(), self.run, &self.run.info.key, &intent.id);
                stop_of(insist(self.run, deadline, || removal.attempt()).await)?.map(|_| ())
            }
        };
        // A write without an answer may be done after this.
        let may_change = restored.is_err() || self.may_be_connected.load(Ordering::Relaxed);
        if let Err(error) = restored {
            left.sentences.push(format!("connection `{}` is not as it was before: {error}", intent.id));
        }
        if may_change {
            // Without a revision to go back to the release goes, and its connection with it.
            let stays = intent.before.is_some() && previous.is_some();
            left.debts.push(if stays { Debt::Login } else { Debt::Connection }(intent.id.clone()));
        }
        Ok(())
    }

    async fn write_back(&self, before: &StoredConnection, previous: RevisionNumber, deadline: Instant) -> Result<Result<(), String>, Stop> {
        let Some(store) = &self.workflows.ports.connections else { return Ok(Ok(())) };
        let key = &self.run.info.key;
        let old = match stop_of(insist(self.run, deadline, || self.workflows.ports.installer.get(key, Some(previous))).await)? {
            Ok(old) => old.and_then(|release| release.credentials),
            Err(error) => return Ok(Err(error)),
        };
        let Some(mut credentials) = old else {
            // With the release its login went too. What is left is found by its description, at the next deploy or delete.
            let newest = stop_of(insist(self.run, deadline, || self.workflows.ports.installer.get(key, None)).await)?;
            let is_uninstalled = newest.is_ok_and(|newest| newest.is_none());
            return Ok(if is_uninstalled { Ok(()) } else { Err(format!("the login of revision {previous} is not on record")) });
        };
        if let Some(login) = &before.login {
            credentials.user.clone_from(login);
        }
        let mut connection = self.connection(&credentials, before.id.clone());
        connection.url.clone_from(&before.url);
        match insist(self.run, deadline, || store.put(&connection, Some(before), &self.run.fence)).await {
            // Somebody else has the id now: nothing of ours is there to be restored.
            Ok(_) | Err(Broken::Error(ConnectionError::Taken(_))) => Ok(Ok(())),
            Err(Broken::Error(error)) => Ok(Err(error.to_string())),
            Err(Broken::Stop(stop)) => Err(stop),
        }
    }

    /// Puts a server to sleep again that an equal POST woke, if it is still that of the same revision.
    async fn back_to_sleep(&self, ledger: &Ledger, deadline: Instant, left: &mut Leftovers) -> Result<(), Stop> {
        let Workflows { ports, .. } = self.workflows;
        let newest = match stop_of(insist(self.run, deadline, || ports.installer.get(&self.run.info.key, None)).await)? {
            Ok(newest) => newest,
            Err(error) => {
                left.sentences.push(format!("whether the server is still the one that was woken cannot be read: {error}"));
                return Ok(());
            }
        };
        if newest.is_none_or(|newest| !newest.summary.is_present() || Some(newest.summary.revision) != ledger.previous) {
            return Ok(());
        }
        let slept = stop_of(insist(self.run, deadline, || self.workflows.set_replicas(self.run, &self.server, 0)).await)?;
        left.note(slept.map_err(|error| format!("the server is not put back to sleep: {error}")));
        self.workflows.renote_dags(self.run, &self.server, ledger.dag_state_before, deadline).await
    }

    /// Goes back to the revision that was in force.
    async fn back_to(
        &self,
        failed: &RevisionHandle,
        previous: RevisionNumber,
        failure: &Failure,
        ledger: &Ledger,
        deadline: Instant,
        left: &mut Leftovers,
    ) -> Result<(), Stop> {
        let installer = &self.workflows.ports.installer;
        let fence = &self.run.fence;
        let why: String = failure.message.chars().take(200).collect();
        self.run.progress(format!("rolling back to revision {previous}"));
        if ledger.adopting {
            // A server is stopped for this, so it is looked first whether it is still the one that this operation made.
            if let Some(why) = self.why_not_ours(deadline).await? {
                left.sentences.push(format!("the release is left as it is: {why}"));
                return Ok(());
            }
            // The selector of the old StatefulSet is not ours: what stands there now has to go first, as on the way here.
            let deleted = insist(self.run, deadline, || self.workflows.delete_stateful_set(self.run, &self.server, false)).await;
            if let Err(Broken::Error(foreign @ ClusterError::ForeignObject { .. })) = &deleted {
                left.sentences.push(format!("the release is left as it is: {foreign}"));
                return Ok(());
            }
            left.note(stop_of(deleted)?.map_err(|error| format!("the StatefulSet could not be deleted: {error}")));
        }
        let back = match stop_of(insist(self.run, deadline, || installer.roll_back(failed, previous, &why, fence)).await)? {
            Ok(back) => back,
            Err(error) => {
                left.sentences.push(format!("the release could not be rolled back to revision {previous}: {error}"));
                return Ok(());
            }
        };
        if let Err(halt) = self.old_server_runs(ledger, &back, deadline).await {
            let failure = match halt {
                Halt::Stop(stop) => return Err(stop),
                Halt::Failed(failure) => self.run.redact_failure(*failure),
            };
            left.sentences.push(format!("the server of revision {previous} does not come up again: {}", failure.message));
            let marked = stop_of(
                insist(self.run, deadline.max(Instant::now() + fence.call_limit()), || installer.fail(&back, &failure.message, fence))
                    .await,
            )?;
            left.note(marked.map_err(|error| format!("revision {} is not marked as failed: {error}", back.revision)));
            return Ok(());
        }
        self.workflows.renote_dags(self.run, &self.server, ledger.dag_state_before, deadline).await?;
        let committed = stop_of(insist(self.run, deadline, || installer.commit(&back, fence)).await)?;
        left.note(committed.map_err(|error| format!("revision {} is not marked as deployed: {error}", back.revision)));
        Ok(())
    }

    /// Waits for the server of the previous revision, or puts it back to sleep when it slept.
    async fn old_server_runs(&self, ledger: &Ledger, back: &RevisionHandle, deadline: Instant) -> Result<(), Halt> {
        if ledger.replicas_before == Some(0) {
            let slept = insist(self.run, deadline, || self.workflows.set_replicas(self.run, &self.server, 0)).await;
            return slept.map_err(|broken| broken.or_fail(|error| super::faults::of_cluster(&error)));
        }
        match self.workflows.await_ready(self.run, &self.server, Awaited::Own(back), deadline, Limit::Undo).await? {
            Awake::Ready | Awake::PutToSleep => Ok(()),
        }
    }

    /// Why the newest revision is not this operation's: somebody may have uninstalled what it made and installed another, or taken it further.
    async fn why_not_ours(&self, deadline: Instant) -> Result<Option<String>, Stop> {
        let key = &self.run.info.key;
        let newest = stop_of(insist(self.run, deadline, || self.workflows.ports.installer.get(key, None)).await)?;
        Ok(match newest {
            Ok(Some(newest)) if self.is_own(&newest.summary) => None,
            Ok(Some(newest)) => Some(written_by_others(&newest.summary)),
            Ok(None) => Some("its records are gone".to_owned()),
            Err(error) => Some(format!("whose it is cannot be read: {error}")),
        })
    }

    fn is_own(&self, newest: &ReleaseSummary) -> bool {
        newest.is_present() && self.wrote(newest)
    }

    /// See [`Workflows::claim_to_come`]. Stored, for whoever takes over finds no StatefulSet any more that tells of it.
    async fn claim_to_come(&self, ledger: &Ledger, deadline: Instant) -> Result<Option<Debt>, Stop> {
        let noted = ledger.owed.iter().find(|debt| matches!(debt, Debt::Claim { .. }));
        if let Some(noted) = noted {
            return Ok(Some(noted.clone()));
        }
        let to_come = self.workflows.claim_to_come(self.run, &self.run.info.key, &self.server, deadline).await?;
        let is_new = |debt: &Debt| !matches!(debt, Debt::Claim { name, .. } if ledger.claims_before.contains(name));
        let Some(to_come) = to_come.filter(is_new) else { return Ok(None) };
        self.run.note(|ledger| ledger.owed.push(to_come.clone()));
        if let Err(error) = stop_of(call(self.run, deadline, || self.run.record(|_| ())).await)? {
            // The removal is worth more than the rare claim that nobody would know of.
            tracing::warn!(operation.id = %self.run.info.id, error, "that a claim may still be made is not stored");
        }
        Ok(Some(to_come))
    }

    /// Removes a first deployment whole: release, objects, and the claims that were made since it began.
    async fn remove(&self, ledger: &Ledger, deadline: Instant, left: &mut Leftovers) -> Result<(), Stop> {
        self.run.progress("removing the release and its objects");
        let is_left = |newest: &ReleaseSummary| self.is_own(newest);
        let remains = Remains { key: &self.run.info.key, server: &self.server, claims_before: &ledger.claims_before, is_left: &is_left };
        let effort = Effort { deadline, retries: UNTIL_DEADLINE, pods: self.workflows.settings.undo_timeout };
        let to_come = self.claim_to_come(ledger, deadline).await?;
        match remains.remove(self.workflows, self.run, &effort).await? {
            Ok(()) => left.debts.extend(to_come),
            Err(Left::Others(why)) => left.sentences.push(format!("the release is left as it is: {why}")),
            Err(Left::Ours(what)) => {
                left.sentences.push(what);
                left.debts.extend(ledger.remains());
                left.debts.extend(to_come);
            }
        }
        Ok(())
    }
}

impl Leftovers {
    fn note(&mut self, result: Result<(), String>) {
        self.sentences.extend(result.err());
    }
}

/// A failed undo takes over the code: what runs now is not what anybody asked for.
fn conclude(mut failure: Failure, left: Leftovers, hands_off: bool) -> Ending {
    if left.sentences.is_empty() {
        failure.undo = if hands_off { UndoOutcome::LeftAsIs } else { UndoOutcome::Undone };
    } else {
        let remedy = if left.debts.iter().any(|debt| matches!(debt, Debt::Remains { .. })) {
            "what is left is removed by itself as soon as that is possible; a POST or a DELETE of the deployment need not wait for that"
        } else {
            "post the deployment again or delete it"
        };
        failure.message = format!("{}; the undo was incomplete: {}; {remedy}", failure.message, left.sentences.join("; "));
        failure.code = FailureCode::RollbackFailed;
        failure.undo = UndoOutcome::Failed;
    }
    Ending::Done { outcome: Err(failure), debts: left.debts, paid: Vec::new() }
}
