//! The end of a revision: deployed or failed.

use dbt_controller_domain::model::{ReleaseStatus, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;

use super::NativeInstaller;
use super::begin::ATTEMPTS;
use super::claim::{Claim, busy};
use super::leave::Leave;
use super::records::{History, Rewrite};
use crate::record::Record;

/// Whether the records were still as they had been read.
type Settled = bool;

impl NativeInstaller {
    pub(super) async fn commit_revision(&self, handle: &RevisionHandle, leave: Leave<'_>) -> Result<(), InstallerError> {
        let claim = Claim::of(handle);
        for _ in 0..ATTEMPTS {
            if self.try_commit(&claim, leave).await? {
                return Ok(());
            }
        }
        busy()
    }

    async fn try_commit(&self, claim: &Claim, leave: Leave<'_>) -> Result<Settled, InstallerError> {
        let (history, revision) = self.claimed(claim, leave).await?;
        let operation = revision.as_ref().and_then(|revision| revision.operation());
        let status = claim.check_own(revision.as_ref().map(|revision| revision.seen_by(&operation)))?;
        claim.check_highest(history.newest_status())?;
        claim.check_open(status)?;
        let Some(revision) = revision else { return Ok(false) };
        if history.standing().deployed != Some(claim.key.revision) || status != ReleaseStatus::Deployed {
            let description = revision.deployed_description();
            let change = |record: &mut Record| {
                record.set_status(ReleaseStatus::Deployed);
                if let Some(description) = description {
                    record.set_description(description);
                }
            };
            if let Rewrite::Outdated = self.records.rewrite(&revision, change, leave).await? {
                return Ok(false);
            }
        }
        self.supersede(claim.key.revision, &history, leave).await
    }

    /// Marks what was in force before as superseded.
    async fn supersede(&self, by: RevisionNumber, history: &History, leave: Leave<'_>) -> Result<Settled, InstallerError> {
        let before = history.0.iter().filter(|head| head.status == ReleaseStatus::Deployed && head.key.revision != by);
        for head in before {
            let old = match self.records.load(head, leave).await {
                Ok(Some(old)) => old,
                Ok(None) => continue,
                Err(InstallerError::Unreadable(_)) => {
                    self.records.relabel(head, ReleaseStatus::Superseded, leave).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let change = |record: &mut Record| record.set_status(ReleaseStatus::Superseded);
            if let Rewrite::Outdated = self.records.rewrite(&old, change, leave).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn fail_revision(&self, handle: &RevisionHandle, description: &str, leave: Leave<'_>) -> Result<(), InstallerError> {
        let claim = Claim::of(handle);
        for _ in 0..ATTEMPTS {
            if self.try_fail(&claim, description, leave).await? {
                return Ok(());
            }
        }
        busy()
    }

    async fn try_fail(&self, claim: &Claim, description: &str, leave: Leave<'_>) -> Result<Settled, InstallerError> {
        let (history, revision) = self.claimed(claim, leave).await?;
        let operation = revision.as_ref().and_then(|revision| revision.operation());
        match claim.check_own(revision.as_ref().map(|revision| revision.seen_by(&operation)))? {
            ReleaseStatus::Failed => return Ok(true),
            // A pending one that was overtaken is dead, and may be called what it is.
            status if status.is_pending() => {}
            _ => claim.check_highest(history.newest_status())?,
        }
        let Some(revision) = revision else { return Ok(false) };
        let change = |record: &mut Record| {
            record.set_status(ReleaseStatus::Failed);
            record.set_description(description);
        };
        Ok(matches!(self.records.rewrite(&revision, change, leave).await?, Rewrite::Done))
    }
}
