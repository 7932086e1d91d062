//! Writing the objects of one release, under one fence and one claim.

use std::time::Duration;

use dbt_controller_domain::model::{Redactor, ReleaseKey};
use dbt_controller_domain::ports::InstallerError;
use dbt_controller_kube_access::{Denied, Fault, ObjectKey, READ_LIMIT};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy, ValidationDirective};
use kube::core::{ApiResource, ObjectMeta, PartialObjectMeta};
use serde_json::{Value, json};

use super::NativeInstaller;
use super::claim::Claim;
use super::kinds::{self, Kind};
use super::leave::{Leave, failed, refused};
use super::managers::{self, HELM};
use super::objects::{Live, Owned, WatchedKind};
use crate::manifest::ManifestObject;

/// How often a write is tried that somebody else's write got in between.
const ATTEMPTS: u32 = 5;

/// Metadata of any kind.
pub(super) type Meta = PartialObjectMeta<DynamicObject>;

/// Where an object is written.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) resource: ApiResource,
    pub(super) key: ObjectKey,
}

/// Writes the objects of a release.
pub(super) struct Hand<'a> {
    pub(super) installer: &'a NativeInstaller,
    pub(super) release: &'a ReleaseKey,
    pub(super) leave: Leave<'a>,
    pub(super) redactor: Redactor,
    /// What was written; reads must show it before anybody is told.
    written: Vec<(Target, Written)>,
}

/// What became of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    /// It is gone, or going.
    Done,
    /// Another one has its name by now, and was left alone.
    Another,
}

#[derive(Debug)]
enum Written {
    At { version: String },
    Deleted { uid: String },
}

// === impl Target ===

impl Target {
    /// Where an object of a release's manifest goes.
    pub(super) fn of(object: &ManifestObject, release: &ReleaseKey) -> Self {
        let resource = kinds::resource(&kinds::parse(object.api_version(), object.kind()));
        Self { resource, key: ObjectKey::new(object.namespace().unwrap_or(release.namespace.as_str()), object.name()) }
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::of(&self.resource)
    }

    /// Whether both are of one object.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.key == other.key && self.kind() == other.kind()
    }

    /// `Kind/name`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.resource.kind, self.key.name)
    }
}

impl From<&Owned> for Target {
    fn from(owned: &Owned) -> Self {
        Self { resource: owned.resource.clone(), key: owned.key.clone() }
    }
}

// === impl Hand ===

impl<'a> Hand<'a> {
    pub(super) fn new(installer: &'a NativeInstaller, release: &'a ReleaseKey, leave: Leave<'a>, redactor: Redactor) -> Self {
        Self { installer, release, leave, redactor, written: Vec::new() }
    }

    /// An object as it is: from memory, or from the cluster when no watch of its kind stands.
    pub(super) async fn look(&self, target: &Target) -> Result<Option<Live>, InstallerError> {
        match self.watch_of(target).filter(|kind| kind.cache.stands(&target.key.namespace)) {
            Some(kind) => Ok(kind.cache.get(&target.key).map(|live| (*live).clone())),
            None => self.look_anew(target).await,
        }
    }

    fn watch_of(&self, target: &Target) -> Option<&WatchedKind> {
        self.installer.objects.watch_of(&target.kind(), &target.key.namespace)
    }

    /// An object as it is now.
    pub(super) async fn look_anew(&self, target: &Target) -> Result<Option<Live>, InstallerError> {
        Ok(self.fetch(target).await?.map(|meta| Live::of(&meta)))
    }

    /// Whether an object is of this release, and may go with it.
    pub(super) fn may_remove(&self, live: &Live) -> bool {
        live.is_of(self.release) && !live.is_kept && !live.is_leaving
    }

    /// The metadata of an object, from the cluster.
    pub(super) async fn fetch(&self, target: &Target) -> Result<Option<ObjectMeta>, InstallerError> {
        match self.leave.call(self.api(target).get_metadata(&target.key.name)).await {
            Ok(meta) => Ok(Some(meta.metadata)),
            Err(Denied::Fault(Fault::NotFound(_))) => Ok(None),
            Err(denied) => Err(failed(&target.title(), denied)),
        }
    }

    /// Looks at all objects before anything is changed: an apply would silently merge into somebody else's.
    pub(super) async fn check_owners(&self, objects: &[ManifestObject]) -> Result<(), InstallerError> {
        for object in objects {
            let target = Target::of(object, self.release);
            if let Some(live) = self.look_at_what_stays(&target).await? {
                self.check_owner(&target, &live)?;
            }
        }
        Ok(())
    }

