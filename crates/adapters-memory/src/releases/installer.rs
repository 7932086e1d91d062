//! The port to Helm releases.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::{
    DesiredRelease, ManifestHash, Release, ReleaseKey, ReleaseStatus, ReleaseSummary, RevisionHandle, RevisionNumber, Uninstalled,
};
use dbt_controller_domain::ports::{ChartInstaller, Fence, InstallerError};

use super::content::Content;
use super::writing::Fixed;
use crate::faults::Call;
use crate::world::{Inner, Scene};

/// The Helm releases of a world.
#[derive(Debug)]
pub struct MemoryInstaller(pub(crate) Arc<Inner>);

#[async_trait]
impl ChartInstaller for MemoryInstaller {
    async fn list(&self) -> Result<Vec<Arc<ReleaseSummary>>, InstallerError> {
        self.0.call(Call::InstallerList, None, |scene| Ok(scene.state.releases.summaries().cloned().collect())).await
    }

    async fn summary(&self, key: &ReleaseKey) -> Result<Option<Arc<ReleaseSummary>>, InstallerError> {
        self.0.call(Call::InstallerSummary, None, |scene| Ok(scene.state.releases.summary(key).cloned())).await
    }

    fn behind(&self) -> Option<Duration> {
        None
    }

    async fn check(&self) -> Result<(), InstallerError> {
        self.list().await.map(|_| ())
    }

    async fn get(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Option<Release>, InstallerError> {
        self.0.call(Call::InstallerGet, None, |scene| scene.state.releases.get(key, revision)).await
    }

    async fn manifest_hash(&self, desired: &DesiredRelease) -> Result<ManifestHash, InstallerError> {
        let hash = |_: &mut Scene<'_>| match &*Content::desired(desired) {
            Content::Ours(ours) => Ok(ours.manifest_hash.clone()),
            Content::Foreign(_) => Err(InstallerError::Unexpected("a desired release is ours".into())),
        };
        self.0.call(Call::InstallerManifestHash, None, hash).await
    }

    async fn begin(&self, desired: &DesiredRelease, fence: &Fence) -> Result<RevisionHandle, InstallerError> {
        let begin = |scene: &mut Scene<'_>| {
            let namespace = &desired.key.namespace;
            if !scene.world.namespaces.contains(namespace) {
                return Err(InstallerError::NamespaceMissing(format!("namespaces \"{namespace}\" not found")));
            }
            let (content, at) = (Content::desired(desired), scene.timestamp());
            scene.state.releases.begin(desired, content, at)
        };
        self.0.call(Call::InstallerBegin, Some(fence), begin).await
    }

    async fn apply(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        let apply = |scene: &mut Scene<'_>| {
            let content = scene.state.releases.in_hand(revision)?;
            scene.write_objects(&revision.key, &content, Fixed::Refuse)
        };
        self.0.call(Call::InstallerApply, Some(fence), apply).await
    }

    async fn commit(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        self.0.call(Call::InstallerCommit, Some(fence), |scene| scene.state.releases.commit(revision)).await
    }

    async fn fail(&self, revision: &RevisionHandle, description: &str, fence: &Fence) -> Result<(), InstallerError> {
        self.0.call(Call::InstallerFail, Some(fence), |scene| scene.state.releases.fail(revision, description)).await
    }

    async fn roll_back(
        &self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        description: &str,
        fence: &Fence,
    ) -> Result<RevisionHandle, InstallerError> {
        let roll_back = |scene: &mut Scene<'_>| {
            let at = scene.timestamp();
            let handle = scene.state.releases.roll_back(failed, to, description, at)?;
            let content = scene.state.releases.in_hand(&handle)?;
            scene.write_objects(&handle.key, &content, Fixed::MakeAnew)?;
            Ok(handle)
        };
        self.0.call(Call::InstallerRollBack, Some(fence), roll_back).await
    }

    async fn repair(&self, key: &ReleaseKey, fence: &Fence) -> Result<Vec<String>, InstallerError> {
        let repair = |scene: &mut Scene<'_>| {
            let content = match scene.state.releases.newest(key) {
                Some(newest) if newest.status == ReleaseStatus::Deployed => Arc::clone(&newest.draft.content),
                Some(newest) => return Err(InstallerError::Changed(format!("revision {} is {}", newest.number, newest.status))),
                None => return Err(InstallerError::Changed("the release is gone".to_owned())),
            };
            let missing = scene.missing_objects(key, &content);
            scene.write_objects(key, &content, Fixed::Refuse)?;
            Ok(missing)
        };
        self.0.call(Call::InstallerRepair, Some(fence), repair).await
    }

    async fn objects(&self, key: &ReleaseKey) -> Result<Vec<String>, InstallerError> {
        self.0.call(Call::InstallerObjects, None, |scene| Ok(scene.state.objects.of(key))).await
    }

    async fn uninstall(&self, key: &ReleaseKey, fence: &Fence) -> Result<Uninstalled, InstallerError> {
        self.0.call(Call::InstallerUninstall, Some(fence), |scene| Ok(scene.uninstall(key))).await
    }
}
