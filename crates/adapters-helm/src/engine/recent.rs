//! The revisions that were read or written lately, whole.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dbt_controller_domain::model::ReleaseKey;

use super::revision::Revision;
use crate::record::RecordKey;

/// How many are kept: two for each of the deployments that run side by side, and some more.
const LIMIT: usize = 64;
/// How large the largest may be, in bytes of text. Ours have some 50 KB; those of other charts, with megabytes, are seldom asked for.
const LARGEST: usize = 256 << 10;
/// How large all of them may be: as many as [`LIMIT`] of ours. The values and the manifest of each are parsed, and take several times as much.
const ALL: usize = LIMIT * (64 << 10);

/// Saves reading a record again that an operation has just read or written. It is found by its version only, so it is never stale.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<Arc<Revision>>>);

impl Recent {
    /// A record at exactly this version.
    pub(super) fn get(&self, key: &RecordKey, version: &str) -> Option<Arc<Revision>> {
        self.with(|kept| kept.iter().find(|revision| revision.key() == key && revision.version == version).cloned())
    }

    /// The newest revision of a release that is kept.
    pub(super) fn newest(&self, key: &ReleaseKey) -> Option<Arc<Revision>> {
        self.with(|kept| kept.iter().filter(|revision| revision.key().release == *key).max_by_key(|revision| revision.number()).cloned())
    }

    /// Keeps a record instead of its other versions.
    pub(super) fn keep(&self, revision: &Arc<Revision>) {
        self.with(|kept| {
            kept.retain(|other| other.key() != revision.key());
            if revision.record.size() <= LARGEST {
                kept.push_front(Arc::clone(revision));
                kept.truncate(LIMIT);
                let mut size = 0;
                kept.retain(|kept| {
                    size += kept.record.size();
                    size <= ALL
                });
            }
        });
    }

    /// Forgets the records of a release that are above this number; all when there is none.
    pub(super) fn forget_above(&self, key: &ReleaseKey, newest: Option<u32>) {
        self.with(|kept| kept.retain(|revision| revision.key().release != *key || Some(revision.number().0) <= newest));
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut VecDeque<Arc<Revision>>) -> R) -> R {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
