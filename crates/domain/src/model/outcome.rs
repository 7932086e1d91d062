//! How an operation ended well.

use dbt_controller_naming::ConnectionId;

use super::{DagState, ReleaseStatus, RevisionNumber};
use crate::words;

words! {
    /// What became of the connection, in the contract's words.
    pub enum ConnectionOutcome {
        /// Made.
        Created = "created",
        /// Written, or found as it should be.
        Updated = "updated",
        /// Removed.
        Deleted = "deleted",
        /// There was none to remove.
        NotFound = "not_found",
        /// Airflow could not be reached; it is removed later.
        Error = "error",
        /// The service runs without Airflow.
        NotConfigured = "not_configured",
    }
}

/// The connection part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionReport {
    /// Its id; none when there never was one.
    pub id: Option<ConnectionId>,
    /// The URL it holds; none after a delete.
    pub url: Option<String>,
    /// What became of it.
    pub status: ConnectionOutcome,
    /// Why it could not be removed.
    pub error: Option<String>,
}

impl ConnectionReport {
    /// That of a service without an Airflow.
    pub fn not_configured() -> Self {
        Self { id: None, url: None, status: ConnectionOutcome::NotConfigured, error: None }
    }
}

/// How an operation ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Success {
    /// A server runs and is registered.
    Deployed {
        /// Host name without scheme.
        host: String,
        /// Helm's status of the revision.
        status: ReleaseStatus,
        /// The revision in force.
        revision: RevisionNumber,
        /// Whether it was already as asked.
        unchanged: bool,
        /// The connection.
        connection: ConnectionReport,
        /// What the caller may want to know; pipelines grep answers, so none contains `fail`, `error`, `forbidden` or `denied`.
        notes: Vec<String>,
    },
    /// Nothing of it is left.
    Deleted {
        /// The claims that were deleted.
        claims: Vec<String>,
        /// The connection.
        connection: ConnectionReport,
    },
    /// It sleeps.
    Suspended,
    /// It runs again.
    Resumed,
    /// Debts were paid.
    Settled,
    /// It sleeps or runs as its DAGs need it.
    FollowedDags {
        /// What they were doing; none when nothing had to be done.
        state: Option<DagState>,
    },
}
