//! Changing a record by compare-and-swap until the store takes it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{OperationRecord, ReleaseKey};
use crate::naming::ReleaseName;
use crate::ports::{OperationStore, StoreError, StoredRecord, Version};

/// A record as this process last wrote or read it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) version: Option<Version>,
    pub(crate) record: Arc<OperationRecord>,
    pub(crate) lock_age: Duration,
}

/// What a change did to the copy it was given.
pub(crate) enum Change<T> {
    /// Write the copy.
    Write(T),
    /// Leave the record alone.
    Leave(T),
}

/// The result of a change, and the record as it stands after it.
pub(crate) struct Changed<T> {
    pub(crate) value: T,
    pub(crate) known: Known,
    /// When the call that wrote it was sent.
    pub(crate) sent: Instant,
}

/// How often a passing fault is tried again, beyond the first time.
const RETRIES: u32 = 3;
/// A bound for conflicts: with it, a bug cannot turn into an endless loop.
const MAX_CONFLICTS: u32 = 100;

/// Applies `change` to the record until the store takes the result. `change` is called again on a fresh copy after a conflict and
/// after an answer that was lost, so it MUST be safe to repeat. `known` saves the first read.
pub(crate) async fn update<T>(
    store: &dyn OperationStore,
    key: &ReleaseKey,
    mut known: Option<Known>,
    mut change: impl FnMut(&mut OperationRecord, Duration) -> Change<T> + Send,
) -> Result<Changed<T>, StoreError> {
    let mut faults = 0;
    let mut conflicts = 0;
    let mut cuts = 0;
    loop {
        let current = match known.take() {
            Some(current) => current,
            None => match read(store, &key.name, &mut faults).await? {
                Some(stored) => Known { version: Some(stored.version), record: stored.record, lock_age: stored.lock_age },
                None => Known { version: None, record: Arc::new(OperationRecord::empty(key.clone())), lock_age: Duration::ZERO },
            },
        };
        let mut copy = OperationRecord::clone(&current.record);
        let sent = Instant::now();
        let value = match change(&mut copy, current.lock_age) {
            Change::Leave(value) => return Ok(Changed { value, known: current, sent }),
            Change::Write(value) => value,
        };
        shorten(&mut copy, cuts);
        let record = Arc::new(copy);
        let current_again = current.clone();
        match store.compare_and_swap(&key.name, current.version, Arc::clone(&record)).await {
            Ok(version) => {
                return Ok(Changed { value, known: Known { version: Some(version), record, lock_age: Duration::ZERO }, sent });
            }
            Err(StoreError::Conflict) if conflicts < MAX_CONFLICTS => conflicts += 1,
            Err(StoreError::Unavailable(_)) if faults < RETRIES => pause(&mut faults).await,
            Err(StoreError::TooLarge(_)) if cuts < MAX_CUTS => {
                cuts += 1;
                known = Some(current_again);
            }
            Err(error) => return Err(error),
        }
    }
}

/// How far a record is cut down when the store finds it too large.
const MAX_CUTS: u32 = 3;

/// Drops what is worth least: first the stories of ended operations, then their autopsies, then most of the running one's story.
fn shorten(record: &mut OperationRecord, cuts: u32) {
    for finished in record.finished.iter_mut().filter(|_| cuts >= 1) {
        let finished = Arc::make_mut(finished);
        // The last line stays: its number says how long the story was.
        let surplus = finished.events.len().saturating_sub(1);
        finished.events.drain(..surplus);
        if let Err(failure) = &mut finished.outcome
            && cuts >= 2
        {
            failure.autopsy = None;
        }
    }
    if let Some(running) = &mut record.running
        && cuts >= 3
    {
        let surplus = running.events.len().saturating_sub(KEPT_EVENTS);
        running.events.drain(..surplus);
    }
}

/// What is left of the running operation's story then.
const KEPT_EVENTS: usize = 20;

/// Reads a record. Passing faults are tried again; `faults` counts them.
pub(super) async fn read(store: &dyn OperationStore, release: &ReleaseName, faults: &mut u32) -> Result<Option<StoredRecord>, StoreError> {
    loop {
        match store.read(release).await {
            Err(StoreError::Unavailable(_)) if *faults < RETRIES => pause(faults).await,
            answer => return answer,
        }
    }
}

async fn pause(faults: &mut u32) {
    tokio::time::sleep(Duration::from_millis(100 << *faults)).await;
    *faults += 1;
}
