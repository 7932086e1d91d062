//! The port to the operation records.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_naming::ReleaseName;
use tokio::sync::watch;

use super::{BoxError, RefusalKind};
use crate::model::OperationRecord;

/// A record's version in the store, opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// A record as read.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    /// The record.
    pub record: Arc<OperationRecord>,
    /// Its version, for the next compare-and-swap.
    pub version: Version,
    /// By the store's clock: how long ago `running` (its id, holder or renewal) last changed. Zero without a running operation.
    pub lock_age: Duration,
}

/// Keeps one record per release, visible to all replicas.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait OperationStore: Send + Sync {
    /// The record as it is now (not from memory), or `Ok(None)`.
    ///
    /// # Errors
    /// `Unreadable` when it is there and cannot be read; `Unavailable`, `Forbidden`, `NamespaceMissing`.
    async fn read(&self, release: &ReleaseName) -> Result<Option<StoredRecord>, StoreError>;

    /// Replaces the record if it still has this version; with none, creates it if there is none. Returns the new version.
    /// After it returned, [`OperationStore::watch`] and [`OperationStore::list`] of this replica show the record or a later one.
    ///
    /// # Errors
    /// `Conflict` when somebody else was first; `Unavailable` when it is unknown whether it was written; `TooLarge` over 900 KiB;
    /// `Forbidden`, `NamespaceMissing`, `Refused`, `Unreadable` when it was not written, and will not be before somebody mends the cause.
    async fn compare_and_swap(
        &self,
        release: &ReleaseName,
        expected: Option<Version>,
        record: Arc<OperationRecord>,
    ) -> Result<Version, StoreError>;

    /// Removes the record if it still has this version. Absent counts as removed.
    ///
    /// # Errors
    /// `Conflict` when somebody has changed it since; `Unavailable`, `Forbidden`, `NamespaceMissing`.
    async fn remove(&self, release: &ReleaseName, expected: Version) -> Result<(), StoreError>;

    /// Every record, with the lock's age as last known. Answered from memory.
    ///
    /// # Errors
    /// `Unavailable` before the first synchronisation; `NamespaceMissing` where that is known.
    async fn list(&self) -> Result<Vec<StoredRecord>, StoreError>;

    /// For how long what is answered from memory may have been out of date, because not everything was read yet or the
    /// watch is broken; none while it is current.
    fn behind(&self) -> Option<Duration>;

    /// Whether every record was read and what is known of them is current, given a moment to catch up. For the readiness.
    ///
    /// # Errors
    /// `Unavailable`, `Forbidden`, `NamespaceMissing` with what stands in the way.
    async fn check(&self) -> Result<(), StoreError>;

    /// A watch of one record: its present state, then each change; none while there is no record.
    async fn watch(&self, release: &ReleaseName) -> watch::Receiver<Option<Arc<OperationRecord>>>;

    /// Whether this replica does the background work. Always true where leases do not exist.
    fn leadership(&self) -> watch::Receiver<bool>;
}

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was first.
    #[error("the record was changed by somebody else")]
    Conflict,
    /// The store did not answer; whether a write happened is unknown.
    #[error("the operation store does not answer: {0}")]
    Unavailable(#[source] BoxError),
    /// Our account lacks a right.
    #[error("missing right: {0}")]
    Forbidden(String),
    /// The home namespace does not exist or is being deleted.
    #[error("the service's own namespace does not exist or is being deleted: {0}")]
    NamespaceMissing(String),
    /// The store refused the record.
    #[error("the operation record was refused: {message}")]
    Refused {
        /// By what.
        kind: RefusalKind,
        /// The store's words.
        message: String,
    },
    /// The record is over its limit.
    #[error("the operation record has {0} bytes, more than its limit")]
    TooLarge(usize),
    /// The record is there and is none that this version of the service can read: damaged, of another release, or of a newer version. Nothing was written. The words say
    /// where it is and what to do.
    #[error("the operation record cannot be read: {0}")]
    Unreadable(String),
    /// Anything else; whether a write happened is unknown.
    #[error("unexpected: {0}")]
    Unexpected(#[source] BoxError),
}
