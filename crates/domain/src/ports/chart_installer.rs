//! The port to Helm releases.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{BoxError, Fence, FenceDown};
use crate::model::{DesiredRelease, ManifestHash, Release, ReleaseKey, ReleaseSummary, RevisionHandle, RevisionNumber, Uninstalled};

/// Writes Helm-compatible releases and their objects.
///
/// The record protocol: `begin` (vN pending) → `apply` → … → `commit` (vN deployed, every other deployed one superseded). A failed
/// change: `roll_back` (vN failed, vN+1 pending-rollback with the old content, applied) → … → `commit`, or `fail`.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ChartInstaller: Send + Sync {
    /// Every Helm release of the namespaces we may read, by key, one entry per release. Answered from memory.
    ///
    /// # Errors
    /// `Unavailable` before the first synchronisation.
    async fn list(&self) -> Result<Vec<Arc<ReleaseSummary>>, InstallerError>;

    /// What `list` shows of one release. Answered from memory.
    ///
    /// # Errors
    /// `Unavailable` before the first synchronisation.
    async fn summary(&self, key: &ReleaseKey) -> Result<Option<Arc<ReleaseSummary>>, InstallerError>;

    /// For how long what is answered from memory may have been out of date, because a watch is broken; none while it is current.
    fn behind(&self) -> Option<Duration>;

    /// Whether everything that is needed from memory was read and is current, given a moment to catch up. For the readiness.
    ///
    /// # Errors
    /// `Unavailable`, `Forbidden` with what stands in the way.
    async fn check(&self) -> Result<(), InstallerError>;

    /// One revision, or the newest; `Ok(None)` when there is no such record. An `uninstalled` release is still returned.
    ///
    /// # Errors
    /// `Unavailable`, `Unreadable`.
    async fn get(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Option<Release>, InstallerError>;

    /// The hash of the manifest that `begin` would record. MUST be the same for equal requests and credentials, whatever the operation.
    ///
    /// # Errors
    /// `TooLarge`, `Unavailable` (what it needs to read back from the release).
    async fn manifest_hash(&self, desired: &DesiredRelease) -> Result<ManifestHash, InstallerError>;

    /// Records the revision that follows `desired.after` as pending. MUST return the same handle when it is repeated for the same
    /// operation, and MUST NOT change any object. A revision below it that is pending or being removed is dead and is marked `failed`: the
    /// caller holds the release's lock and has decided that nobody writes it any more.
    ///
    /// # Errors
    /// `Changed` when the newest revision is not `desired.after`, or is being removed; `TooLarge`, `NamespaceMissing`, `Forbidden`.
    async fn begin(&self, desired: &DesiredRelease, fence: &Fence) -> Result<RevisionHandle, InstallerError>;

    /// Writes the revision's objects and removes those that it no longer has. Before each object it looks whether the revision
    /// exists, is the highest and is unchanged. It may make a StatefulSet anew around its pods where a field of it cannot be changed; where
    /// it does not, it is `Refused`.
    ///
    /// # Errors
    /// `Changed`; `ForeignObject` before anything is changed, when an object exists and is not of this release; `Refused`.
    async fn apply(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError>;

    /// Marks the revision `deployed` and every other deployed one `superseded`. MUST succeed when it is already so.
    ///
    /// # Errors
    /// `Changed` when the revision is gone, not the highest, or changed.
    async fn commit(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError>;

    /// Marks the revision `failed` with a description. MUST succeed when it is already so.
    ///
    /// # Errors
    /// `Changed`.
    async fn fail(&self, revision: &RevisionHandle, description: &str, fence: &Fence) -> Result<(), InstallerError>;

    /// Marks `failed` as failed, records the next revision as `pending-rollback` with the content of `to` (`Rollback to <to>`) and
    /// applies it. MUST return the same handle when it is repeated. A claim size that was grown in between stays, and the
    /// StatefulSet is made anew where a field of it cannot be changed back, with the replicas that it had.
    ///
    /// # Errors
    /// `Changed`, `Refused`.
    async fn roll_back(
        &self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        description: &str,
        fence: &Fence,
    ) -> Result<RevisionHandle, InstallerError>;

    /// Makes every object of the newest revision exist with the applied fields; returns what had to be mended, as `Kind/name`.
    ///
    /// # Errors
    /// `Changed`, `ForeignObject`, `Refused`.
    async fn repair(&self, key: &ReleaseKey, fence: &Fence) -> Result<Vec<String>, InstallerError>;

    /// Objects that carry this release's Helm annotations, as `Kind/name`. Answered from memory.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn objects(&self, key: &ReleaseKey) -> Result<Vec<String>, InstallerError>;

    /// Removes the release: marks the newest record `uninstalling`, deletes the objects in reverse order, then the records,
    /// oldest first. Claims stay. Without a record it removes the objects that carry the release's annotations.
    /// MUST succeed when nothing is left.
    ///
    /// # Errors
    /// `Refused`, `Unavailable`.
    async fn uninstall(&self, key: &ReleaseKey, fence: &Fence) -> Result<Uninstalled, InstallerError>;
}

/// Why an object was refused by the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// A quota.
    Quota,
    /// An admission webhook or policy, or the object is invalid.
    Admission,
}

/// Why a release could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum InstallerError {
    /// The cluster did not answer; whether a write happened is unknown.
    #[error("the cluster cannot do it now: {0}")]
    Unavailable(#[source] BoxError),
    /// The operation's lock may be lost.
    #[error(transparent)]
    Fenced(FenceDown),
    /// Somebody else changed the release: what they did, for the message.
    #[error("the release was changed by somebody else: {0}")]
    Changed(String),
    /// An object of that name is not of this release.
    #[error("{object} exists and is not of this release ({owner})")]
    ForeignObject {
        /// `Kind/name`.
        object: String,
        /// What its annotations say, such as `release other` or `no Helm release`.
        owner: String,
    },
    /// The cluster refused an object.
    #[error("{object} was refused: {message}")]
    Refused {
        /// `Kind/name`.
        object: String,
        /// By what.
        kind: RefusalKind,
        /// The cluster's words.
        message: String,
    },
    /// Our account lacks a right.
    #[error("missing right: {0}")]
    Forbidden(String),
    /// The namespace does not exist or is being deleted.
    #[error("the namespace does not exist or is being deleted: {0}")]
    NamespaceMissing(String),
    /// The record would be larger than a Secret may be (1 MiB).
    #[error("the release record would have {0} bytes, more than the 1 MiB of a Secret")]
    TooLarge(usize),
    /// The record exists and cannot be decoded.
    #[error("the release record cannot be read: {0}")]
    Unreadable(String),
    /// Anything else.
    #[error("unexpected: {0}")]
    Unexpected(#[source] BoxError),
}

impl From<FenceDown> for InstallerError {
    fn from(down: FenceDown) -> Self {
        Self::Fenced(down)
    }
}
