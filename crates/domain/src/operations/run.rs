//! What a workflow sees of its operation: the fence, the story, the ledger, and whether it has to stop.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::records::{Change, Known, update};
use crate::model::{
    Debt, Failure, FinishedOperation, HolderId, Ledger, OperationEvent, OperationId, OperationInfo, OperationRecord, OperationState,
    OperationView, Phase, Redactor, RunningOperation,
};
use crate::ports::{Clock, Fence, OperationStore, StoreError};

/// Why an operation has to stop where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A delete of the same release came in.
    Cancelled(OperationId),
    /// The service is stopping and the grace is over; another replica or the next start goes on.
    ShuttingDown,
    /// What has to be known cannot be read now; the lock is given up, and whoever takes it next tries again.
    Later,
    /// The lock is somebody else's now; nothing more may be touched or reported.
    Lost,
}

/// How many events one operation keeps; the oldest are dropped first.
const MAX_EVENTS: usize = 200;

/// One operation while this process holds its lock.
pub struct Run {
    /// What the operation is.
    pub info: OperationInfo,
    /// The right to write.
    pub fence: Fence,
    store: Arc<dyn OperationStore>,
    clock: Arc<dyn Clock>,
    holder: HolderId,
    /// The holder's own part of the record; the truth until it is written.
    own: Mutex<Own>,
    /// The record as last written or read here. The async lock also puts the holder's writes in a row.
    known: tokio::sync::Mutex<Known>,
    view: watch::Sender<Arc<OperationView>>,
    stop: watch::Sender<Option<Stop>>,
}

struct Own {
    running: RunningOperation,
    redactor: Redactor,
    next_sequence: u64,
}

impl Run {
    /// A run of the record's running operation, whose lock was taken by a call sent at `sent`.
    pub(super) fn new(
        store: Arc<dyn OperationStore>,
        clock: Arc<dyn Clock>,
        known: Known,
        running: RunningOperation,
        fence: Fence,
    ) -> Self {
        let view = watch::Sender::new(Arc::new(OperationView::from(&running)));
        let stop = watch::Sender::new(running.cancelled_by.clone().map(Stop::Cancelled));
        let next_sequence = running.events.last().map_or(1, |event| event.sequence + 1);
        Self {
            info: running.info.clone(),
            fence,
            store,
            clock,
            holder: running.holder.clone(),
            own: Mutex::new(Own { redactor: running.task.redactor(), running, next_sequence }),
            known: tokio::sync::Mutex::new(known),
            view,
            stop,
        }
    }

    /// Begins a phase and tells the story's readers.
    pub fn phase(&self, phase: Phase, message: impl Into<String>) {
        self.tell(Some(phase), message.into());
    }

    /// Tells of progress within the phase; the same sentence twice in a row is told once.
    pub fn progress(&self, message: impl Into<String>) {
        self.tell(None, message.into());
    }

    /// What the operation did so far.
    pub fn ledger(&self) -> Ledger {
        self.own().running.ledger.clone()
    }

    /// When the operation began to run.
    pub fn started_at(&self) -> jiff::Timestamp {
        self.own().running.started_at
    }

    /// Notes something for the ledger; it is stored with the next write.
    pub fn note(&self, note: impl FnOnce(&mut Ledger)) {
        note(&mut self.own().running.ledger);
    }

    /// Notes something and stores it before it returns: what a takeover must know before the next call is made.
    ///
    /// # Errors
    /// `StoreError` when it could not be stored; a lost lock shows as [`Run::stopped`] and a fence that is down.
    pub async fn record(&self, note: impl FnOnce(&mut Ledger)) -> Result<(), StoreError> {
        self.note(note);
        self.flush().await
    }

    /// The open debts of the name's earlier operations, with the operation that left each.
    pub async fn debts(&self) -> Vec<(Arc<FinishedOperation>, Debt)> {
        self.known.lock().await.record.debts().map(|(left_by, debt)| (Arc::clone(left_by), debt.clone())).collect()
    }

    /// The operation begins to work: its time runs from now on, not from when it came to wait for a slot.
    pub(super) fn begin(&self) {
        self.own().running.started_at = self.clock.now();
    }

    /// Text from outside without the secrets that this operation knows of.
    pub fn redact(&self, text: &str) -> String {
        self.own().redactor.redact(text)
    }

    /// A failure without those secrets.
    pub fn redact_failure(&self, mut failure: Failure) -> Failure {
        let redactor = self.own().redactor.clone();
        failure.message = redactor.redact(&failure.message);
        failure.autopsy = failure.autopsy.map(|autopsy| Box::new(autopsy.redacted(&redactor)));
        failure
    }

    /// From now on these secrets are kept out of everything that the operation tells.
    pub fn keep_secret(&self, redactor: &Redactor) {
        let mut own = self.own();
        own.redactor = own.redactor.clone().and(redactor);
    }

    /// Whether the operation has to stop.
    ///
    /// # Errors
    /// The reason.
    pub fn checkpoint(&self) -> Result<(), Stop> {
        match &*self.stop.borrow() {
            Some(stop) => Err(stop.clone()),
            None => Ok(()),
        }
    }

