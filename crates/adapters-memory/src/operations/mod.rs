//! Operation records.

mod port;
mod size;
mod table;

use std::sync::Arc;

use dbt_controller_domain::model::OperationRecord;
use dbt_controller_domain::naming::ReleaseName;

pub use self::port::MemoryOperations;
pub(crate) use self::table::OperationTable;
use crate::world::Inner;

/// Looks at a world's operation records.
#[derive(Debug, Clone)]
pub struct OperationRecords(pub(crate) Arc<Inner>);

impl OperationRecords {
    /// How many records there are.
    pub fn count(&self) -> usize {
        self.0.scene().state.operations.count()
    }

    /// The record of a release.
    pub fn get(&self, release: &ReleaseName) -> Option<Arc<OperationRecord>> {
        self.0.scene().state.operations.record(release)
    }

    /// Every record, by release.
    pub fn all(&self) -> Vec<Arc<OperationRecord>> {
        self.0.scene().state.operations.all()
    }
}
