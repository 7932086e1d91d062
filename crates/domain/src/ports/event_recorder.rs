//! The port to those who look at the cluster.

use crate::model::{FinishedOperation, ServerKey};

/// Tells of what was done to a server where people look at it anyway: on a cluster, by Kubernetes Events.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
pub trait EventRecorder: Send + Sync {
    /// Tells how an operation ended. MUST return at once and MUST NOT fail: what cannot be told stands in the log already.
    fn record(&self, server: &ServerKey, finished: &FinishedOperation);
}