    /// Resolves when the operation has to stop.
    pub async fn stopped(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        loop {
            if let Some(stop) = stop.borrow_and_update().clone() {
                return stop;
            }
            if stop.changed().await.is_err() {
                // The sender is a field of `self`, so it lives as long as this future.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the fence lets calls through again, after the store was away for too long.
    ///
    /// # Errors
    /// The reason to stop, a lost lock among them.
    pub async fn regain(&self) -> Result<(), Stop> {
        while self.fence.check().is_err() {
            self.checkpoint()?;
            if self.fence.is_down() {
                return Err(Stop::Lost);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }

    /// Writes the holder's part of the record and so renews the lock.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let mut known = self.known.lock().await;
        // The try under way: its renewal and when it was sent. Each try has a renewal of its own, so a record that shows it was written
        // by it, and its answer was lost.
        let mut tried: Option<(u64, Instant)> = None;
        let mut landed = None;
        let changed = update(&*self.store, &self.info.key, Some(known.clone()), |record, _| {
            let Some(running) = self.mine(record) else { return Change::Leave(false) };
            if let Some((renewal, sent)) = tried
                && running.renewal == renewal
            {
                landed = Some(sent);
                return Change::Leave(true);
            }
            let own = {
                let mut own = self.own();
                own.running.renewal += 1;
                own.running.clone()
            };
            tried = Some((own.renewal, Instant::now()));
            // Another replica may set the cancel flag; everything else of `running` is the holder's.
            *running = RunningOperation { cancelled_by: running.cancelled_by.clone(), ..own };
            Change::Write(true)
        })
        .await?;
        if changed.value {
            self.fence.renewed(landed.unwrap_or(changed.sent));
        }
        self.observe(Some(&changed.known.record));
        *known = changed.known;
        Ok(())
    }

    /// Ends the operation on the record by `finish`, which gets the record only while the lock is ours. Otherwise `again` says whether
    /// an earlier try was written and its answer lost. Returns none when the lock was lost.
    pub(super) async fn close(
        &self,
        finish: impl Fn(&mut OperationRecord) + Send + Sync,
        again: impl Fn(&mut OperationRecord) -> Change<bool> + Send + Sync,
    ) -> Result<Option<(Known, Instant)>, StoreError> {
        let mut known = self.known.lock().await;
        let changed = update(&*self.store, &self.info.key, Some(known.clone()), |record, _| {
            if self.mine(record).is_some() {
                finish(record);
                Change::Write(true)
            } else {
                again(record)
            }
        })
        .await?;
        // The watch shows the end at the same moment, and whoever looks after the lock then must not look for it in the store.
        *known = changed.known.clone();
        Ok(changed.value.then_some((changed.known, changed.sent)))
    }

    /// Takes in what the store's watch shows. A watch may lag behind, so a lock that seems lost is looked for by a write.
    pub(super) async fn see(&self, record: Option<&OperationRecord>) -> Result<(), StoreError> {
        let running = record.and_then(|record| record.running.as_ref());
        if running.is_some_and(|running| self.is_mine(running)) {
            self.observe(record);
            return Ok(());
        }
        self.flush().await
    }

    /// Takes in a record as it is in the store: a cancel flag, or another holder.
    fn observe(&self, record: Option<&OperationRecord>) {
        let running = record.and_then(|record| record.running.as_ref());
        match running.filter(|running| self.is_mine(running)) {
            None => {
                self.fence.take_down();
                self.ask_to_stop(Stop::Lost);
            }
            Some(RunningOperation { cancelled_by: Some(by), .. }) => self.ask_to_stop(Stop::Cancelled(by.clone())),
            Some(_) => {}
        }
    }

    /// Asks the workflow to stop. A lost lock outranks every other reason, the first of the others stays.
    pub(super) fn ask_to_stop(&self, reason: Stop) {
        self.stop.send_if_modified(|stop| {
            let change = stop.is_none() || (reason == Stop::Lost && *stop != Some(Stop::Lost));
            if change {
                *stop = Some(reason);
            }
            change
        });
    }

    /// The view that this replica's readers follow.
    pub(super) fn view(&self) -> watch::Receiver<Arc<OperationView>> {
        self.view.subscribe()
    }

    /// Shows the end to those who follow.
    pub(super) fn show_end(&self, view: OperationView) {
        self.view.send_replace(Arc::new(view));
    }

    /// The holder's part of the record.
    pub(crate) fn running(&self) -> RunningOperation {
        self.own().running.clone()
    }

    fn tell(&self, begin: Option<Phase>, message: String) {
        let message = self.redact(&message);
        let view = {
            let mut own = self.own();
            let same = own.running.events.last().is_some_and(|last| last.message == message && last.phase == own.running.phase);
            if begin.is_none() && same {
                return;
            }
            if let Some(phase) = begin {
                own.running.phase = phase;
            }
            let event = OperationEvent {
                sequence: own.next_sequence,
                at: self.clock.now(),
                phase: own.running.phase,
                begins_phase: begin.is_some(),
                message,
            };
            own.next_sequence += 1;
            if own.running.events.len() >= MAX_EVENTS {
                own.running.events.remove(0);
            }
            tracing::info!(
                operation.id = %self.info.id, release.name = %self.info.key.name, request.id = %self.info.caller.request_id,
                phase = %event.phase, "{}", event.message
            );
            own.running.events.push(event);
            OperationView { state: OperationState::Running, ..OperationView::from(&own.running) }
        };
        self.view.send_replace(Arc::new(view));
    }

    fn mine<'a>(&self, record: &'a mut OperationRecord) -> Option<&'a mut RunningOperation> {
        record.running.as_mut().filter(|running| self.is_mine(running))
    }

    fn is_mine(&self, running: &RunningOperation) -> bool {
        running.info.id == self.info.id && running.holder == self.holder
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        // Each change of `Own` is a few plain assignments; a panic elsewhere cannot leave it half changed.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
