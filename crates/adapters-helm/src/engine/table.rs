//! All releases, from what the watch of their records shows.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use dbt_controller_domain::model::{ReleaseKey, ReleaseSummary, Standing};

use super::revision::Entry;
use crate::record::{RecordKey, Slot};

/// The releases by key, each with the ready-made entry of the list, so that a list only copies pointers.
#[derive(Debug, Default)]
pub(super) struct Table(RwLock<BTreeMap<ReleaseKey, Kept>>);

#[derive(Debug)]
struct Kept {
    /// Never empty.
    revisions: BTreeMap<Slot, Arc<Entry>>,
    summary: Arc<ReleaseSummary>,
}

impl Table {
    /// Every release.
    pub(super) fn list(&self) -> Vec<Arc<ReleaseSummary>> {
        self.read(|releases| releases.values().map(|kept| Arc::clone(&kept.summary)).collect())
    }

    /// What the list has of a release.
    pub(super) fn summary(&self, key: &ReleaseKey) -> Option<Arc<ReleaseSummary>> {
        self.read(|releases| releases.get(key).map(|kept| Arc::clone(&kept.summary)))
    }

    /// The revisions of a release, oldest first.
    pub(super) fn revisions(&self, key: &ReleaseKey) -> Vec<(Slot, Arc<Entry>)> {
        self.read(|releases| {
            let revisions = releases.get(key).into_iter().flat_map(|kept| &kept.revisions);
            revisions.map(|(slot, entry)| (*slot, Arc::clone(entry))).collect()
        })
    }

    /// The newest revision of a release.
    pub(super) fn newest(&self, key: &ReleaseKey) -> Option<(Slot, Arc<Entry>)> {
        self.read(|releases| {
            let (slot, entry) = releases.get(key)?.revisions.last_key_value()?;
            Some((*slot, Arc::clone(entry)))
        })
    }

    /// A record.
    pub(super) fn get(&self, key: &RecordKey) -> Option<Arc<Entry>> {
        self.read(|releases| releases.get(&key.release)?.revisions.get(&key.slot()).cloned())
    }

    /// Takes in what became of a record. Returns whether the release's newest one is now one that nobody has looked into.
    pub(super) fn set(&self, key: &RecordKey, entry: Option<&Arc<Entry>>) -> Option<RecordKey> {
        self.write(|releases| set(releases, key, entry))
    }

    /// Whether this is a release's newest record and nobody has looked into it.
    pub(super) fn wants(&self, key: &RecordKey) -> bool {
        self.newest(&key.release).is_some_and(|(slot, entry)| slot == key.slot() && entry.is_unread())
    }

    /// Takes in what was found in an unread record, unless it has changed since.
    pub(super) fn fill(&self, key: &RecordKey, entry: Entry) {
        // In one go: what the watch takes in meanwhile is newer.
        self.write(|releases| {
            let known = releases.get(&key.release).and_then(|kept| kept.revisions.get(&key.slot()));
            if known.is_some_and(|known| known.version == entry.version) {
                set(releases, key, Some(&Arc::new(entry)));
            }
        });
    }

    fn read<R>(&self, read: impl FnOnce(&BTreeMap<ReleaseKey, Kept>) -> R) -> R {
        // Each write leaves the map whole, so one that panicked has done no harm.
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, write: impl FnOnce(&mut BTreeMap<ReleaseKey, Kept>) -> R) -> R {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// See [`Table::set`].
fn set(releases: &mut BTreeMap<ReleaseKey, Kept>, key: &RecordKey, entry: Option<&Arc<Entry>>) -> Option<RecordKey> {
    let mut revisions = releases.remove(&key.release).map(|kept| kept.revisions).unwrap_or_default();
    match entry {
        Some(entry) => revisions.insert(key.slot(), Arc::clone(entry)),
        None => revisions.remove(&key.slot()),
    };
    let kept = Kept::new(&key.release, revisions)?;
    let unread = kept.newest().filter(|(_, entry)| entry.is_unread()).map(|(slot, _)| slot);
    releases.insert(key.release.clone(), kept);
    unread.map(|slot| RecordKey::at(&key.release, slot))
}

impl Kept {
    /// None without revisions.
    fn new(release: &ReleaseKey, revisions: BTreeMap<Slot, Arc<Entry>>) -> Option<Self> {
        let (slot, newest) = revisions.last_key_value()?;
        let statuses = revisions.iter().map(|(slot, entry)| (slot.revision, entry.status));
        let summary = Arc::new(newest.summary(&RecordKey::at(release, *slot), Standing::of(statuses)));
        Some(Self { revisions, summary })
    }

    fn newest(&self) -> Option<(Slot, &Arc<Entry>)> {
        self.revisions.last_key_value().map(|(slot, entry)| (*slot, entry))
    }
}

#[cfg(test)]
mod tests;
