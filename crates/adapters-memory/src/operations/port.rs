//! The port to the operation records.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::OperationRecord;
use dbt_controller_domain::naming::ReleaseName;
use dbt_controller_domain::ports::{OperationStore, StoreError, StoredRecord, Version};
use tokio::sync::watch;

use crate::faults::Call;
use crate::world::{Inner, Scene};

/// The operation records of a world, as one replica sees them.
#[derive(Debug)]
pub struct MemoryOperations {
    world: Arc<Inner>,
    leads: watch::Sender<bool>,
}

impl MemoryOperations {
    pub(crate) fn new(world: Arc<Inner>) -> Self {
        Self { world, leads: watch::Sender::new(true) }
    }
}

#[async_trait]
impl OperationStore for MemoryOperations {
    async fn read(&self, release: &ReleaseName) -> Result<Option<StoredRecord>, StoreError> {
        self.world.call(Call::OperationsRead, None, |scene| Ok(scene.state.operations.read(release, scene.now))).await
    }

    async fn compare_and_swap(
        &self,
        release: &ReleaseName,
        expected: Option<Version>,
        record: Arc<OperationRecord>,
    ) -> Result<Version, StoreError> {
        let swap = |scene: &mut Scene<'_>| {
            let now = scene.now;
            scene.state.operations.compare_and_swap(release, expected.as_ref(), record, now)
        };
        self.world.call(Call::OperationsCompareAndSwap, None, swap).await
    }

    async fn remove(&self, release: &ReleaseName, expected: Version) -> Result<(), StoreError> {
        self.world.call(Call::OperationsRemove, None, |scene| scene.state.operations.remove(release, &expected)).await
    }

    async fn list(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.world.call(Call::OperationsList, None, |scene| Ok(scene.state.operations.list(scene.now))).await
    }

    fn behind(&self) -> Option<Duration> {
        None
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.list().await.map(|_| ())
    }

    async fn watch(&self, release: &ReleaseName) -> watch::Receiver<Option<Arc<OperationRecord>>> {
        let watch: Result<_, StoreError> =
            self.world.call(Call::OperationsWatch, None, |scene| Ok(scene.state.operations.watch(release))).await;
        // This method cannot say that it was struck: it hands out a watch that has nothing and whose sender is gone.
        watch.unwrap_or_else(|_| watch::channel(None).1)
    }

    fn leadership(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }
}
