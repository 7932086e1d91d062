//! What a writer goes by: its revision is there, is the highest, and is as it was.
//!
//! Helm's rollback and uninstall go through beside a pending revision, so they can happen at any moment of an operation of ours. Then
//! it has to stop where it is.

use std::sync::Arc;

use dbt_controller_domain::model::{OperationId, ReleaseStatus, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;

use super::NativeInstaller;
use super::leave::Leave;
use super::records::{Head, History};
use super::revision::{Content, Revision};
use crate::record::RecordKey;

/// The claim of a writer on a release.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) key: RecordKey,
    /// Who must have written the revision; none when it only has to be in force, whoever's it is.
    operation: Option<OperationId>,
}

/// What is seen of the claimed revision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) status: ReleaseStatus,
    pub(super) operation: Option<&'a OperationId>,
}

impl Claim {
    /// Of the operation that writes a revision.
    pub(super) fn of(handle: &RevisionHandle) -> Self {
        Self { key: RecordKey::new(&handle.key, handle.revision), operation: Some(handle.operation.clone()) }
    }

    /// Of somebody who mends what is in force.
    pub(super) fn in_force(key: &RecordKey) -> Self {
        Self { key: key.clone(), operation: None }
    }

    /// That the revision exists and is of this operation.
    pub(super) fn check_own(&self, seen: Option<Seen<'_>>) -> Result<ReleaseStatus, InstallerError> {
        let number = self.key.revision;
        let Some(Seen { status, operation }) = seen else {
            return changed(format!("revision {number} is gone: its record was deleted, or the release uninstalled"));
        };
        if self.operation.is_some() && operation != self.operation.as_ref() {
            return changed(format!("revision {number} was written by somebody else"));
        }
        Ok(status)
    }

    /// That nobody has written a later one.
    pub(super) fn check_highest(&self, newest: Option<(RevisionNumber, ReleaseStatus)>) -> Result<(), InstallerError> {
        let number = self.key.revision;
        match newest {
            Some((newest, status)) if newest > number => changed(format!("revision {newest} ({status}) came after revision {number}")),
            _ => Ok(()),
        }
    }

    /// That it may go on.
    fn check(&self, newest: Option<(RevisionNumber, ReleaseStatus)>, seen: Option<Seen<'_>>) -> Result<(), InstallerError> {
        let status = self.check_own(seen)?;
        self.check_highest(newest)?;
        self.check_open(status)
    }

    /// That it is being written, or in force already.
    pub(super) fn check_open(&self, status: ReleaseStatus) -> Result<(), InstallerError> {
        if status == ReleaseStatus::Deployed || (status.is_pending() && self.operation.is_some()) {
            return Ok(());
        }
        changed(format!("revision {} is {status}", self.key.revision))
    }
}

pub(super) fn changed<T>(what: impl Into<String>) -> Result<T, InstallerError> {
    Err(InstallerError::Changed(what.into()))
}

/// At each look the records were as they have to be, and each write was refused since they had been written meanwhile. Worth another try: it shows
/// what somebody has made of them, if anybody has.
pub(super) fn busy<T>() -> Result<T, InstallerError> {
    Err(InstallerError::Unavailable("the release's records are written by somebody else at this moment".into()))
}

impl Revision {
    pub(super) fn seen_by<'a>(&self, operation: &'a Option<OperationId>) -> Seen<'a> {
        Seen { status: self.record.status(), operation: operation.as_ref() }
    }
}

impl History {
    pub(super) fn newest_status(&self) -> Option<(RevisionNumber, ReleaseStatus)> {
        self.newest().map(|head| (head.key.revision, head.status))
    }
}

impl NativeInstaller {
    /// Looks whether the claim still holds: in memory, or in the cluster while the watch does not stand.
    pub(super) async fn check_claim(&self, claim: &Claim, leave: Leave<'_>) -> Result<(), InstallerError> {
        if self.records.behind().is_some() {
            let (history, revision) = self.claimed(claim, leave).await?;
            let operation = revision.as_ref().and_then(|revision| revision.operation());
            return claim.check(history.newest_status(), revision.map(|revision| revision.seen_by(&operation)));
        }
        let shown = self.records.shown(&claim.key.release);
        let newest = shown.last().map(|(slot, entry)| (slot.revision, entry.status));
        let own = shown.iter().find(|(slot, _)| *slot == claim.key.slot()).map(|(_, entry)| &entry.content);
        match own {
            None => claim.check(newest, None),
            Some(Content::Read(details)) => {
                claim.check(newest, Some(Seen { status: details.status, operation: details.operation.as_ref() }))
            }
            Some(Content::Unread) => changed(format!("revision {} is superseded", claim.key.revision)),
            Some(Content::Unreadable(why)) => changed(format!("revision {} cannot be read any more: {why}", claim.key.revision)),
        }
    }

    /// Waits until the watch shows the claimed revision, which this process need not have written; `Changed` when it is not there.
    pub(super) async fn await_claimed(&self, claim: &Claim, leave: Leave<'_>) -> Result<(), InstallerError> {
        let release = &claim.key.release;
        if self.records.behind().is_some() || self.records.shown(release).iter().any(|(slot, _)| *slot == claim.key.slot()) {
            return Ok(());
        }
        match self.records.history(release, leave).await?.find(claim.key.revision) {
            Some(head) => self.records.wait_for(head).await,
            None => claim.check_own(None).map(drop),
        }
    }

    /// The release's records as they are now, and of them the claimed one whole.
    pub(super) async fn claimed(&self, claim: &Claim, leave: Leave<'_>) -> Result<(History, Option<Arc<Revision>>), InstallerError> {
        let history = self.records.history(&claim.key.release, leave).await?;
        let revision = match history.find(claim.key.revision) {
            Some(head) => self.load_readable(head, leave).await?,
            None => None,
        };
        Ok((history, revision))
    }

    /// As `Records::load`; for a writer a record that became unreadable is one that somebody changed.
    async fn load_readable(&self, head: &Head, leave: Leave<'_>) -> Result<Option<Arc<Revision>>, InstallerError> {
        match self.records.load(head, leave).await {
            Err(InstallerError::Unreadable(why)) => changed(format!("its record cannot be read any more: {why}")),
            other => other,
        }
    }
}
