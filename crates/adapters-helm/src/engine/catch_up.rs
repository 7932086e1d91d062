//! What is left to do when helm has written the objects of a release: see it, and mend what helm leaves otherwise.

use dbt_controller_domain::model::{Redactor, ReleaseKey, ReleaseStatus, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::{Fence, InstallerError};
use dbt_controller_kube_access::READ_LIMIT;

use super::NativeInstaller;
use super::apply::{Anew, secrets_of};
use super::claim::{Claim, changed};
use super::hand::{Hand, Target};
use super::leave::Leave;
use super::records::{Creation, History, Rewrite};
use super::revision::Revision;
use super::roll_back::FIXED_FIELD;
use crate::controller::Operation;
use crate::manifest::ManifestObject;

/// What is said of a revision of which helm left no record.
const LOST: &str = "Broken off before helm recorded it";

/// What `helm uninstall` is going to remove.
#[derive(Debug)]
pub(crate) struct Removable {
    history: History,
    /// Objects that are there, as `Kind/name`.
    pub(crate) objects: Vec<String>,
}

impl NativeInstaller {
    /// Waits until reads show what helm has written, and mends what is not as the native engine would have written it: fields that are
    /// owned by an update of Helm 3, objects of revisions that were never in force. Returns what that was.
    pub(crate) async fn catch_up(&self, handle: &RevisionHandle, fence: &Fence) -> Result<Vec<String>, InstallerError> {
        let (claim, leave) = (Claim::of(handle), Leave::Write(fence));
        self.await_claimed(&claim, leave).await?;
        let Some(revision) = self.records.load_shown(&claim.key, leave).await? else { return claim.check_own(None).map(|_| Vec::new()) };
        let objects = revision.manifest.objects();
        self.see(&revision, leave).await?;
        let mut hand = Hand::new(self, &handle.key, leave, secrets_of(&revision));
        let mut mended = Vec::new();
        for object in objects {
            if hand.mend(object, &claim).await? {
                mended.push(object.title());
            }
        }
        self.prune(&mut hand, objects, &claim, leave).await?;
        hand.finish().await?;
        Ok(mended)
    }

    /// Waits until the watches show the objects as they are now.
    async fn see(&self, revision: &Revision, leave: Leave<'_>) -> Result<(), InstallerError> {
        let mut hand = Hand::new(self, revision.record.release(), leave, Redactor::default());
        let wanted = revision.manifest.objects();
        for target in wanted.iter().map(|object| Target::of(object, hand.release)) {
            if let Some(meta) = hand.fetch(&target).await? {
                hand.note(&target, &meta);
            }
        }
        for owned in hand.surplus(wanted) {
            let target = Target::from(&owned);
            if hand.look_anew(&target).await?.is_none_or(|live| live.uid != owned.live.uid) {
                hand.await_gone(&target, &owned.live.uid, READ_LIMIT).await?;
            }
        }
        hand.finish().await
    }

    /// Makes the StatefulSet of a revision anew when a field of it cannot be changed, which helm does not do.
    pub(crate) async fn make_way(&self, handle: &RevisionHandle, anew: Anew, fence: &Fence) -> Result<(), InstallerError> {
        let (claim, leave) = (Claim::of(handle), Leave::Write(fence));
        let Some(revision) = self.records.load_shown(&claim.key, leave).await? else { return claim.check_own(None).map(drop) };
        let mut hand = Hand::new(self, &handle.key, leave, secrets_of(&revision));
        let is_set = |object: &&ManifestObject| Target::of(object, &handle.key).kind().is_stateful_set();
        for object in revision.manifest.objects().iter().filter(is_set) {
            hand.apply_or_make_anew(object, anew, &claim).await?;
        }
        hand.finish().await
    }

    /// The records' part of a rollback.
    pub(crate) async fn begin_rollback(
        &self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        description: &str,
        fence: &Fence,
    ) -> Result<RevisionHandle, InstallerError> {
        self.begin_rollback_revision(failed, to, description, Leave::Write(fence)).await
    }

    /// Whether that is what helm was refused for.
    pub(crate) fn is_in_the_way(error: &InstallerError) -> bool {
        matches!(error, InstallerError::Refused { message, .. } if message.contains(FIXED_FIELD))
    }

    /// Mends the records of a rollback that was broken off where only helm's record, or none, was there, so that it can be repeated.
    pub(crate) async fn pick_up_rollback(&self, failed: &RevisionHandle, to: RevisionNumber, fence: &Fence) -> Result<(), InstallerError> {
        let (claim, leave) = (Claim::of(failed), Leave::Write(fence));
        let (history, given_up) = self.claimed(&claim, leave).await?;
        let newest = history.newest().map_or(0, |head| head.key.revision.0);
        let Some(target) = history.find(to) else { return Ok(()) };
        match given_up {
            None if newest + 1 == failed.revision.0 => {
                let Some(target) = self.records.load(target, leave).await? else { return Ok(()) };
                let operation = Operation { id: failed.operation.clone(), revision: failed.revision };
                let (mut record, values) = self.taking_back(&target, &operation, target.record.first_deployed())?;
                record.set_status(ReleaseStatus::Failed);
                record.set_description(LOST);
                match self.records.create(record, values, target.manifest.clone(), leave).await? {
                    Creation::Done => Ok(()),
                    Creation::Exists => changed(format!("revision {} was just written by somebody else", failed.revision)),
                }
            }
            Some(given_up) if newest == failed.revision.0 + 1 && is_given_up_by(&given_up, failed) => {
                self.sign_rollback(&given_up, to, failed, &history, leave).await
            }
            _ => Ok(()),
        }
    }

    /// Writes our operation into the record that helm has made of its rollback.
    async fn sign_rollback(
        &self,
        given_up: &Revision,
        to: RevisionNumber,
        failed: &RevisionHandle,
        history: &History,
        leave: Leave<'_>,
    ) -> Result<(), InstallerError> {
        let (Some(newest), Some(target)) = (history.newest(), history.find(to)) else { return Ok(()) };
        let (Some(theirs), Some(target)) = (self.records.load(newest, leave).await?, self.records.load(target, leave).await?) else {
            return Ok(());
        };
        if theirs.operation().is_some() || theirs.record.description() != format!("Rollback to {to}") {
            return Ok(());
        }
        let operation = Operation { id: failed.operation.clone(), revision: theirs.number() };
        let (record, values) = self.taking_back(&target, &operation, given_up.record.first_deployed())?;
        match self.records.rewrite(&target.over(&theirs, record, values), |_| (), leave).await? {
            Rewrite::Done => Ok(()),
            Rewrite::Outdated => changed(format!("revision {} was changed by somebody else at this moment", theirs.number())),
        }
    }

    /// What helm may remove: a release whose newest record can be read and names no object that is somebody else's, for helm deletes
    /// by name. Its record says from then on that we remove it. None when helm is better not asked.
    pub(crate) async fn removable(&self, key: &ReleaseKey, fence: &Fence) -> Result<Option<Removable>, InstallerError> {
        let leave = Leave::Write(fence);
        let history = self.records.history(key, leave).await?;
        let Some(newest) = history.newest() else { return Ok(None) };
        let revision = match self.records.load(newest, leave).await {
            Ok(Some(revision)) => revision,
            Ok(None) | Err(InstallerError::Unreadable(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let hand = Hand::new(self, key, leave, Redactor::default());
        let mut objects = Vec::new();
        for object in revision.manifest.objects() {
            let Some(live) = hand.look_anew(&Target::of(object, key)).await? else { continue };
            if !live.is_of(key) || live.is_kept {
                return Ok(None);
            }
            objects.push(object.title());
        }
        objects.reverse();
        let marked = self.mark_entrusted(&revision, leave).await?;
        Ok(marked.then_some(Removable { history, objects }))
    }

    /// Waits until the list shows that helm has removed the records.
    pub(crate) async fn see_removed(&self, removed: &Removable) -> Result<(), InstallerError> {
        for head in &removed.history.0 {
            self.records.gone(head).await?;
        }
        Ok(())
    }
}

/// Whether this operation has already marked the revision as failed: a rollback above it is then its own, or has the same effect.
fn is_given_up_by(given_up: &Revision, failed: &RevisionHandle) -> bool {
    given_up.record.status() == ReleaseStatus::Failed && given_up.operation().as_ref() == Some(&failed.operation)
}
