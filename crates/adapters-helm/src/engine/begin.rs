//! The next revision of a release, as pending.

use std::sync::Arc;

use dbt_controller_domain::model::{DesiredRelease, ReleaseStatus, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;

use super::NativeInstaller;
use super::claim::{busy, changed};
use super::leave::Leave;
use super::records::{Creation, Head, History, Rewrite, carried};
use super::revision::Revision;
use crate::chart;
use crate::content::{Content, Inherited, release_content};
use crate::record::{Draft, Record, RecordKey};

/// How many revisions a release keeps.
const HISTORY_LIMIT: usize = 10;
/// How often a step is tried that somebody else's write of the records got in between.
pub(super) const ATTEMPTS: u32 = 3;

/// What a new revision's description says, in Helm's words.
const INSTALLING: &str = "Initial install underway";
const UPGRADING: &str = "Preparing upgrade";
/// What is said of a revision that was pending when a later one was made.
const OVERTAKEN: &str = "broken off, and overtaken by a later revision";

impl NativeInstaller {
    pub(super) async fn begin_revision(&self, desired: &DesiredRelease, leave: Leave<'_>) -> Result<RevisionHandle, InstallerError> {
        // A first revision needs no list: its create fails when there is a record after all.
        let mut is_first = desired.after.is_none() && self.records.is_unheard_of(&desired.key);
        for _ in 0..ATTEMPTS {
            let history = if is_first { History::default() } else { self.records.history(&desired.key, leave).await? };
            if let Some(handle) = self.begin_after(desired, &history, leave).await? {
                return Ok(handle);
            }
            is_first = false;
        }
        busy()
    }

    /// None when the records have changed since they were listed.
    async fn begin_after(
        &self,
        desired: &DesiredRelease,
        history: &History,
        leave: Leave<'_>,
    ) -> Result<Option<RevisionHandle>, InstallerError> {
        let DesiredRelease { key, operation, after, .. } = desired;
        let handle = |revision| RevisionHandle { key: key.clone(), revision, operation: operation.clone() };
        let next = next_number(*after);
        let decided_on = after.and_then(|after| history.find(after));
        for head in history.find(next).into_iter().chain(decided_on) {
            match self.records.load(head, leave).await {
                Ok(Some(revision)) if revision.is_begun_by(operation) => return Ok(Some(handle(head.key.revision))),
                // What cannot be read is not of this operation.
                Ok(_) | Err(InstallerError::Unreadable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let newest = history.newest();
        // Nobody decides to write over a removal, so it has begun since: it changes the status, and no number.
        let is_leaving = newest.is_some_and(|head| head.status == ReleaseStatus::Uninstalling);
        if is_leaving || newest.map(|head| head.key.revision) != *after {
            return changed(newest.map_or_else(
                || "its records are gone".to_owned(),
                |head| format!("revision {} ({}) was written in the meantime", head.key.revision, head.status),
            ));
        }
        let newest = match newest {
            Some(head) => match self.records.load(head, leave).await? {
                Some(revision) => Some(revision),
                None => return Ok(None),
            },
            None => None,
        };
        let content = self.content(desired, newest.as_deref()).await?;
        let record = self.pending(desired, newest.as_deref(), &content);
        for head in history.0.iter().filter(|head| head.status.is_under_way()) {
            if !self.give_up(head, leave).await? {
                return Ok(None);
            }
        }
        let values = content.values();
        match self.records.create(record, values, content.manifest, leave).await? {
            Creation::Done => {}
            Creation::Exists => return Ok(None),
        }
        self.cut(history, leave).await?;
        Ok(Some(handle(next)))
    }

    /// What the revision will hold. Passwords are hashed, which is no work for the threads of the runtime.
    pub(super) async fn content(&self, desired: &DesiredRelease, newest: Option<&Revision>) -> Result<Content, InstallerError> {
        let (desired, settings) = (desired.clone(), Arc::clone(&self.settings));
        let htpasswd = newest.and_then(Revision::htpasswd);
        let created_at = self.first_deployed(newest);
        let content = tokio::task::spawn_blocking(move || {
            let inherited = Inherited { htpasswd: htpasswd.as_deref(), created_at };
            release_content(&desired, &inherited, &settings)
        });
        match content.await {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(error)) => Err(InstallerError::Unexpected(Box::new(error))),
            Err(error) => Err(InstallerError::Unexpected(Box::new(error))),
        }
    }

    /// When the release was first deployed. What was uninstalled is mere history.
    fn first_deployed(&self, newest: Option<&Revision>) -> jiff::Timestamp {
        let living = newest.filter(|revision| revision.record.status() != ReleaseStatus::Uninstalled);
        living.and_then(|revision| revision.record.first_deployed()).unwrap_or_else(|| self.clock.now())
    }

    fn pending(&self, desired: &DesiredRelease, newest: Option<&Revision>, content: &Content) -> Record {
        let is_install = newest.is_none_or(|revision| revision.record.status() == ReleaseStatus::Uninstalled);
        let (status, description) =
            if is_install { (ReleaseStatus::PendingInstall, INSTALLING) } else { (ReleaseStatus::PendingUpgrade, UPGRADING) };
        let draft = Draft {
            key: RecordKey::new(&desired.key, next_number(desired.after)),
            status,
            description,
            first_deployed: self.first_deployed(newest),
            last_deployed: self.clock.now(),
            chart: &chart::RECORDED,
            config: &content.values(),
            manifest: &content.manifest.to_text(),
        };
        Record::new(&draft, &carried(newest))
    }

    /// Marks a pending revision that nobody writes any more as failed; false when it changed in the meantime.
    async fn give_up(&self, head: &Head, leave: Leave<'_>) -> Result<bool, InstallerError> {
        let revision = match self.records.load(head, leave).await {
            Ok(Some(revision)) => revision,
            Ok(None) => return Ok(false),
            Err(InstallerError::Unreadable(_)) => {
                self.records.relabel(head, ReleaseStatus::Failed, leave).await?;
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let change = |record: &mut Record| {
            record.set_status(ReleaseStatus::Failed);
            record.set_description(OVERTAKEN);
        };
        Ok(matches!(self.records.rewrite(&revision, change, leave).await?, Rewrite::Done))
    }

    /// Removes the oldest revisions, after one was added to these.
    pub(super) async fn cut(&self, history: &History, leave: Leave<'_>) -> Result<(), InstallerError> {
        for head in history.to_cut(HISTORY_LIMIT) {
            self.records.delete(head, leave).await?;
            self.records.gone(head).await?;
        }
        Ok(())
    }
}

pub(super) fn next_number(after: Option<RevisionNumber>) -> RevisionNumber {
    RevisionNumber(after.map_or(0, |after| after.0) + 1)
}
