//! The engine that has the helm program write releases: `HELM_ENGINE=command`.
//!
//! ```text
//! CommandInstaller ── apply, roll_back, uninstall ──► program ──► helm: its own process group, values on standard input
//!        │                                               └─ arguments, folder, values, faults
//!        └── all else, and the records on both sides of helm ──► NativeInstaller
//! ```
//!
//! # How helm's work fits into the record protocol
//! The port has begin, apply and commit; `helm upgrade --install` does all three at once, and calls a revision deployed when its
//! objects are written. So:
//! - `begin` is the native one: a real pending record, which holds what `apply` needs. Whoever takes an operation over finds it there.
//! - `apply` looks at claim and owners as the native engine does, deletes that record, since helm starts at no pending one, and has
//!   helm write the same revision with the same values. Afterwards it makes helm's record pending again, and what was in force
//!   `deployed` again. Until the commit the records are what they are with the native engine, so all that follows is the same workflow.
//! - Helm writes a description that says that the revision is not proved. By it a revision that helm has called deployed counts as
//!   pending, so nobody who takes over after a crash at that moment believes that all is done. This holds for the native engine, too:
//!   each engine finishes or undoes what the other began.
//! - When helm was refused or stopped, the pending record is put back as it was, and the call can be repeated.
//! - Then what helm leaves otherwise than the native engine is mended: Helm 3 owns fields by an update instead of an apply, which the
//!   next repair would take for a change, and no Helm removes objects of revisions that were never in force.
//! - `roll_back` is `helm rollback` between the same two looks at the records.
//! - A StatefulSet that helm cannot change, or change back, is made anew by the native code, then helm goes on.
//! - `uninstall` is `helm uninstall`, then the native one removes what is left: what carries the release's annotations, the
//!   certificate, records. Helm deletes by name, so it is not asked when an object of the manifest is somebody else's, or is kept.
//!   Before it is asked, the record's values say that the removal is ours: helm's words about it are the same for everybody.
//! - `repair` is native: helm mends by new revisions only. Reading, `begin`, `commit` and `fail` are native, too.
//!
//! # What it does not promise
//! The contract suite holds with Helm 3 and Helm 4. What the port says and no check of the suite can see is the native engine's alone:
//! - `apply` looks before each object whether its revision is still the one. Helm does not: a human's rollback or uninstall in the
//!   second in which helm runs is noticed only afterwards, with `Changed`.
//! - Between the two records of one revision there is none. A list in that moment shows the revision before; a first deployment is
//!   not shown at all.
//! - Each call ends within S/3. A run of helm makes many calls; it is killed with its children as soon as the fence is down, or the
//!   caller goes. But it is a process of its own: when this one is frozen, or is killed and [`HelmAccess::starter`] is empty, helm goes
//!   on until its work is done, which takes a few seconds, or its connection fails.
//! - The number of requests: helm reads the API's discovery documents each time.

mod arguments;
mod fault;
mod folder;
mod process;
mod program;
mod values;
mod version;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::{
    DesiredRelease, ManifestHash, Release, ReleaseKey, ReleaseSummary, RevisionHandle, RevisionNumber, Uninstalled,
};
use dbt_controller_domain::ports::{ChartInstaller, Fence, InstallerError};
use dbt_controller_domain::words;
use dbt_controller_kube_access::Fault;

pub use self::program::{Helm, HelmAccess, HelmError};
use crate::NativeInstaller;
use crate::engine::{Anew, Entrusted};

words! {
    /// What writes releases.
    pub enum HelmEngine {
        /// This program.
        Native = "native",
        /// The helm program.
        Command = "command",
    }
}

/// Has the helm program write releases, in the namespaces that the native engine watches.
pub struct CommandInstaller {
    native: NativeInstaller,
    helm: Helm,
    /// Revisions whose record made room for helm's, by release, until there is a record again. Should helm be stopped before it writes
    /// its own, they tell what to go on with.
    entrusted: Mutex<HashMap<ReleaseKey, (RevisionHandle, Entrusted)>>,
}

impl CommandInstaller {
    /// Reads by the native engine, which also writes what helm does not.
    pub fn new(native: NativeInstaller, helm: Helm) -> Self {
        Self { native, helm, entrusted: Mutex::default() }
    }

