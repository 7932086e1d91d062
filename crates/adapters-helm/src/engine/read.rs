//! Reading one release.

use dbt_controller_domain::model::{Release, ReleaseKey, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;

use super::NativeInstaller;
use super::leave::Leave;
use crate::record::RecordKey;

impl NativeInstaller {
    /// A revision as it is now. Whoever decides on the newest holds the release's lock, and must not decide on what a watch has not shown
    /// yet. What a revision of known number holds never changes, so for it the watch is as good.
    pub(super) async fn read_release(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Option<Release>, InstallerError> {
        if let Some(number) = revision
            && self.records.behind().is_none()
            && let Some(summary) = self.records.summary(key)
            && let Some(known) = self.records.load_shown(&RecordKey::new(key, number), Leave::Read).await?
        {
            return Ok(Some(known.release(summary.standing)));
        }
        let history = self.records.history(key, Leave::Read).await?;
        let head = match revision {
            Some(number) => history.find(number),
            None => history.newest(),
        };
        let Some(head) = head else { return Ok(None) };
        let revision = self.records.load(head, Leave::Read).await?;
        Ok(revision.map(|revision| revision.release(history.standing())))
    }
}
