//! Entrusting a revision to another program: helm.
//!
//! Helm writes a record of its own and starts at no pending one, so ours makes room for it, and is put back or reopened when helm has
//! ended:
//!
//! ```text
//! entrust: vN pending (ours) ── deleted            take_back: vN deployed (helm's) ── pending, what was in force before is so again
//!                                   └──► helm ──►             vN failed (helm's)  ── pending, as it was
//!                                                             no vN               ── pending, made again
//! ```

use std::sync::Arc;

use dbt_controller_domain::model::{Redactor, ReleaseKey, ReleaseStatus, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::{Fence, InstallerError};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::NativeInstaller;
use super::apply::secrets_of;
use super::claim::{Claim, changed};
use super::hand::{Hand, Target};
use super::leave::{Leave, without_values};
use super::records::{Creation, Head, History, Rewrite};
use super::revision::Revision;
use crate::record::{Record, unproved};

/// A revision that another program writes.
#[derive(Debug, Clone)]
pub(crate) struct Entrusted {
    handle: RevisionHandle,
    /// The revision as it was begun.
    begun: Arc<Revision>,
    /// Records that helm may change on its way, and what they have to say afterwards.
    kept: Vec<(Arc<Revision>, ReleaseStatus)>,
    in_force: Option<RevisionNumber>,
    redactor: Redactor,
}

impl Entrusted {
    pub(crate) fn release(&self) -> &ReleaseKey {
        &self.handle.key
    }

    /// The values that helm gets.
    pub(crate) fn values(&self) -> &Value {
        &self.begun.values
    }

    /// What helm is to write as the description: that its work is not the end.
    pub(crate) fn description(&self) -> String {
        unproved(self.in_force)
    }

    /// What another program says of this revision, without its secrets.
    pub(crate) fn clean(&self, words: &str) -> String {
        self.redactor.redact(&without_values(words))
    }
}

impl NativeInstaller {
    /// Looks whether the revision may be written, and makes room for helm's record of it. None when it is in force already.
    ///
    /// `known` is the revision as it was entrusted before, should that have been broken off between the two records; `keep` gets what has to be
    /// known then, before the record goes: the answer to that may be lost.
    pub(crate) async fn entrust(
        &self,
        handle: &RevisionHandle,
        known: Option<Entrusted>,
        keep: impl FnOnce(&Entrusted),
        fence: &Fence,
    ) -> Result<Option<Entrusted>, InstallerError> {
        let (claim, leave) = (Claim::of(handle), Leave::Write(fence));
        let (history, own) = self.claimed(&claim, leave).await?;
        let Some(own) = own else { return self.entrust_again(&claim, known, &history, leave).await };
        let operation = own.operation();
        let status = claim.check_own(Some(own.seen_by(&operation)))?;
        claim.check_highest(history.newest_status())?;
        claim.check_open(status)?;
        if status == ReleaseStatus::Deployed {
            return Ok(None);
        }
        let kept = self.kept(&own, &history, leave).await?;
        let in_force = kept.iter().filter(|(_, status)| *status == ReleaseStatus::Deployed).map(|(revision, _)| revision.number()).max();
        let entrusted = Entrusted { handle: handle.clone(), redactor: secrets_of(&own), begun: own, kept, in_force };
        self.make_room(&entrusted, leave).await?;
        keep(&entrusted);
        if let Some(head) = history.find(handle.revision)
            && let Rewrite::Outdated = self.records.delete_unchanged(head, leave).await?
        {
            return changed(format!("the record of revision {} is written by somebody else at this moment", handle.revision));
        }
        Ok(Some(entrusted))
    }

    /// The record is gone. If it was us who made room for helm, and helm was stopped before it wrote its own, that is no change.
    async fn entrust_again(
        &self,
        claim: &Claim,
        known: Option<Entrusted>,
        history: &History,
        leave: Leave<'_>,
    ) -> Result<Option<Entrusted>, InstallerError> {
        match known {
            Some(known) if known.is_next_after(history) => {
                self.make_room(&known, leave).await?;
                Ok(Some(known))
            }
            _ => claim.check_own(None).map(|_| None),
        }
    }

    /// What helm would mark as superseded or failed, as it has to be when helm has ended.
    async fn kept(
        &self,
        own: &Revision,
        history: &History,
        leave: Leave<'_>,
    ) -> Result<Vec<(Arc<Revision>, ReleaseStatus)>, InstallerError> {
        let below: Vec<_> = history.0.iter().filter(|head| head.key.revision < own.number()).collect();
        // Broken off between its two writes, an earlier taking back has left what was in force superseded.
        let replaced = own.record.in_place_of();
        let mut kept = Vec::new();
        for (at, head) in below.iter().enumerate() {
            let status = if replaced == Some(head.key.revision) { ReleaseStatus::Deployed } else { head.status };
            if status != ReleaseStatus::Deployed && at + 1 != below.len() {
                continue;
            }
            match self.records.load(head, leave).await {
                Ok(revision) => kept.extend(revision.map(|revision| (revision, status))),
                // Helm cannot read it either.
                Err(InstallerError::Unreadable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    /// Looks at the objects as the native engine does before it applies: owners first, then fields that helm's updates own.
    async fn make_room(&self, entrusted: &Entrusted, leave: Leave<'_>) -> Result<(), InstallerError> {
        let objects = entrusted.begun.manifest.objects();
        let hand = Hand::new(self, entrusted.release(), leave, entrusted.redactor.clone());
        hand.check_owners(objects).await?;
        for object in objects {
            let target = Target::of(object, entrusted.release());
            if hand.look(&target).await?.is_some_and(|live| live.needs_merge) {
                hand.merge_managers(&target).await?;
            }
        }
        Ok(())
    }

    /// Makes the records say again what is true for this service: the revision is pending, and what was in force is so still.
    ///
    /// # Errors
    /// `Changed` when somebody else has written a record in the meantime.
    pub(crate) async fn take_back(&self, entrusted: &Entrusted, is_applied: bool, fence: &Fence) -> Result<(), InstallerError> {
        let leave = Leave::Write(fence);
        let number = entrusted.handle.revision;
        let history = self.records.history(entrusted.release(), leave).await?;
        Claim::of(&entrusted.handle).check_highest(history.newest_status())?;
        match history.find(number) {
            Some(head) => self.reopen(entrusted, head, is_applied, leave).await?,
            None if entrusted.is_next_after(&history) => {
                let Revision { record, values, manifest, .. } = entrusted.begun.as_ref();
                let made = self.records.create(record.clone(), values.clone(), manifest.clone(), leave).await?;
                if let Creation::Exists = made {
                    return changed(format!("revision {number} was just written by somebody else"));
                }
            }
            None => return changed(format!("revision {number} is gone: its record was deleted, or the release uninstalled")),
        }
        self.restore(&entrusted.kept, &history, leave).await
    }

    /// Makes helm's record of the revision pending.
    async fn reopen(&self, entrusted: &Entrusted, head: &Head, is_applied: bool, leave: Leave<'_>) -> Result<(), InstallerError> {
        let Some(theirs) = self.records.load(head, leave).await? else { return Claim::of(&entrusted.handle).check_own(None).map(drop) };
        let begun = &entrusted.begun;
        let rewrite = if theirs.is_begun_by(&entrusted.handle.operation) && is_applied {
            // What helm has rendered and recorded stays.
            let status = begun.record.status();
            self.records.rewrite(&theirs, |record| record.set_status(status), leave).await?
        } else if theirs.operation().as_ref() == Some(&entrusted.handle.operation) || begun.is_rollback_like(&theirs) {
            let again = begun.over(&theirs, begun.record.clone(), begun.values.clone());
            self.records.rewrite(&again, |_| (), leave).await?
        } else {
            return changed(format!("revision {} was written by somebody else", head.key.revision));
        };
        match rewrite {
            Rewrite::Done => Ok(()),
            Rewrite::Outdated => changed(format!("revision {} was changed by somebody else at this moment", head.key.revision)),
        }
    }

    async fn restore(&self, kept: &[(Arc<Revision>, ReleaseStatus)], history: &History, leave: Leave<'_>) -> Result<(), InstallerError> {
        for (revision, status) in kept {
            let Some(head) = history.find(revision.number()).filter(|head| head.status != *status) else { continue };
            let Some(now) = self.records.load(head, leave).await? else { continue };
            let change = |record: &mut Record| {
                *record = revision.record.clone();
                record.set_status(*status);
            };
            if let Rewrite::Outdated = self.records.rewrite(&now, change, leave).await? {
                return changed(format!("revision {} was changed by somebody else at this moment", revision.number()));
            }
        }
        Ok(())
    }
}

impl Entrusted {
    /// Whether the next revision of these records is this one.
    fn is_next_after(&self, history: &History) -> bool {
        history.newest().map_or(0, |head| head.key.revision.0) + 1 == self.handle.revision.0
    }
}

impl Revision {
    /// Whether a record is what helm makes of the same rollback. Helm takes the values of the revision that it goes back to, so its
    /// record does not name the operation.
    fn is_rollback_like(&self, theirs: &Self) -> bool {
        self.record.rollback_revision().is_some() && theirs.operation().is_none() && theirs.record.description().starts_with("Rollback ")
    }

    /// A record with these values and the manifest of this revision, to be written over another one as that is now.
    pub(super) fn over(&self, other: &Self, record: Record, values: Value) -> Self {
        let meta = ObjectMeta { resource_version: Some(other.version.clone()), ..ObjectMeta::default() };
        Self::with(record, &meta, values, self.manifest.clone())
    }
}
