//! The engine: takes operations in, runs their lines, lets callers wait and follow, takes over what others left.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Executor;
use super::audit;
use super::line::{run_line, take_over};
use super::placement::{Claim, Placement, Scene, cancelled, is_stale, place, promote, prune};
use super::records::{Change, Known, update};
use super::run::{Run, Stop};
use crate::model::{
    Caller, Failure, FailureCode, FinishedOperation, HolderId, OperationId, OperationInfo, OperationRecord, QueuedOperation, ReleaseKey,
    Task, Ticket,
};
use crate::naming::{Identity, ReleaseName};
use crate::ports::{Clock, OperationStore, Random, RefusalKind, StoreError};

/// The engine's limits, from the settings.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Deploys and resumes that run side by side.
    pub max_concurrent: usize,
    /// Operations of this replica that may wait.
    pub max_queued: usize,
    /// How long an ended operation stays readable.
    pub retention: Duration,
    /// After how long without a renewal a lock is stale.
    pub lock_stale_after: Duration,
}

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

/// Takes operations in and runs them.
pub struct Operations {
    pub(super) store: Arc<dyn OperationStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) executor: Arc<dyn Executor>,
    process: OperationId,
    claims: AtomicU64,
    pub(super) limits: Limits,
    random: Arc<dyn Random>,
    slots: Semaphore,
    queued: Arc<AtomicUsize>,
    runs: Mutex<HashMap<OperationId, Arc<Run>>>,
    lines: Arc<AtomicUsize>,
    /// Where lines run. A caller's own runtime may end before them: a web server's workers have one each.
    runtime: Option<Handle>,
    /// No new operations.
    closing: watch::Sender<bool>,
    /// Nothing runs any more; whoever still waits is sent away.
    pub(super) closed: watch::Sender<bool>,
    pub(super) this: Weak<Self>,
}

