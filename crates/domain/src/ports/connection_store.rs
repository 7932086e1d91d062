//! The port to Airflow's connections and DAGs.

use async_trait::async_trait;
use dbt_controller_naming::{ConnectionId, ReleaseName};

use super::{BoxError, Fence, FenceDown};
use crate::model::{AllDagsReading, Connection, ConnectionStoreHealth, DagsReading, DeleteOutcome, PutOutcome, StoredConnection};

/// Keeps the connections by which Airflow finds the servers.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ConnectionStore: Send + Sync {
    /// A connection, or `Ok(None)`.
    ///
    /// # Errors
    /// `Unavailable`, `Refused`.
    async fn get(&self, id: &ConnectionId) -> Result<Option<StoredConnection>, ConnectionError>;

    /// Writes a connection whole, password included. `known` is what `get` returned for it: none creates, some updates.
    /// MUST NOT change a connection that is not of `connection.owner`, also when it appeared since. When a create whose
    /// answer was lost is repeated, it MUST succeed.
    ///
    /// # Errors
    /// `Taken`, `Rejected`, `Unavailable`, `Refused`; `Unreachable` when nothing that this call sent can have changed anything.
    async fn put<'a>(
        &self,
        connection: &Connection,
        known: Option<&'a StoredConnection>,
        fence: &Fence,
    ) -> Result<PutOutcome, ConnectionError>;

    /// Deletes a connection. The caller has made sure whose it is, a moment ago: a DELETE that may have been done is not sent again.
    ///
    /// # Errors
    /// `Unavailable`, `Refused`.
    async fn delete(&self, id: &ConnectionId, fence: &Fence) -> Result<DeleteOutcome, ConnectionError>;

    /// Every connection that is ours, by id.
    ///
    /// # Errors
    /// `Unavailable`, `Refused`.
    async fn list_ours(&self) -> Result<Vec<StoredConnection>, ConnectionError>;

    /// Whether it is reachable, our credentials are good and our role is sufficient.
    ///
    /// # Errors
    /// `Unavailable`, `Refused`.
    async fn check(&self) -> Result<ConnectionStoreHealth, ConnectionError>;

    /// The DAGs whose description names this release (`Release: <release>`) and which carry the tag `api_operator_dbt`, by id.
    ///
    /// # Errors
    /// `Unavailable`, `Refused`.
    async fn dags(&self, release: &ReleaseName) -> Result<DagsReading, ConnectionError>;

    /// The DAGs of all releases in one reading: what [`dags`](Self::dags) would tell of each. A DAG that carries the tag, but whose
    /// description names nothing that can be a release, is left out.
    ///
    /// # Errors
    /// `Unavailable`, `Refused`.
    async fn all_dags(&self) -> Result<AllDagsReading, ConnectionError>;
}

/// Why a connection could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Airflow did not answer (or not as Airflow does); whether a write happened is unknown.
    #[error("Airflow does not answer: {0}")]
    Unavailable(#[source] BoxError),
    /// Airflow did not do it, and nothing that was sent can have changed anything: it was not reached, or turned us away before the write.
    #[error("Airflow does not answer: {0}")]
    Unreachable(#[source] BoxError),
    /// The operation's lock may be lost.
    #[error(transparent)]
    Fenced(FenceDown),
    /// Airflow refuses our credentials or role: what and what to do.
    #[error("Airflow refuses us: {0}")]
    Refused(String),
    /// The id is somebody else's: its description, shortened.
    #[error("the connection is somebody else's: {0}")]
    Taken(String),
    /// Airflow does not take this content: why.
    #[error("Airflow does not take the connection: {0}")]
    Rejected(String),
    /// Anything else.
    #[error("unexpected: {0}")]
    Unexpected(#[source] BoxError),
}

impl From<FenceDown> for ConnectionError {
    fn from(down: FenceDown) -> Self {
        Self::Fenced(down)
    }
}