    /// That an object is of this release.
    pub(super) fn check_owner(&self, target: &Target, live: &Live) -> Result<(), InstallerError> {
        if live.is_of(self.release) {
            return Ok(());
        }
        Err(InstallerError::ForeignObject { object: target.title(), owner: live.owner(self.release.namespace.as_str()) })
    }

    /// As [`Self::look`], once what is being deleted is gone: what is written into it would go with it.
    async fn look_at_what_stays(&self, target: &Target) -> Result<Option<Live>, InstallerError> {
        let leaving = match self.look(target).await? {
            Some(live) if live.is_leaving => live,
            other => return Ok(other),
        };
        let gone = match self.watch_of(target) {
            Some(kind) => kind.cache.gone(&target.key, |live| live.uid != leaving.uid, READ_LIMIT).await.is_ok(),
            None => false,
        };
        if gone {
            return self.look(target).await;
        }
        // That passes when whoever put the finalizer there takes it away.
        let message = format!("{} is still being deleted: a finalizer holds it", target.title());
        Err(InstallerError::Unavailable(message.into()))
    }

    /// Writes an object, if the claim still holds. Returns its metadata before and after.
    pub(super) async fn apply(&mut self, object: &ManifestObject, claim: &Claim) -> Result<(Option<Live>, ObjectMeta), InstallerError> {
        let target = Target::of(object, self.release);
        self.apply_as(&target, &object.owned(self.release), claim).await.map_err(|refusal| self.error(&target, refusal))
    }

    /// As [`Self::apply`], with the API server's refusal as it is.
    pub(super) async fn apply_as(&mut self, target: &Target, value: &Value, claim: &Claim) -> Result<(Option<Live>, ObjectMeta), Refusal> {
        self.installer.check_claim(claim, self.leave).await?;
        let before = self.look(target).await?;
        if before.as_ref().is_some_and(|live| live.needs_merge) {
            self.merge_managers(target).await?;
        }
        let meta = self.patch(target, value, false).await?;
        let others = meta.managed_fields.as_deref().is_some_and(managers::have_others);
        if before.is_none() && others {
            return Err(self.withdraw(target).await?.into());
        }
        self.note(target, &meta);
        Ok((before, meta))
    }

    /// What the object's metadata would be after an apply. Nothing is written.
    pub(super) async fn rehearse(&self, target: &Target, value: &Value) -> Result<ObjectMeta, Denied> {
        self.patch(target, value, true).await
    }

    async fn patch(&self, target: &Target, value: &Value, dry_run: bool) -> Result<ObjectMeta, Denied> {
        let params = PatchParams { dry_run, field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(HELM).force() };
        let applied = self.leave.call(self.api(target).patch(&target.key.name, &params, &Patch::Apply(value))).await;
        match applied {
            Ok(meta) => Ok(meta.metadata),
            // The API server has tried it again itself and gives up: too many write it at this moment.
            Err(Denied::Fault(Fault::Conflict(message))) => Err(Denied::Fault(Fault::Unavailable(message.into()))),
            Err(denied) => Err(denied),
        }
    }

    /// Gives an object up that appeared in between the look at it and the apply, and was merged into.
    async fn withdraw(&self, target: &Target) -> Result<InstallerError, InstallerError> {
        self.patch(target, &bare(target), false).await.map_err(|denied| refused(&target.title(), denied, &self.redactor))?;
        let owner = "somebody who made it at this moment".to_owned();
        Ok(InstallerError::ForeignObject { object: target.title(), owner })
    }

    /// See [`managers`].
    pub(super) async fn merge_managers(&self, target: &Target) -> Result<(), InstallerError> {
        for _ in 0..ATTEMPTS {
            let Some(meta) = self.fetch(target).await? else { return Ok(()) };
            let entries = meta.managed_fields.unwrap_or_default();
            if !managers::need_merge(&entries) {
                return Ok(());
            }
            let patch = json!({ "metadata": { "resourceVersion": meta.resource_version, "managedFields": managers::merged(&entries) } });
            let params = PatchParams { field_manager: Some(HELM.to_owned()), ..PatchParams::default() };
            match self.leave.call(self.api(target).patch(&target.key.name, &params, &Patch::Merge(&patch))).await {
                Ok(_) => return Ok(()),
                Err(Denied::Fault(Fault::Conflict(_))) => {}
                Err(denied) => return Err(failed(&target.title(), denied)),
            }
        }
        Err(written_all_the_time(target))
    }

