//! The records, their versions, the age of their locks, and their watches.

use std::collections::BTreeMap;
use std::sync::Arc;

use dbt_controller_domain::model::{HolderId, OperationId, OperationRecord};
use dbt_controller_domain::naming::ReleaseName;
use dbt_controller_domain::ports::{StoreError, StoredRecord, Version};
use tokio::sync::watch;

use super::size;
use crate::clock::Moment;

/// The most bytes of a record (900 KiB, so that a Secret of 1 MiB holds it).
const SIZE_LIMIT: usize = 900 * 1024;

#[derive(Debug, Default)]
pub(crate) struct OperationTable {
    entries: BTreeMap<ReleaseName, Entry>,
    watches: BTreeMap<ReleaseName, watch::Sender<Option<Arc<OperationRecord>>>>,
    /// Goes up with every write of any record, so a record that was removed and made again never has an old version.
    version: u64,
    /// How many watches may be kept before those that nobody listens to are dropped.
    watch_limit: usize,
}

#[derive(Debug)]
struct Entry {
    record: Arc<OperationRecord>,
    version: u64,
    lock: Option<Lock>,
}

/// What makes a lock another or a renewed one, and when the store saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lock {
    id: OperationId,
    holder: HolderId,
    renewal: u64,
    since: Moment,
}

impl OperationTable {
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn record(&self, release: &ReleaseName) -> Option<Arc<OperationRecord>> {
        self.entries.get(release).map(|entry| Arc::clone(&entry.record))
    }

    pub(super) fn all(&self) -> Vec<Arc<OperationRecord>> {
        self.entries.values().map(|entry| Arc::clone(&entry.record)).collect()
    }

    pub(super) fn read(&self, release: &ReleaseName, now: Moment) -> Option<StoredRecord> {
        self.entries.get(release).map(|entry| entry.stored(now))
    }

    pub(super) fn list(&self, now: Moment) -> Vec<StoredRecord> {
        self.entries.values().map(|entry| entry.stored(now)).collect()
    }

    pub(super) fn compare_and_swap(
        &mut self,
        release: &ReleaseName,
        expected: Option<&Version>,
        record: Arc<OperationRecord>,
        now: Moment,
    ) -> Result<Version, StoreError> {
        let bytes = size::of(&record);
        if bytes > SIZE_LIMIT {
            return Err(StoreError::TooLarge(bytes));
        }
        let present = self.entries.get(release);
        if present.map(Entry::version).as_ref() != expected {
            return Err(StoreError::Conflict);
        }
        let lock = Lock::of(&record, now);
        let before = present.and_then(|entry| entry.lock.as_ref());
        let lock = match (lock, before) {
            (Some(lock), Some(before)) if lock.is_same(before) => Some(before.clone()),
            (lock, _) => lock,
        };
        self.version += 1;
        let entry = Entry { record: Arc::clone(&record), version: self.version, lock };
        let version = entry.version();
        self.entries.insert(release.clone(), entry);
        self.show(release, Some(record));
        Ok(version)
    }

    pub(super) fn remove(&mut self, release: &ReleaseName, expected: &Version) -> Result<(), StoreError> {
        match self.entries.get(release) {
            None => Ok(()),
            Some(entry) if entry.version() != *expected => Err(StoreError::Conflict),
            Some(_) => {
                self.entries.remove(release);
                self.show(release, None);
                Ok(())
            }
        }
    }

    pub(super) fn watch(&mut self, release: &ReleaseName) -> watch::Receiver<Option<Arc<OperationRecord>>> {
        if self.watches.len() > self.watch_limit {
            self.watches.retain(|_, sender| sender.receiver_count() > 0);
            // Doubling makes this a constant effort per watch.
            self.watch_limit = (self.watches.len() * 2).max(64);
        }
        let present = self.record(release);
        self.watches.entry(release.clone()).or_insert_with(|| watch::Sender::new(present)).subscribe()
    }

    fn show(&mut self, release: &ReleaseName, record: Option<Arc<OperationRecord>>) {
        match self.watches.get(release) {
            Some(sender) if sender.receiver_count() > 0 => {
                sender.send_replace(record);
            }
            Some(_) => {
                self.watches.remove(release);
            }
            None => {}
        }
    }
}

impl Entry {
    fn version(&self) -> Version {
        Version(self.version.to_string())
    }

    fn stored(&self, now: Moment) -> StoredRecord {
        let lock_age = self.lock.as_ref().map(|lock| now.saturating_sub(lock.since)).unwrap_or_default();
        StoredRecord { record: Arc::clone(&self.record), version: self.version(), lock_age }
    }
}

impl Lock {
    fn of(record: &OperationRecord, now: Moment) -> Option<Self> {
        let running = record.running.as_ref()?;
        Some(Self { id: running.info.id.clone(), holder: running.holder.clone(), renewal: running.renewal, since: now })
    }

    fn is_same(&self, other: &Self) -> bool {
        let Self { id, holder, renewal, since: _ } = self;
        (id, holder, renewal) == (&other.id, &other.holder, &other.renewal)
    }
}
