//! The far side, as the model works with it.

use std::sync::Arc;

use async_trait::async_trait;
use dbt_controller_domain::Ports;
use dbt_controller_domain::model::{OperationRecord, ReleaseKey};

use super::pace::Pace;
use super::sight::Sight;
use super::step::{FaultKind, Human};

/// What can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Links {
    /// The cluster.
    pub cluster: bool,
    /// Airflow.
    pub airflow: bool,
}

impl Links {
    /// Both.
    pub const UP: Self = Self { cluster: true, airflow: true };
}

/// A far side with two namespaces (see [`super::Place`]), and what a story does to it.
///
/// None of its methods counts as a call of the service: a link that is down or a planned fault does not touch them.
#[async_trait]
pub trait World: Send + Sync {
    /// How much time things take in it.
    fn pace(&self) -> Pace {
        Pace::virtual_time()
    }

    /// Adapters of their own for one more replica. While the cluster can be reached, they have read what is there.
    async fn ports(&self) -> Ports;

    /// All that there is under the names of the stories' identities.
    async fn look(&self) -> Sight;

    /// The operation records.
    async fn records(&self) -> Vec<Arc<OperationRecord>>;

    /// Does what a human does, to the deployment `key` (which exists) where it is about one. False when it cannot be done, for example
    /// because there is no such revision; nothing was changed then.
    async fn interfere(&self, human: &Human, key: Option<&ReleaseKey>) -> bool;

    /// Takes links down or up.
    fn set_links(&self, links: Links);

    /// Makes the `nth` call (from 1) of a port's method from now on go wrong, `times` times in a row. A world that cannot does nothing.
    fn plan(&self, method: &'static str, nth: u8, kind: FaultKind, times: u8);

    /// Forgets what was planned and has not struck.
    fn clear_plans(&self);
}