    /// Deletes an object that the release need not have any more. Memory may be behind: what somebody has made anew in its place is looked
    /// at, and goes too.
    pub(super) async fn remove(&mut self, target: &Target, live: Live) -> Result<(), InstallerError> {
        let mut next = Some(live);
        for _ in 0..ATTEMPTS {
            let Some(live) = next else { return Ok(()) };
            if self.delete(target, &live.uid, PropagationPolicy::Background).await? == Deletion::Done {
                return Ok(());
            }
            next = self.look_anew(target).await?.filter(|live| self.may_remove(live));
        }
        Err(written_all_the_time(target))
    }

    /// Deletes an object, if it is still this one.
    pub(super) async fn delete(&mut self, target: &Target, uid: &str, propagation: PropagationPolicy) -> Result<Deletion, InstallerError> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams { propagation_policy: Some(propagation), preconditions: Some(preconditions), ..DeleteParams::default() };
        let deletion = match self.leave.call(self.api(target).delete(&target.key.name, &params)).await {
            Ok(_) | Err(Denied::Fault(Fault::NotFound(_))) => Deletion::Done,
            Err(Denied::Fault(Fault::OtherUid(_))) => Deletion::Another,
            Err(denied) => return Err(failed(&target.title(), denied)),
        };
        self.written.push((target.clone(), Written::Deleted { uid: uid.to_owned() }));
        Ok(deletion)
    }

    /// Waits until an object that was deleted is gone from everybody's sight.
    pub(super) async fn await_gone(&self, target: &Target, uid: &str, limit: Duration) -> Result<(), InstallerError> {
        let Some(kind) = self.watch_of(target) else { return Ok(()) };
        let gone = kind.cache.gone(&target.key, |live| live.uid != uid, limit).await;
        gone.map_err(|fault| fault.of_installer(&target.title()))?;
        let hidden = self.installer.barrier.gone(&target.resource.kind, &target.key, uid, limit).await;
        hidden.map_err(|fault| fault.of_installer(&target.title()))
    }

    pub(super) fn note(&mut self, target: &Target, meta: &ObjectMeta) {
        let version = meta.resource_version.clone().unwrap_or_default();
        self.written.push((target.clone(), Written::At { version }));
    }

    /// Waits until every read shows what was written.
    pub(super) async fn finish(self) -> Result<(), InstallerError> {
        for (target, written) in &self.written {
            self.await_shown(target, written).await.map_err(|fault| fault.of_installer(&target.title()))?;
        }
        Ok(())
    }

    async fn await_shown(&self, target: &Target, written: &Written) -> Result<(), Fault> {
        let Target { resource, key } = target;
        let Some(kind) = self.watch_of(target) else { return Ok(()) };
        match written {
            Written::At { version } => {
                kind.cache.seen(key, version, READ_LIMIT).await?;
                self.installer.barrier.seen(&resource.kind, key, version, READ_LIMIT).await
            }
            Written::Deleted { uid } => {
                kind.cache.gone(key, |live| live.uid != *uid || live.is_leaving, READ_LIMIT).await?;
                if kind.cache.get(key).is_some_and(|live| live.uid == *uid) {
                    // A finalizer holds it; whoever put it there says when it goes.
                    return Ok(());
                }
                self.installer.barrier.gone(&resource.kind, key, uid, READ_LIMIT).await
            }
        }
    }

    /// The API of an object's kind, which answers with metadata only.
    pub(super) fn api(&self, target: &Target) -> Api<Meta> {
        Api::namespaced_with(self.installer.client.clone(), &target.key.namespace, &target.resource)
    }

    pub(super) fn error(&self, target: &Target, refusal: Refusal) -> InstallerError {
        match refusal {
            Refusal::Error(error) => error,
            Refusal::Denied(denied) => refused(&target.title(), denied, &self.redactor),
        }
    }

    /// The objects of this release that are in memory and not among these, and may go.
    pub(super) fn surplus(&self, wanted: &[ManifestObject]) -> Vec<Owned> {
        let wanted: Vec<_> = wanted.iter().map(|object| Target::of(object, self.release)).collect();
        let owned = self.installer.objects.of(self.release).into_iter();
        owned.filter(|owned| self.may_remove(&owned.live) && !wanted.iter().any(|target| target.is(&Target::from(owned)))).collect()
    }
}

/// Why an apply did not go through.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The API server's answer, or none.
    Denied(Denied),
    Error(InstallerError),
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<InstallerError> for Refusal {
    fn from(error: InstallerError) -> Self {
        Self::Error(error)
    }
}

fn written_all_the_time(target: &Target) -> InstallerError {
    InstallerError::Unavailable(format!("{} is written by somebody else all the time", target.title()).into())
}

/// The least that an apply can say: with it a manager gives up every field.
pub(super) fn bare(target: &Target) -> Value {
    let Target { resource, key } = target;
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": key.name, "namespace": key.namespace },
    })
}
