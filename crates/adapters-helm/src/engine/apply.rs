//! The objects of a revision.

use std::sync::Arc;

use dbt_controller_domain::model::{Redactor, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;

use super::NativeInstaller;
use super::claim::Claim;
use super::hand::{Hand, Target};
use super::leave::Leave;
use super::objects::Live;
use super::revision::Revision;
use crate::manifest::ManifestObject;
use crate::record::RecordKey;

/// How a StatefulSet is made anew of which a field would have to change that cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anew {
    /// Around its pods only. With another selector it would not find them, and they would keep their names from its own: then it stays
    /// as it is, and the cluster's refusal stands.
    AroundPods,
    /// Around its pods, or with them where it would not find them.
    OrWithPods,
}

impl NativeInstaller {
    /// Writes what a revision has, then removes what it no longer has.
    pub(super) async fn apply_revision(&self, handle: &RevisionHandle, anew: Anew, leave: Leave<'_>) -> Result<(), InstallerError> {
        let claim = Claim::of(handle);
        self.await_claimed(&claim, leave).await?;
        self.check_claim(&claim, leave).await?;
        let Some(revision) = self.records.load_shown(&claim.key, leave).await? else {
            return claim.check_own(None).map(drop);
        };
        let objects = revision.manifest.objects();
        let mut hand = Hand::new(self, &handle.key, leave, secrets_of(&revision));
        hand.check_owners(objects).await?;
        for object in objects {
            hand.apply_or_make_anew(object, anew, &claim).await?;
        }
        self.prune(&mut hand, objects, &claim, leave).await?;
        hand.finish().await
    }

    /// Removes what the release has in the cluster and not in this revision, last first.
    pub(super) async fn prune(
        &self,
        hand: &mut Hand<'_>,
        wanted: &[ManifestObject],
        claim: &Claim,
        leave: Leave<'_>,
    ) -> Result<(), InstallerError> {
        let mut surplus = self.surplus(hand, wanted, Some(claim.key.revision), leave).await?;
        surplus.reverse();
        for (target, live) in surplus {
            self.check_claim(claim, leave).await?;
            hand.remove(&target, live).await?;
        }
        Ok(())
    }

    /// The objects of this release without those that are wanted, in the order in which they were installed: from memory, and of kinds that
    /// memory cannot tell now from the cluster. Some are not watched at all, because releases of ours have none; manifests, but for that of
    /// one revision, tell of them.
    pub(super) async fn surplus(
        &self,
        hand: &Hand<'_>,
        wanted: &[ManifestObject],
        except: Option<RevisionNumber>,
        leave: Leave<'_>,
    ) -> Result<Vec<(Target, Live)>, InstallerError> {
        let mut found: Vec<_> = hand.surplus(wanted).into_iter().map(|owned| (Target::from(&owned), owned.live)).collect();
        let wanted: Vec<_> = wanted.iter().map(|object| Target::of(object, hand.release)).collect();
        for revision in self.revisions_with_unseen_kinds(hand, except, leave).await? {
            for object in revision.manifest.objects() {
                let target = Target::of(object, hand.release);
                let is_known = wanted.iter().chain(found.iter().map(|(other, _)| other)).any(|other| other.is(&target));
                if is_known || target.kind().is_claim() || self.objects.is_current(&target.kind(), &target.key.namespace) {
                    continue;
                }
                let live = hand.look(&target).await?;
                found.extend(live.filter(|live| hand.may_remove(live)).map(|live| (target, live)));
            }
        }
        Ok(found)
    }

    async fn revisions_with_unseen_kinds(
        &self,
        hand: &Hand<'_>,
        except: Option<RevisionNumber>,
        leave: Leave<'_>,
    ) -> Result<Vec<Arc<Revision>>, InstallerError> {
        let mut revisions = Vec::new();
        for (slot, entry) in self.records.shown(hand.release) {
            let Some(details) = entry.details().filter(|_| Some(slot.revision) != except) else { continue };
            if details.kinds.iter().all(|kind| self.objects.is_current_name(kind, hand.release.namespace.as_str())) {
                continue;
            }
            let key = RecordKey::at(hand.release, slot);
            revisions.extend(self.records.load_shown(&key, leave).await?);
        }
        Ok(revisions)
    }
}

/// Replaces what the API server might quote of a revision.
pub(super) fn secrets_of(revision: &Revision) -> Redactor {
    let secrets = revision.manifest.objects().iter().filter(|object| object.kind() == "Secret");
    let data = secrets.flat_map(|secret| ["data", "stringData"].map(|field| secret.value().get(field)));
    let texts = data.flatten().filter_map(|data| data.as_object()).flat_map(|data| data.values()).filter_map(|value| value.as_str());
    Redactor::new(texts.map(Into::into)).and(&revision.redactor())
}