/// Counts something while it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Operations {
    /// An engine; a process that starts again is another one.
    pub fn new(
        store: Arc<dyn OperationStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        executor: Arc<dyn Executor>,
        limits: Limits,
    ) -> Arc<Self> {
        let process = random.operation_id();
        Arc::new_cyclic(|this| Self {
            store,
            clock,
            executor,
            process,
            claims: AtomicU64::new(1),
            slots: Semaphore::new(limits.max_concurrent),
            limits,
            random,
            queued: Arc::default(),
            runs: Mutex::default(),
            lines: Arc::default(),
            runtime: Handle::try_current().ok(),
            closing: watch::Sender::new(false),
            closed: watch::Sender::new(false),
            this: this.clone(),
        })
    }

    /// Puts an operation on its release's record. Once begun it goes on to its end, also when the caller is dropped in the middle:
    /// otherwise an operation could be on record that nobody runs.
    pub(crate) async fn submit(&self, submission: Submission) -> Result<Submitted, Failure> {
        let Some(engine) = self.this.upgrade() else {
            return Err(Failure::new(FailureCode::ShuttingDown, "the service is stopping"));
        };
        let submitting = self.spawn(async move { engine.place(submission).await }.in_current_span());
        submitting.await.unwrap_or_else(|panic| {
            tracing::error!(%panic, "a submission panicked");
            Err(Failure::new(FailureCode::Internal, "the service met a bug of its own while it took the operation in"))
        })
    }

    async fn place(&self, submission: Submission) -> Result<Submitted, Failure> {
        if self.is_closing() {
            return Err(Failure::new(
                FailureCode::ShuttingDown,
                "the service is stopping and takes no new operations; try again in a few seconds",
            ));
        }
        let full = self.queued.load(Ordering::SeqCst) >= self.limits.max_queued;
        let holder = self.new_holder();
        let waiting = Counted::new(&self.queued);
        let rivals = submission.rivals.clone();
        let operation = self.operation(submission);
        let changed = update(&*self.store, &operation.info.key, None, |record, lock_age| {
            let stale = is_stale(record, lock_age, self.limits.lock_stale_after);
            let scene = Scene { now: self.clock.now(), holder: &holder, stale, full };
            match place(record, &operation, &scene) {
                placed @ Placement::Placed(_) => {
                    prune(record, scene.now, self.limits.retention);
                    Change::Write(placed)
                }
                other => Change::Leave(other),
            }
        })
        .await
        .map_err(|error| submit_failure(&error))?;
        let ticket = |id: OperationId, joined| Ticket { id, key: operation.info.key.clone(), joined };
        match changed.value {
            Placement::Joined(id) => Ok(Submitted::Accepted(ticket(id, true))),
            Placement::Held => Ok(Submitted::Held),
            Placement::Full if full => Err(too_many(format!("{} operations wait already", self.limits.max_queued))),
            Placement::Full => Err(too_many(format!("{} operations wait for this deployment already", OperationRecord::MAX_WAITING))),
            Placement::Placed(claim) => {
                match self.is_elsewhere(&changed.known.record, &operation.info, &rivals).await {
                    Ok(false) => {}
                    Ok(true) => {
                        let withdrawn = self.withdraw(&operation.info, &holder).await?;
                        return Ok(if withdrawn { Submitted::Held } else { Submitted::Accepted(ticket(operation.info.id, false)) });
                    }
                    Err(failure) => {
                        let withdrawn = self.withdraw(&operation.info, &holder).await?;
                        return if withdrawn { Err(failure) } else { Ok(Submitted::Accepted(ticket(operation.info.id, false))) };
                    }
                }
                audit::accepted(&operation.info);
                let is_stopped = |earlier: &&Arc<FinishedOperation>| earlier.outcome == Err(cancelled(&operation.info.id));
                for stopped in changed.known.record.finished.iter().filter(is_stopped) {
                    self.tell_end(stopped);
                }
                match claim {
                    Some(how) => self.spawn_line(changed.known, changed.sent, how),
                    None => self.count_until_promoted(&operation.info, waiting),
                }
                Ok(Submitted::Accepted(ticket(operation.info.id, false)))
            }
        }
    }

    /// One round of the background work: takes over stale lines, pays debts, drops what is past its retention.
    pub(crate) async fn recover(&self) -> Result<(), StoreError> {
        let Some(engine) = self.this.upgrade() else { return Ok(()) };
        for stored in self.store.list().await? {
            if self.is_closing() {
                return Ok(());
            }
            let record = &stored.record;
            let stale = is_stale(record, stored.lock_age, self.limits.lock_stale_after);
            let orphaned = record.running.is_none() && !record.waiting.is_empty();
            let outcome = if stale || orphaned {
                take_over(&engine, record).await.map(|_| ())
            } else if record.running.is_none() && record.debts().any(|(_, debt)| self.executor.may_pay(debt)) {
                self.settle(record).await;
                Ok(())
            } else {
                self.clean(record).await
            };
            if let Err(error) = outcome {
                tracing::warn!(release.name = %record.key.name, %error, "the background work on a release's operations is tried again later");
            }
        }
        Ok(())
    }

    /// Stops: see [`crate::Controller::shut_down`].
    pub(crate) async fn shut_down(&self, grace: Duration) {
        self.closing.send_replace(true);
        self.lines_end_within(grace).await;
        for run in self.all_live() {
            run.ask_to_stop(Stop::ShuttingDown);
        }
        // A call that hangs is not waited for: without renewal its lock is stale after S anyway.
        self.lines_end_within(Duration::from_secs(2)).await;
        self.closed.send_replace(true);
    }

    /// The id of a new claim.
    pub(super) fn new_holder(&self) -> HolderId {
        HolderId(format!("{}-{}", self.process, self.claims.fetch_add(1, Ordering::Relaxed)))
    }

    /// Whether no new operations are taken.
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Resolves when the service begins to stop.
    pub(crate) async fn closing(&self) {
        // The sender is a field of `self`, so the wait ends by the value only.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// A place among the operations that run side by side.
    pub(super) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        let _waiting = Counted::new(&self.queued);
        // The semaphore is never closed.
        self.slots.acquire().await.ok()
    }

    pub(super) fn spawn_line(&self, known: Known, sent: Instant, how: Claim) {
        let Some(engine) = self.this.upgrade() else { return };
        let counted = Counted::new(&self.lines);
        let line = async move {
            run_line(engine, known, sent, how).await;
            drop(counted);
        };
        drop(self.spawn(line));
    }

    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        }
    }

    pub(super) fn enter(&self, run: &Arc<Run>) {
        self.live_runs().insert(run.info.id.clone(), Arc::clone(run));
    }

    pub(super) fn leave(&self, run: &Run) {
        self.live_runs().remove(&run.info.id);
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

    /// Writes the line of the audit, and lets the executor tell of it.
    pub(super) fn tell_end(&self, finished: &FinishedOperation) {
        audit::ended(finished);
        self.executor.ended(finished);
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
            let record = self.read(rival).await.map_err(|error| store_failure(&error))?;
            let same = |other: &OperationInfo| other.identity.is_some() && other.identity == info.identity;
            if record.is_some_and(|record| record.unfinished().any(|(other, _)| same(other))) {
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
                promote(record, &Scene { now: self.clock.now(), holder, stale: false, full: false });
            }
            // Whatever else was claimed on the way is given back at once.
            if let Some(running) = record.running.as_mut().filter(|running| running.holder == *holder) {
                running.released = true;
            }
            Change::Write(!record.holds(&info.id))
        });
        withdrawn.await.map(|changed| changed.value).map_err(|error| store_failure(&error))
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

    async fn settle(&self, record: &OperationRecord) {
        let caller = Caller { request_id: "background".to_owned(), actor: "controller".to_owned() };
        let submission = Submission { key: record.key.clone(), identity: None, task: Task::Settle, caller, rivals: Vec::new() };
        if let Err(failure) = self.submit(submission).await {
            tracing::warn!(release.name = %record.key.name, %failure, "open debts are settled later");
        }
    }

    async fn clean(&self, seen: &OperationRecord) -> Result<(), StoreError> {
        let now = self.clock.now();
        let due = |record: &OperationRecord| {
            let mut pruned = record.clone();
            prune(&mut pruned, now, self.limits.retention);
            let empty = pruned.running.is_none() && pruned.waiting.is_empty() && pruned.finished.is_empty();
            (empty || pruned.finished.len() != record.finished.len()).then_some(pruned)
        };
        if due(seen).is_none() {
            return Ok(());
        }
        let Some(stored) = self.store.read(&seen.key.name).await? else { return Ok(()) };
        let Some(pruned) = due(&stored.record) else { return Ok(()) };
        let empty = pruned.running.is_none() && pruned.waiting.is_empty() && pruned.finished.is_empty();
        let cleaned = if empty {
            self.store.remove(&seen.key.name, stored.version).await
        } else {
            self.store.compare_and_swap(&seen.key.name, Some(stored.version), Arc::new(pruned)).await.map(|_| ())
        };
        match cleaned {
            // Somebody uses the record; the next round looks again.
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }

    async fn lines_end_within(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while self.lines.load(Ordering::SeqCst) > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) fn live(&self, id: &OperationId) -> Option<Arc<Run>> {
        self.live_runs().get(id).cloned()
    }

    fn all_live(&self) -> Vec<Arc<Run>> {
        self.live_runs().values().cloned().collect()
    }

    fn live_runs(&self) -> std::sync::MutexGuard<'_, HashMap<OperationId, Arc<Run>>> {
        // A map of handles; a panic elsewhere cannot leave it half changed.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(what: String) -> Failure {
    Failure::new(FailureCode::TooManyOperations, format!("{what}; try again later"))
}

