//! How an operation gets on its release's record: placed, joined to an equal one, or turned away.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Instrument as _;

use super::audit;
use super::engine::{Counted, Operations, store_failure};
use super::placement::{Placement, Room, Scene, is_stale, place, promote, prune};
use super::records::{Change, read, update};
use crate::model::{
    Caller, Failure, FailureCode, FinishedOperation, HolderId, OperationId, OperationInfo, OperationKind, OperationRecord, QueuedOperation,
    ReleaseKey, Task, Ticket,
};
use crate::naming::{Identity, ReleaseName};
use crate::ports::StoreError;

/// What `submit` needs to know of an operation.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The release.
    pub key: ReleaseKey,
    /// Whose server it is, where that is known.
    pub identity: Option<Identity>,
    /// What to do.
    pub task: Task,
    /// Who asked.
    pub caller: Caller,
    /// Other names that an operation of this identity may be under way with at this moment; empty when the release exists.
    pub rivals: Vec<ReleaseName>,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It runs, waits or joined.
    Accepted(Ticket),
    /// The name is in use by an unfinished operation of another identity.
    Held,
}

impl Operations {
    /// Puts an operation on its release's record. Once begun it goes on to its end, also when the caller is dropped in the middle:
    /// otherwise an operation could be on record that nobody runs.
    pub(crate) async fn submit(&self, submission: Submission) -> Result<Submitted, Failure> {
        let Some(engine) = self.this.upgrade() else {
            return Err(Failure::new(FailureCode::ShuttingDown, "the service is stopping"));
        };
        let submitting = self.spawn(async move { engine.place(submission).await }.in_current_span());
        submitting.await.unwrap_or_else(|_| {
            // Not what it panicked with: values are secrets at times. Where it did is in the log.
            tracing::error!("a submission panicked");
            Err(Failure::new(FailureCode::Internal, "the service met a bug of its own while it took the operation in"))
        })
    }

    async fn place(&self, submission: Submission) -> Result<Submitted, Failure> {
        let _claiming = self.claiming();
        if self.is_closing() {
            return Err(Failure::new(
                FailureCode::ShuttingDown,
                "the service is stopping and takes no new operations; try again in a few seconds",
            ));
        }
        let room = self.room(submission.task.kind());
        let holder = self.new_holder();
        let waiting = Counted::new(&self.queued);
        let rivals = submission.rivals.clone();
        let operation = self.operation(submission);
        let mut ended = Vec::new();
        let changed = update(&*self.store, &operation.info.key, None, |record, lock_age| {
            let stale = is_stale(record, lock_age, self.limits.lock_stale_after);
            let scene = Scene { now: self.clock.now(), holder: &holder, stale, stale_after: self.limits.lock_stale_after };
            let placing = place(record, &operation, room, &scene);
            if !placing.is_change() {
                return Change::Leave(placing.placement);
            }
            ended.extend(placing.ended);
            prune(record, scene.now, self.limits.retention);
            Change::Write(placing.placement)
        })
        .await
        .map_err(|error| submit_failure(&error))?;
        // Of a try that was not written there is nothing on the record; one whose answer was lost may be.
        let ended: Vec<_> = changed.known.record.finished.iter().filter(|finished| ended.contains(finished)).cloned().collect();
        let ticket = |id: OperationId, joined| Ticket { id, key: operation.info.key.clone(), joined };
        match changed.value {
            Placement::Joined(id, claim) => {
                // What was written without an answer, and has come to its end since, joins itself.
                if id == operation.info.id {
                    tell_accepted(&operation.info);
                } else if !operation.info.kind.is_background() {
                    audit::joined(&operation.info, &id);
                }
                self.tell_ends(&ended);
                if let Some(how) = claim {
                    self.spawn_line(changed.known, changed.sent, how);
                }
                Ok(Submitted::Accepted(ticket(id, true)))
            }
            Placement::Held => Ok(Submitted::Held),
            Placement::Full if room != Room::ToWait => Err(too_many(format!("{} operations wait already", self.limits.max_queued))),
            Placement::Full => Err(too_many(format!("{} operations wait for this deployment already", OperationRecord::MAX_WAITING))),
            Placement::Placed(claim) => {
                let backs_off = match self.is_elsewhere(&changed.known.record, &operation.info, &rivals).await {
                    Ok(false) => None,
                    Ok(true) => Some(Ok(Submitted::Held)),
                    Err(failure) => Some(Err(failure)),
                };
                let is_ours = backs_off.is_none();
                if let Some(answer) = backs_off
                    && self.withdraw(&operation.info, &holder).await?
                {
                    return answer;
                }
                tell_accepted(&operation.info);
                self.tell_ends(&ended);
                match claim {
                    // Somebody else has taken it over.
                    _ if !is_ours => {}
                    Some(how) => self.spawn_line(changed.known, changed.sent, how),
                    None => self.count_until_promoted(&operation.info, waiting),
                }
                Ok(Submitted::Accepted(ticket(operation.info.id, false)))
            }
        }
    }

    /// Tells of what a delete ended while it waited. What ran until then is told by whoever ran it.
    fn tell_ends(&self, ended: &[Arc<FinishedOperation>]) {
        for ended in ended {
            self.tell_end(ended);
        }
    }

    /// What there is room for now, for an operation of this kind.
    fn room(&self, kind: OperationKind) -> Room {
        let queued = self.queued.load(Ordering::SeqCst);
        if queued < self.limits.max_queued {
            Room::ToWait
        } else if !kind.needs_slot() || queued < self.limits.max_queued + self.free_slots() {
            // Those that are being placed now are counted too, and may take the places that are free.
            Room::ToBegin
        } else {
            Room::Full
        }
    }

