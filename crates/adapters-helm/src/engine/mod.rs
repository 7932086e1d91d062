//! The native engine: writes releases as Helm does, without the helm program.
//!
//! ```text
//!            ┌─ begin, settle ───► records ──► Secrets `sh.helm.release.v1.…`   ◄── watch ── table, recent
//! ChartInstaller
//!            └─ apply, roll_back, repair, uninstall ──► hand ──► objects        ◄── watch ── objects (metadata)
//! ```
//!
//! # Terms
//! - **Head**: a record's name, status and version; what a list of metadata gives.
//! - **Revision**: a record, whole. **Entry**: what memory keeps of it.
//! - **Claim**: what a writer goes by: its revision is there, the highest, and as it was. It looks before each object.
//! - **Hand**: what writes the objects of one release under one fence and one claim.
//! - **Leave**: on what terms a request is made: a read, or a write under the fence.

mod apply;
mod begin;
mod catch_up;
mod claim;
mod entrust;
mod hand;
mod kinds;
mod leave;
mod managers;
mod objects;
mod read;
mod recent;
mod records;
mod repair;
mod revision;
mod roll_back;
mod settle;
mod table;
mod uninstall;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::{
    DesiredRelease, ManifestHash, Namespace, Release, ReleaseKey, ReleaseSummary, RevisionHandle, RevisionNumber, Uninstalled,
};
use dbt_controller_domain::ports::{ChartInstaller, Clock, Fence, InstallerError};
use dbt_controller_kube_access::{Barrier, CHECK_LIMIT, Fault};
use kube::Client;
use tokio::time::Instant;

pub(crate) use self::apply::Anew;
pub(crate) use self::entrust::Entrusted;
use self::leave::Leave;
use self::objects::Objects;
use self::records::Records;
use crate::ServerSettings;

/// Writes Helm releases and their objects, in the namespaces that it watches.
pub struct NativeInstaller {
    client: Client,
    records: Records,
    objects: Objects,
    barrier: Arc<dyn Barrier>,
    settings: Arc<ServerSettings>,
    clock: Arc<dyn Clock>,
}

impl NativeInstaller {
    /// Starts to watch these namespaces, of which the first must be readable. Needs a runtime; makes no request by itself.
    ///
    /// `barrier` is that of the adapter that answers reads of the servers: nothing returns before it has seen what was written.
    pub fn start(
        client: Client,
        namespaces: &[Namespace],
        settings: ServerSettings,
        barrier: Arc<dyn Barrier>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let namespaces: Vec<_> = namespaces.iter().map(ToString::to_string).collect();
        Self {
            records: Records::start(&client, &namespaces, Arc::clone(&clock)),
            objects: Objects::start(&client, &namespaces, settings.gateway),
            client,
            barrier,
            settings: Arc::new(settings),
            clock,
        }
    }

    /// Whether everything was read once.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn synced(&self) -> Result<(), Fault> {
        self.records.synced()?;
        self.objects.synced()
    }
}

#[async_trait]
impl ChartInstaller for NativeInstaller {
    async fn list(&self) -> Result<Vec<Arc<ReleaseSummary>>, InstallerError> {
        self.records.synced().map_err(|fault| fault.of_installer("release records"))?;
        Ok(self.records.list())
    }

    async fn summary(&self, key: &ReleaseKey) -> Result<Option<Arc<ReleaseSummary>>, InstallerError> {
        self.records.synced().map_err(|fault| fault.of_installer("release records"))?;
        Ok(self.records.summary(key))
    }

    fn behind(&self) -> Option<Duration> {
        self.records.behind().into_iter().chain(self.objects.behind()).map(|(since, _)| since).max()
    }

    async fn check(&self) -> Result<(), InstallerError> {
        let deadline = Instant::now() + CHECK_LIMIT;
        self.records.current(deadline).await.map_err(|fault| fault.of_installer("release records"))?;
        self.objects.current(deadline).await.map_err(|fault| fault.of_installer("objects"))
    }

    async fn get(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Option<Release>, InstallerError> {
        self.read_release(key, revision).await
    }

    async fn manifest_hash(&self, desired: &DesiredRelease) -> Result<ManifestHash, InstallerError> {
        let newest = self.records.newest_known(&desired.key, Leave::Read).await?;
        Ok(self.content(desired, newest.as_deref()).await?.manifest_hash().clone())
    }

    async fn begin(&self, desired: &DesiredRelease, fence: &Fence) -> Result<RevisionHandle, InstallerError> {
        self.begin_revision(desired, Leave::Write(fence)).await
    }

    async fn apply(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        self.apply_revision(revision, Anew::AroundPods, Leave::Write(fence)).await
    }

    async fn commit(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        self.commit_revision(revision, Leave::Write(fence)).await
    }

    async fn fail(&self, revision: &RevisionHandle, description: &str, fence: &Fence) -> Result<(), InstallerError> {
        self.fail_revision(revision, description, Leave::Write(fence)).await
    }

    async fn roll_back(
        &self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        description: &str,
        fence: &Fence,
    ) -> Result<RevisionHandle, InstallerError> {
        let leave = Leave::Write(fence);
        let revision = self.begin_rollback_revision(failed, to, description, leave).await?;
        self.apply_revision(&revision, Anew::OrWithPods, leave).await?;
        Ok(revision)
    }

    async fn repair(&self, key: &ReleaseKey, fence: &Fence) -> Result<Vec<String>, InstallerError> {
        self.repair_release(key, Leave::Write(fence)).await
    }

    async fn objects(&self, key: &ReleaseKey) -> Result<Vec<String>, InstallerError> {
        self.objects.synced().map_err(|fault| fault.of_installer("objects"))?;
        Ok(self.objects.of(key).iter().map(objects::Owned::title).collect())
    }

    async fn uninstall(&self, key: &ReleaseKey, fence: &Fence) -> Result<Uninstalled, InstallerError> {
        self.uninstall_release(key, Leave::Write(fence)).await
    }
}

#[cfg(test)]
mod tests;