    /// Whether everything was read once.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn synced(&self) -> Result<(), Fault> {
        self.native.synced()
    }

    /// Has helm write a revision; without effect when it is in force already.
    async fn write(&self, handle: &RevisionHandle, task: Task, fence: &Fence) -> Result<(), InstallerError> {
        let keep = |entrusted: &Entrusted| {
            self.entrusted().insert(handle.key.clone(), (handle.clone(), entrusted.clone()));
        };
        let Some(entrusted) = self.native.entrust(handle, self.known(handle), keep, fence).await? else { return Ok(()) };
        let ended = match task {
            Task::Upgrade => self.helm.upgrade(&entrusted, fence).await,
            Task::RollBack { to } => self.helm.roll_back(&entrusted, to, fence).await,
        };
        if matches!(ended, Err(InstallerError::Changed(_))) {
            // Whatever record there is now, it is not helm's of this run.
            self.entrusted().remove(&handle.key);
            return ended;
        }
        let taken_back = self.native.take_back(&entrusted, ended.is_ok(), fence).await;
        if taken_back.is_ok() || matches!(taken_back, Err(InstallerError::Changed(_))) {
            self.entrusted().remove(&handle.key);
        }
        ended.and(taken_back)
    }

    /// The same; a StatefulSet that helm cannot change is made anew, then helm goes on.
    async fn write_or_make_way(&self, handle: &RevisionHandle, task: Task, anew: Anew, fence: &Fence) -> Result<(), InstallerError> {
        match self.write(handle, task, fence).await {
            Err(error) if NativeInstaller::is_in_the_way(&error) => {
                self.native.make_way(handle, anew, fence).await?;
                self.write(handle, task, fence).await
            }
            other => other,
        }
    }

    async fn catch_up(&self, handle: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        let mended = self.native.catch_up(handle, fence).await?;
        if !mended.is_empty() {
            tracing::debug!(release.name = %handle.key.name, objects = mended.join(", "), "helm's fields are owned as the native engine's");
        }
        Ok(())
    }

    fn known(&self, handle: &RevisionHandle) -> Option<Entrusted> {
        self.entrusted().get(&handle.key).filter(|(known, _)| known == handle).map(|(_, entrusted)| entrusted.clone())
    }

    fn entrusted(&self) -> MutexGuard<'_, HashMap<ReleaseKey, (RevisionHandle, Entrusted)>> {
        // Each use is one call of the map, which leaves it whole.
        self.entrusted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What helm has to do.
#[derive(Debug, Clone, Copy)]
enum Task {
    Upgrade,
    RollBack { to: RevisionNumber },
}

#[async_trait]
impl ChartInstaller for CommandInstaller {
    async fn list(&self) -> Result<Vec<Arc<ReleaseSummary>>, InstallerError> {
        self.native.list().await
    }

    async fn summary(&self, key: &ReleaseKey) -> Result<Option<Arc<ReleaseSummary>>, InstallerError> {
        self.native.summary(key).await
    }

    fn behind(&self) -> Option<Duration> {
        self.native.behind()
    }

    async fn check(&self) -> Result<(), InstallerError> {
        self.native.check().await
    }

    async fn get(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Option<Release>, InstallerError> {
        self.native.get(key, revision).await
    }

    async fn manifest_hash(&self, desired: &DesiredRelease) -> Result<ManifestHash, InstallerError> {
        self.native.manifest_hash(desired).await
    }

    async fn begin(&self, desired: &DesiredRelease, fence: &Fence) -> Result<RevisionHandle, InstallerError> {
        self.native.begin(desired, fence).await
    }

    async fn apply(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        self.write_or_make_way(revision, Task::Upgrade, Anew::AroundPods, fence).await?;
        self.catch_up(revision, fence).await
    }

    async fn commit(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        self.native.commit(revision, fence).await
    }

    async fn fail(&self, revision: &RevisionHandle, description: &str, fence: &Fence) -> Result<(), InstallerError> {
        self.native.fail(revision, description, fence).await
    }

    async fn roll_back(
        &self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        description: &str,
        fence: &Fence,
    ) -> Result<RevisionHandle, InstallerError> {
        self.native.pick_up_rollback(failed, to, fence).await?;
        let back = self.native.begin_rollback(failed, to, description, fence).await?;
        self.write_or_make_way(&back, Task::RollBack { to }, Anew::OrWithPods, fence).await?;
        self.catch_up(&back, fence).await?;
        Ok(back)
    }

    async fn repair(&self, key: &ReleaseKey, fence: &Fence) -> Result<Vec<String>, InstallerError> {
        self.native.repair(key, fence).await
    }

    async fn objects(&self, key: &ReleaseKey) -> Result<Vec<String>, InstallerError> {
        self.native.objects(key).await
    }

    async fn uninstall(&self, key: &ReleaseKey, fence: &Fence) -> Result<Uninstalled, InstallerError> {
        self.entrusted().remove(key);
        let Some(removable) = self.native.removable(key, fence).await? else { return self.native.uninstall(key, fence).await };
        match self.helm.uninstall(key, fence).await {
            Ok(()) => self.native.see_removed(&removable).await?,
            Err(error @ (InstallerError::Fenced(_) | InstallerError::Unavailable(_))) => return Err(error),
            // The native engine goes on where helm gave up, and has the better words for what stands in the way.
            Err(error) => tracing::warn!(release.name = %key.name, %error, "helm did not remove the release whole"),
        }
        let left = self.native.uninstall(key, fence).await?;
        let mut objects = removable.objects;
        objects.extend(left.objects);
        let mut seen = std::collections::HashSet::new();
        objects.retain(|object| seen.insert(object.clone()));
        Ok(Uninstalled { had_record: true, objects })
    }
}
