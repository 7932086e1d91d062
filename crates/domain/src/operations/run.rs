//! What a workflow sees of its operation: the fence, the story, the ledger, and whether it has to stop.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::records::{Change, Known, update};
use crate::model::{
    Debt, HolderId, Ledger, OperationEvent, OperationId, OperationInfo, OperationRecord, OperationState, OperationView, Phase,
    RunningOperation,
};
use crate::ports::{Clock, Fence, OperationStore, StoreError};

/// Why an operation has to stop where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A delete of the same release came in.
    Cancelled(OperationId),
    /// The service is stopping and the grace is over; another replica or the next start goes on.
    ShuttingDown,
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
    next_sequence: u64,
}

impl Run {
    /// A run of the record's running operation, whose lock was taken by a call sent at `sent`.
    pub(super) fn new(
        store: Arc<dyn OperationStore>,
        clock: Arc<dyn Clock>,
        holder: HolderId,
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
            holder,
            own: Mutex::new(Own { running, next_sequence }),
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

    /// The open debts of the release's earlier operations.
    pub async fn debts(&self) -> Vec<Debt> {
        self.known.lock().await.record.debts().cloned().collect()
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
        let own = {
            let mut own = self.own();
            own.running.renewal += 1;
            own.running.clone()
        };
        let changed = update(&*self.store, &self.info.key, Some(known.clone()), |record, _| {
            match self.mine(record) {
                // Another replica may set the cancel flag; everything else of `running` is the holder's.
                Some(running) => *running = RunningOperation { cancelled_by: running.cancelled_by.clone(), ..own.clone() },
                None => return Change::Leave(false),
            }
            Change::Write(true)
        })
        .await?;
        if changed.value {
            self.fence.renewed(changed.sent);
        }
        self.observe(Some(&changed.known.record));
        *known = changed.known;
        Ok(())
    }

    /// Ends the operation on the record by `finish`, which gets the record only while the lock is ours. Returns none when it was lost.
    pub(super) async fn close(
        &self,
        finish: impl Fn(&mut OperationRecord) + Send + Sync,
        is_done: impl Fn(&OperationRecord) -> bool + Send + Sync,
    ) -> Result<Option<(Known, Instant)>, StoreError> {
        let known = self.known.lock().await;
        let changed = update(&*self.store, &self.info.key, Some(known.clone()), |record, _| {
            if self.mine(record).is_some() {
                finish(record);
                Change::Write(true)
            } else {
                Change::Leave(is_done(record))
            }
        })
        .await?;
        Ok(changed.value.then_some((changed.known, changed.sent)))
    }

    /// Takes in a record that somebody may have changed: a cancel flag, or another holder.
    pub(super) fn observe(&self, record: Option<&OperationRecord>) {
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
    pub(super) fn running(&self) -> RunningOperation {
        self.own().running.clone()
    }

    fn tell(&self, begin: Option<Phase>, message: String) {
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
