//! The engine: what one process keeps of the operations that it runs, the background work on all of them, and the end of both.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Executor;
use super::audit;
use super::line::{run_line, take_over};
use super::placement::{Claim, is_stale, prune, retention};
use super::records::Known;
use super::run::{Run, Stop};
use super::submission::Submission;
use crate::model::{Caller, Failure, FailureCode, FinishedOperation, HolderId, OperationId, OperationRecord, Task};
use crate::ports::{Clock, OperationStore, Random, RefusalKind, StoreError, StoredRecord};

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

/// Takes operations in and runs them.
pub struct Operations {
    pub(super) store: Arc<dyn OperationStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) executor: Arc<dyn Executor>,
    process: OperationId,
    claims: AtomicU64,
    pub(super) limits: Limits,
    pub(super) random: Arc<dyn Random>,
    slots: Semaphore,
    pub(super) queued: Arc<AtomicUsize>,
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
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A run that is shown while this lives.
pub(super) struct Live<'a> {
    engine: &'a Operations,
    run: Arc<Run>,
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        // A process that lost the lock for a while may have taken its own operation over by now: that run is another one.
        let mut runs = self.engine.live_runs();
        if runs.get(&self.run.info.id).is_some_and(|shown| Arc::ptr_eq(shown, &self.run)) {
            runs.remove(&self.run.info.id);
        }
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

    /// One round of the background work: takes over stale lines and pays debts.
    pub(crate) async fn recover(&self) -> Result<(), StoreError> {
        let Some(engine) = self.this.upgrade() else { return Ok(()) };
        for StoredRecord { record, lock_age, .. } in self.store.list().await? {
            if self.is_closing() {
                return Ok(());
            }
            let stale = is_stale(&record, lock_age, self.limits.lock_stale_after);
            let orphaned = record.running.is_none() && !record.waiting.is_empty();
            if stale || orphaned {
                tell_trouble(&record, take_over(&engine, &record).await.map(|_| ()));
            } else if record.running.is_none() && record.debts().any(|(left_by, debt)| self.executor.may_pay(&left_by.info.key, debt)) {
                self.settle(&record).await;
            }
        }
        Ok(())
    }

    /// One more, beside it: drops what is past its retention. Thousands of records may be due at once, and no takeover waits for them.
    pub(crate) async fn clean_up(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let all = self.store.list().await?;
        let retention = self.retention_of(all.iter().map(|stored| &*stored.record), now);
        for stored in all {
            if self.is_closing() {
                return Ok(());
            }
            tell_trouble(&stored.record, self.clean(&stored.record, now, retention).await);
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

    /// How many operations that need a place would get one at once.
    pub(super) fn free_slots(&self) -> usize {
        self.slots.available_permits()
    }

    /// A stop waits until what is returned is dropped. To be had before the look whether the service stops, by whoever may claim a lock.
    pub(super) fn claiming(&self) -> Counted {
        Counted::new(&self.lines)
    }

    pub(super) fn spawn_line(&self, known: Known, sent: Instant, how: Claim) {
        let Some(engine) = self.this.upgrade() else { return };
        let counted = self.claiming();
        let line = async move {
            run_line(engine, known, sent, how).await;
            drop(counted);
        };
        drop(self.spawn(line));
    }

    pub(super) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        }
    }

    /// Shows a run to those who look for it here, until what is returned is dropped. One that comes when the service stops is asked to
    /// stop: its claim may have been on its way to the store when the stop began.
    pub(super) fn enter(&self, run: &Arc<Run>) -> Live<'_> {
        self.live_runs().insert(run.info.id.clone(), Arc::clone(run));
        // Looked at after the insertion: whoever does not see the stop here is seen by it.
        if self.is_closing() {
            run.ask_to_stop(Stop::ShuttingDown);
        }
        Live { engine: self, run: Arc::clone(run) }
    }

    /// Writes the line of the audit, and lets the executor tell of it.
    pub(super) fn tell_end(&self, finished: &FinishedOperation) {
        audit::ended(finished);
        self.executor.ended(finished);
    }

    async fn settle(&self, record: &OperationRecord) {
        let (key, caller) = (record.key.clone(), Caller::background());
        let submission = Submission { key, identity: None, task: Task::Settle, caller, rivals: Vec::new() };
        if let Err(failure) = self.submit(submission).await {
            tracing::warn!(release.name = %record.key.name, %failure, "open debts are settled later");
        }
    }

    /// For how long ended operations are kept now: shorter when there are too many of them. Whoever may deploy can fail under a new name each
    /// time, and each name has a record.
    fn retention_of<'a>(&self, records: impl Iterator<Item = &'a OperationRecord>, now: Timestamp) -> Duration {
        let ended = records.flat_map(|record| &record.finished).filter(|finished| finished.debts.is_empty());
        retention(ended.map(|finished| finished.finished_at).collect(), now, self.limits.retention)
    }

    /// Drops what is past its retention now. Not at the moment when its turn comes: where there are too many, that would be all of them.
    async fn clean(&self, seen: &OperationRecord, now: Timestamp, retention: Duration) -> Result<(), StoreError> {
        let due = |record: &OperationRecord| {
            let mut pruned = record.clone();
            prune(&mut pruned, now, retention);
            (pruned.is_empty() || pruned.finished.len() != record.finished.len()).then_some(pruned)
        };
        if due(seen).is_none() {
            return Ok(());
        }
        let Some(stored) = self.store.read(&seen.key.name).await? else { return Ok(()) };
        let Some(pruned) = due(&stored.record) else { return Ok(()) };
        let cleaned = if pruned.is_empty() {
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

/// What the background work could not do for a release.
fn tell_trouble(record: &OperationRecord, outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::warn!(release.name = %record.key.name, %error, "the background work on a release's operations is tried again later");
    }
}

pub(crate) fn store_failure(error: &StoreError) -> Failure {
    tracing::warn!(%error, "the operation store could not be used");
    let (code, remedy) = match error {
        StoreError::Unavailable(_) | StoreError::Conflict => (FailureCode::ClusterUnavailable, "try again later"),
        StoreError::Forbidden(_) => (FailureCode::Forbidden, "give the service's account this right; its Role is in the documentation"),
        StoreError::NamespaceMissing(_) => (FailureCode::NamespaceMissing, "create it, or correct `KUBERNETES_NAMESPACE`"),
        StoreError::Refused { kind: RefusalKind::Quota, .. } => (FailureCode::QuotaExceeded, "raise the quota"),
        StoreError::Refused { kind: RefusalKind::Admission, .. } => (FailureCode::AdmissionRefused, "change what it objects to"),
        // It says what to do.
        StoreError::Unreadable(_) => return Failure::new(FailureCode::Internal, error.to_string()),
        StoreError::TooLarge(_) | StoreError::Unexpected(_) => (FailureCode::Internal, "try again later"),
    };
    Failure::new(code, format!("{error}; {remedy}"))
}
