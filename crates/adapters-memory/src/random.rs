//! Ids and passwords that are the same in every run.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dbt_controller_domain::model::{Credentials, OperationId};
use dbt_controller_domain::ports::Random;
use sha2::{Digest as _, Sha256};

/// Draws from a sequence: ids in ascending order, passwords that differ. For tests only: anybody can compute the passwords.
///
/// Clones draw from one sequence, so instances of the service that share one get different ids, as the port demands.
#[derive(Debug, Clone, Default)]
pub struct SequenceRandom(Arc<AtomicU64>);

impl SequenceRandom {
    /// A sequence from its beginning.
    pub fn new() -> Self {
        Self::default()
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Random for SequenceRandom {
    fn operation_id(&self) -> OperationId {
        // Looks like a UUID of version 7 and sorts like one.
        let text = format!("00000000-0000-7000-8000-{:012x}", self.next());
        text.parse().expect("36 hex digits and dashes are an operation id")
    }

    fn credentials(&self) -> Credentials {
        let digits = Sha256::digest(self.next().to_be_bytes()).iter().fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Credentials { user: format!("dbt_server_agent_{}", &digits[32..37]), password: digits[..32].into() }
    }
}
