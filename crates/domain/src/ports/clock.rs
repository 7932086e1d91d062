//! Time and chance.

use jiff::Timestamp;

use crate::model::{Credentials, OperationId};

/// The wall clock, for what is shown and recorded. Durations are measured with tokio's timers instead.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// Chance, from a source fit for secrets.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
pub trait Random: Send + Sync {
    /// A new operation id. MUST be unique over all processes, and SHOULD sort by time.
    fn operation_id(&self) -> OperationId;

    /// A new login: user `dbt_server_agent_` + 5 lower-case alphanumerics, password of 32 alphanumerics.
    fn credentials(&self) -> Credentials;
}
