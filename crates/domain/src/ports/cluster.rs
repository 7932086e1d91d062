//! The port to the cluster: servers, pods, claims.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{BoxError, Fence, FenceDown};
use crate::model::{Autopsy, ByteQuantity, Claim, DagState, Namespace, PodRefusal, ServerKey, ServerState, Warehouse};

/// Sees and steers the servers that releases made.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait Cluster: Send + Sync {
    /// A server as last seen. Answered from memory. A server without StatefulSet and pods is an empty state, not an error.
    ///
    /// # Errors
    /// `Unavailable` before the first synchronisation.
    async fn server(&self, key: &ServerKey) -> Result<Arc<ServerState>, ClusterError>;

    /// For how long what is answered from memory may have been out of date, because a watch is broken; none while it is current.
    fn behind(&self) -> Option<Duration>;

    /// A watch of a server: its present state, then each change. The sender goes away when the watch breaks; the caller watches again.
    ///
    /// # Errors
    /// `Unavailable` before the first synchronisation.
    async fn watch(&self, key: &ServerKey) -> Result<watch::Receiver<Arc<ServerState>>, ClusterError>;

    /// Why no pod can be created: asks the cluster by a dry run; `Ok(None)` when it would take one.
    ///
    /// # Errors
    /// `Unavailable`, `Forbidden`.
    async fn why_no_pod(&self, key: &ServerKey) -> Result<Option<PodRefusal>, ClusterError>;

    /// Collects what a person needs to see why the server does not come up. Never fails: what could not be read is in `gaps`.
    async fn autopsy(&self, key: &ServerKey) -> Autopsy;

    /// Asks the server's `/ready` once: how long it took, or none when it did not answer within 2 s.
    async fn probe(&self, key: &ServerKey) -> Option<Duration>;

    /// Sets `spec.replicas`. MUST change nothing else.
    ///
    /// # Errors
    /// `NotFound` without a StatefulSet.
    async fn set_replicas(&self, key: &ServerKey, replicas: u32, fence: &Fence) -> Result<(), ClusterError>;

    /// Notes on the server what its release's DAGs were doing, or takes the note away. MUST change nothing else; the note stays when the
    /// release is written.
    ///
    /// # Errors
    /// `NotFound` without a StatefulSet.
    async fn set_dag_state(&self, key: &ServerKey, state: Option<DagState>, fence: &Fence) -> Result<(), ClusterError>;

    /// Scales the server for its release's DAGs and notes what they were doing. MUST be one write: scaled without the note, a server would be
    /// taken for one that somebody scaled on purpose.
    ///
    /// # Errors
    /// `NotFound` without a StatefulSet.
    async fn follow_dags(&self, key: &ServerKey, replicas: u32, state: DagState, fence: &Fence) -> Result<(), ClusterError>;

    /// The claims of the server's own template, by name. Answered from memory.
    ///
    /// # Errors
    /// `Unavailable` before the first synchronisation.
    async fn claims(&self, key: &ServerKey) -> Result<Vec<Claim>, ClusterError>;

    /// The same, where much hangs on it: the claim of the one pod that a server has MUST be read from the cluster now. A watch whose connection
    /// died without a word shows the past for a minute.
    ///
    /// # Errors
    /// `Forbidden`, `Unavailable`.
    async fn claims_now(&self, key: &ServerKey) -> Result<Vec<Claim>, ClusterError>;

    /// Deletes these claims; absent ones count as deleted. Returns once the cluster has accepted the deletion.
    ///
    /// # Errors
    /// `Forbidden`, `Unavailable`.
    async fn delete_claims(&self, key: &ServerKey, claims: &[String], fence: &Fence) -> Result<(), ClusterError>;

    /// Asks for more storage on every claim of the server. Claims of that size or more stay.
    ///
    /// # Errors
    /// `Refused` with the cluster's words, when the storage class does not grow claims.
    async fn grow_claims(&self, key: &ServerKey, size: &ByteQuantity, fence: &Fence) -> Result<(), ClusterError>;

    /// Deletes the StatefulSet. With `keep_pods` they are orphaned, otherwise they are gone on return. An absent one counts as deleted.
    ///
    /// # Errors
    /// `Forbidden`, `Unavailable`.
    async fn delete_stateful_set(&self, key: &ServerKey, keep_pods: bool, fence: &Fence) -> Result<(), ClusterError>;

    /// Deletes each pod that is not ready and not of the update revision, its uid as precondition: the StatefulSet controller does
    /// not replace it (kubernetes#67250). The update revision counts once the controller has observed the newest spec. Returns their
    /// names.
    ///
    /// # Errors
    /// `Forbidden`, `Unavailable`.
    async fn delete_broken_pods(&self, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError>;

    /// Deletes each pod that lost its StatefulSet, its uid as precondition, and returns their names: nobody else ends one. None while there
    /// is a StatefulSet, which takes them over, or ends what it owns.
    ///
    /// # Errors
    /// `Forbidden`, `Unavailable`.
    async fn delete_orphans(&self, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError>;

    /// Whether the warehouse's Secret is in the namespace.
    ///
    /// # Errors
    /// `Unavailable`, `Forbidden`.
    async fn has_warehouse_secret(&self, namespace: &Namespace, warehouse: Warehouse) -> Result<bool, ClusterError>;

    /// Whether the cluster answers and the watches stand.
    ///
    /// # Errors
    /// `Unavailable` with the reason.
    async fn check(&self) -> Result<(), ClusterError>;
}

/// Why the cluster could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The cluster did not answer; whether a write happened is unknown.
    #[error("the cluster cannot do it now: {0}")]
    Unavailable(#[source] BoxError),
    /// The operation's lock may be lost.
    #[error(transparent)]
    Fenced(FenceDown),
    /// The object is not there.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The object of that name is not of this release. Told by whoever compares the releases; the port itself goes by names.
    #[error("{object} exists and is not of this release ({owner})")]
    ForeignObject {
        /// `Kind/name`.
        object: String,
        /// What its annotations say, such as `release other` or `no Helm release`.
        owner: String,
    },
    /// Our account lacks a right.
    #[error("missing right: {0}")]
    Forbidden(String),
    /// The cluster refused the change: its words.
    #[error("refused: {0}")]
    Refused(String),
    /// Anything else.
    #[error("unexpected: {0}")]
    Unexpected(#[source] BoxError),
}

impl From<FenceDown> for ClusterError {
    fn from(down: FenceDown) -> Self {
        Self::Fenced(down)
    }
}
