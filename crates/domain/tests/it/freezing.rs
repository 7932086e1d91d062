//! An operation store whose replica can be frozen, as SIGSTOP or a cut network does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::OperationRecord;
use dbt_controller_domain::naming::ReleaseName;
use dbt_controller_domain::ports::{OperationStore, StoreError, StoredRecord, Version};
use tokio::sync::watch;

pub(crate) struct Freezing {
    inner: Arc<dyn OperationStore>,
    frozen: watch::Sender<bool>,
    is_behind: AtomicBool,
}

impl Freezing {
    pub(crate) fn new(inner: Arc<dyn OperationStore>) -> Arc<Self> {
        Arc::new(Self { inner, frozen: watch::Sender::new(false), is_behind: AtomicBool::new(false) })
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Its watch breaks, or stands again.
    pub(crate) fn fall_behind(&self, is_behind: bool) {
        self.is_behind.store(is_behind, Ordering::Relaxed);
    }

    async fn thawed(&self) {
        let mut frozen = self.frozen.subscribe();
        frozen.wait_for(|frozen| !frozen).await.unwrap();
    }
}

#[async_trait]
impl OperationStore for Freezing {
    async fn read(&self, release: &ReleaseName) -> Result<Option<StoredRecord>, StoreError> {
        self.thawed().await;
        self.inner.read(release).await
    }

    async fn compare_and_swap(
        &self,
        release: &ReleaseName,
        expected: Option<Version>,
        record: Arc<OperationRecord>,
    ) -> Result<Version, StoreError> {
        self.thawed().await;
        self.inner.compare_and_swap(release, expected, record).await
    }

    async fn remove(&self, release: &ReleaseName, expected: Version) -> Result<(), StoreError> {
        self.thawed().await;
        self.inner.remove(release, expected).await
    }

    async fn list(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.thawed().await;
        self.inner.list().await
    }

    fn behind(&self) -> Option<Duration> {
        self.is_behind.load(Ordering::Relaxed).then_some(Duration::from_secs(1))
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }

    async fn watch(&self, release: &ReleaseName) -> watch::Receiver<Option<Arc<OperationRecord>>> {
        self.thawed().await;
        let mut source = self.inner.watch(release).await;
        let (sender, receiver) = watch::channel(source.borrow_and_update().clone());
        let mut frozen = self.frozen.subscribe();
        tokio::spawn(async move {
            while source.changed().await.is_ok() && frozen.wait_for(|frozen| !frozen).await.is_ok() {
                sender.send_replace(source.borrow_and_update().clone());
            }
        });
        receiver
    }

    fn leadership(&self) -> watch::Receiver<bool> {
        self.inner.leadership()
    }
}