/// Whether the operation was accepted is not known when the answer to its writing was lost.
fn submit_failure(error: &StoreError) -> Failure {
    let mut failure = store_failure(error);
    match error {
        StoreError::Forbidden(_) | StoreError::NamespaceMissing(_) | StoreError::Refused { .. } => {}
        StoreError::Conflict | StoreError::Unavailable(_) | StoreError::TooLarge(_) | StoreError::Unexpected(_) => {
            failure.message =
                format!("{error}; it is not known whether the operation was accepted; send the same request again, it then joins");
        }
    }
    failure
}

pub(crate) fn store_failure(error: &StoreError) -> Failure {
    tracing::warn!(%error, "the operation store could not be used");
    let (code, remedy) = match error {
        StoreError::Unavailable(_) | StoreError::Conflict => (FailureCode::ClusterUnavailable, "try again later"),
        StoreError::Forbidden(_) => (FailureCode::Forbidden, "give the service's account this right; its Role is in the documentation"),
        StoreError::NamespaceMissing(_) => (FailureCode::NamespaceMissing, "create it, or correct `KUBERNETES_NAMESPACE`"),
        StoreError::Refused { kind: RefusalKind::Quota, .. } => (FailureCode::QuotaExceeded, "raise the quota"),
        StoreError::Refused { kind: RefusalKind::Admission, .. } => (FailureCode::AdmissionRefused, "change what it objects to"),
        StoreError::TooLarge(_) | StoreError::Unexpected(_) => (FailureCode::Internal, "try again later"),
    };
    Failure::new(code, format!("{error}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_refuses_is_told_by_its_cause_and_one_that_does_not_answer_by_what_is_unknown() {
        let refused = |kind| StoreError::Refused { kind, message: "words".to_owned() };
        let unknown = "it is not known whether the operation was accepted";
        let cases = [
            (StoreError::Forbidden("words".to_owned()), FailureCode::Forbidden, "words"),
            (StoreError::NamespaceMissing("words".to_owned()), FailureCode::NamespaceMissing, "words"),
            (refused(RefusalKind::Quota), FailureCode::QuotaExceeded, "words"),
            (refused(RefusalKind::Admission), FailureCode::AdmissionRefused, "words"),
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