    fn operation(&self, submission: Submission) -> QueuedOperation {
        let Submission { key, identity, task, caller, rivals: _ } = submission;
        let info = OperationInfo {
            id: self.random.operation_id(),
            kind: task.kind(),
            key,
            identity,
            task_hash: task.hash(),
            caller,
            submitted_at: self.clock.now(),
        };
        QueuedOperation { info, task }
    }

    /// Whether an operation of the same identity is under way with another of its names.
    ///
    /// Two replicas may see different names free when a stranger's operation ends at that moment. Each writes first and looks
    /// at the other names then, so at least one of them sees the other and steps back. A record on which no stranger was cannot
    /// have changed hands; the first choice is then safe without a look.
    async fn is_elsewhere(&self, record: &OperationRecord, info: &OperationInfo, rivals: &[ReleaseName]) -> Result<bool, Failure> {
        let changed_hands = record.finished.iter().any(|finished| finished.info.identity != info.identity);
        let first_choice = info.identity.as_ref().is_none_or(|identity| identity.release_names().first() == Some(&info.key.name));
        if first_choice && !changed_hands {
            return Ok(false);
        }
        for rival in rivals {
            let stored = read(&*self.store, rival, &mut 0).await.map_err(|error| store_failure(&error))?;
            let same = |other: &OperationInfo| other.identity.is_some() && other.identity == info.identity;
            if stored.is_some_and(|stored| stored.record.unfinished().any(|(other, _)| same(other))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes back an operation that was placed and has not begun. False when somebody else has taken it over: the look at the other names
    /// can last longer than the lock.
    async fn withdraw(&self, info: &OperationInfo, holder: &HolderId) -> Result<bool, Failure> {
        let withdrawn = update(&*self.store, &info.key, None, |record, _| {
            record.waiting.retain(|queued| queued.info.id != info.id);
            if record.running.as_ref().is_some_and(|running| running.info.id == info.id && running.holder == *holder) {
                record.running = None;
                let stale_after = self.limits.lock_stale_after;
                promote(record, &Scene { now: self.clock.now(), holder, stale: false, stale_after });
            }
            // Whatever else was claimed on the way is given back at once.
            if let Some(running) = record.running.as_mut().filter(|running| running.holder == *holder) {
                running.released = true;
            }
            Change::Write(!record.holds(&info.id))
        });
        withdrawn.await.map(|changed| changed.value).map_err(|error| submit_failure(&error))
    }

    /// Keeps an operation that waits in a release's line in the count of those that wait.
    fn count_until_promoted(&self, info: &OperationInfo, counted: Counted) {
        let (store, name, id) = (Arc::clone(&self.store), info.key.name.clone(), info.id.clone());
        let mut closed = self.closed.subscribe();
        tokio::spawn(async move {
            let mut record = store.watch(&name).await;
            let waits = |record: &Option<Arc<OperationRecord>>| {
                record.as_ref().is_some_and(|record| record.waiting.iter().any(|queued| queued.info.id == id))
            };
            tokio::select! {
                _ = record.wait_for(|record| !waits(record)) => {}
                _ = closed.wait_for(|closed| *closed) => {}
            }
            drop(counted);
        });
    }
}

/// The background work tells of what it changes only.
fn tell_accepted(info: &OperationInfo) {
    if !info.kind.is_background() {
        audit::accepted(info);
    }
}

fn too_many(what: String) -> Failure {
    Failure::new(FailureCode::TooManyOperations, format!("{what}; try again later"))
}

/// Whether the operation was accepted is not known when the answer to its writing was lost.
fn submit_failure(error: &StoreError) -> Failure {
    let mut failure = store_failure(error);
    match error {
        StoreError::Forbidden(_)
        | StoreError::NamespaceMissing(_)
        | StoreError::Refused { .. }
        | StoreError::TooLarge(_)
        | StoreError::Unreadable(_) => {}
        StoreError::Conflict | StoreError::Unavailable(_) | StoreError::Unexpected(_) => {
            failure.message =
                format!("{error}; it is not known whether the operation was accepted; send the same request again, it then joins");
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::RefusalKind;

    #[test]
    fn a_store_that_refuses_is_told_by_its_cause_and_one_that_does_not_answer_by_what_is_unknown() {
        let refused = |kind| StoreError::Refused { kind, message: "words".to_owned() };
        let unknown = "it is not known whether the operation was accepted";
        let cases = [
            (StoreError::Forbidden("words".to_owned()), FailureCode::Forbidden, "words"),
            (StoreError::NamespaceMissing("words".to_owned()), FailureCode::NamespaceMissing, "words"),
            (refused(RefusalKind::Quota), FailureCode::QuotaExceeded, "words"),
            (refused(RefusalKind::Admission), FailureCode::AdmissionRefused, "words"),
            (StoreError::Unreadable("words".to_owned()), FailureCode::Internal, "words"),
            (StoreError::Unavailable("no answer".into()), FailureCode::ClusterUnavailable, unknown),
            (StoreError::Unexpected("odd".into()), FailureCode::Internal, unknown),
        ];
        for (error, code, words) in cases {
            let failure = submit_failure(&error);
            assert_eq!(failure.code, code);
            assert!(failure.message.contains(words), "{failure}");
            assert_eq!(failure.message.contains(unknown), words == unknown, "{failure}");
        }
    }
}
