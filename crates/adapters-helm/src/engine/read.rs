//! Reading one release.

use dbt_controller_domain::model::{Release, ReleaseKey, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;

use super::NativeInstaller;
use super::leave::Leave;

impl NativeInstaller {
    /// A revision as it is now. Whoever decides on it holds the release's lock, and must not decide on what a watch has not shown yet.
    pub(super) async fn read_release(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Option<Release>, InstallerError> {
        let history = self.records.history(key, Leave::Read).await?;
        let head = match revision {
            Some(number) => history.find(number),
            None => history.newest(),
        };
        let Some(head) = head else { return Ok(None) };
        let revision = self.records.load(head, Leave::Read).await?;
        Ok(revision.map(|revision| revision.release(history.deployed())))
    }
}
