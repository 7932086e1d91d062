//! The release records, revision by revision, as Helm keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dbt_controller_domain::model::{
    DesiredRelease, OperationId, Release, ReleaseKey, ReleaseStatus, ReleaseSummary, RevisionHandle, RevisionNumber, Standing,
};
use dbt_controller_domain::ports::InstallerError;
use jiff::Timestamp;

use super::content::Content;
use super::values;

/// Revisions that a release keeps; the deployed one is never cut.
const HISTORY_LIMIT: usize = 10;

/// All releases, by key.
#[derive(Debug, Default)]
pub(crate) struct ReleaseTable(BTreeMap<ReleaseKey, History>);

/// The revisions of one release, and the ready-made entry of the list.
#[derive(Debug)]
struct History {
    /// Ascending, never empty.
    records: Vec<Record>,
    first_deployed: Timestamp,
    summary: Arc<ReleaseSummary>,
}

/// One revision.
#[derive(Debug)]
pub(crate) struct Record {
    pub(super) number: RevisionNumber,
    pub(super) status: ReleaseStatus,
    pub(super) description: String,
    /// Since when a human's Helm has been removing its release.
    helm_uninstalls_since: Option<Timestamp>,
    /// Why it cannot be decoded, if so.
    unreadable: Option<String>,
    pub(super) draft: Draft,
}

/// What is known of a revision before it is recorded.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) content: Arc<Content>,
    pub(super) at: Timestamp,
    /// The operation of ours that writes it; none for a human's.
    pub(super) operation: Option<OperationId>,
    /// The revision whose content it takes back.
    pub(super) rollback_to: Option<RevisionNumber>,
}

fn changed<T>(what: impl Into<String>) -> Result<T, InstallerError> {
    Err(InstallerError::Changed(what.into()))
}

// === impl ReleaseTable ===

impl ReleaseTable {
    pub(crate) fn summaries(&self) -> impl Iterator<Item = &Arc<ReleaseSummary>> {
        self.0.values().map(|history| &history.summary)
    }

    pub(super) fn summary(&self, key: &ReleaseKey) -> Option<&Arc<ReleaseSummary>> {
        self.0.get(key).map(|history| &history.summary)
    }

    pub(super) fn records(&self, key: &ReleaseKey) -> &[Record] {
        self.0.get(key).map(|history| history.records.as_slice()).unwrap_or_default()
    }

    pub(super) fn newest(&self, key: &ReleaseKey) -> Option<&Record> {
        self.records(key).last()
    }

    pub(super) fn get(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Option<Release>, InstallerError> {
        let Some(history) = self.0.get(key) else { return Ok(None) };
        let wanted = revision.unwrap_or(history.summary.revision);
        let Some(record) = history.records.iter().find(|record| record.number == wanted) else { return Ok(None) };
        if let Some(why) = &record.unreadable {
            return Err(InstallerError::Unreadable(why.clone()));
        }
        let content = &record.draft.content;
        Ok(Some(Release {
            summary: summarise(key, &history.records, history.first_deployed, record),
            credentials: content.credentials().cloned(),
            values: values::of(key, content),
            redactor: content.redactor(),
        }))
    }

    /// Adds a revision as pending, and cuts the history.
    pub(super) fn push(&mut self, key: &ReleaseKey, draft: Draft) -> RevisionNumber {
        let newest = self.newest(key);
        let number = RevisionNumber(newest.map_or(0, |newest| newest.number.0) + 1);
        let is_install = newest.is_none_or(|newest| newest.status == ReleaseStatus::Uninstalled);
        let (status, description) = match draft.rollback_to {
            Some(to) => (ReleaseStatus::PendingRollback, rollback_description(to)),
            None if is_install => (ReleaseStatus::PendingInstall, "Initial install underway".to_owned()),
            None => (ReleaseStatus::PendingUpgrade, "Preparing upgrade".to_owned()),
        };
        let at = draft.at;
        let unreadable = draft.content.unreadable().cloned();
        let record = Record { number, status, description, helm_uninstalls_since: None, unreadable, draft };
        match self.0.get_mut(key) {
            Some(history) => {
                history.records.push(record);
                history.cut();
                history.refresh(key);
            }
            None => {
                let summary = Arc::new(summarise(key, &[], at, &record));
                self.0.insert(key.clone(), History { records: vec![record], first_deployed: at, summary });
            }
        }
        number
    }

    /// Makes a revision the one in force.
    pub(super) fn deploy(&mut self, key: &ReleaseKey, number: RevisionNumber) {
        self.change(key, |record| {
            if record.number == number {
                record.status = ReleaseStatus::Deployed;
                record.description = match record.draft.rollback_to {
                    Some(to) => rollback_description(to),
                    None if number.0 == 1 => "Install complete".to_owned(),
                    None => "Upgrade complete".to_owned(),
                };
            } else if record.status == ReleaseStatus::Deployed {
                record.status = ReleaseStatus::Superseded;
            }
        });
    }

    /// Gives one revision a status and a description.
    pub(super) fn mark(&mut self, key: &ReleaseKey, number: RevisionNumber, status: ReleaseStatus, description: &str) {
        self.change(key, |record| {
            if record.number == number {
                record.status = status;
                description.clone_into(&mut record.description);
            }
        });
    }

    /// Marks the newest revision as a human's Helm does that begins to remove it; false if there is none.
    pub(super) fn begin_helm_uninstall(&mut self, key: &ReleaseKey, at: Timestamp) -> bool {
        let Some(number) = self.newest(key).map(|newest| newest.number) else { return false };
        self.mark(key, number, ReleaseStatus::Uninstalling, "Deletion in progress (or silently failed)");
        self.change(key, |record| {
            if record.number == number {
                record.helm_uninstalls_since = Some(at);
            }
        });
        true
    }

    /// Makes the newest revision unreadable; false if there is none.
    pub(super) fn break_newest(&mut self, key: &ReleaseKey, why: &str) -> bool {
        let Some(number) = self.newest(key).map(|newest| newest.number) else { return false };
        self.change(key, |record| {
            if record.number == number {
                record.unreadable = Some(why.to_owned());
            }
        });
        true
    }

    /// Removes all records; whether there were any.
    pub(super) fn remove(&mut self, key: &ReleaseKey) -> bool {
        self.0.remove(key).is_some()
    }

    /// Records the revision that follows the one on which it was decided.
    pub(super) fn begin(
        &mut self,
        desired: &DesiredRelease,
        content: Arc<Content>,
        at: Timestamp,
    ) -> Result<RevisionHandle, InstallerError> {
        let DesiredRelease { key, operation, after, .. } = desired;
        let handle = |revision| Ok(RevisionHandle { key: key.clone(), revision, operation: operation.clone() });
        let is_own = |record: &&Record| record.draft.operation.as_ref() == Some(operation) && record.draft.rollback_to.is_none();
        if let Some(own) = self.records(key).iter().find(is_own) {
            return handle(own.number);
        }
        let newest = self.newest(key);
        if let Some(why) = newest.and_then(|newest| newest.unreadable.as_ref()) {
            return Err(InstallerError::Unreadable(why.clone()));
        }
        let is_leaving = newest.is_some_and(|newest| newest.status == ReleaseStatus::Uninstalling);
        if is_leaving || newest.map(|newest| newest.number) != *after {
            return changed(newest.map_or_else(
                || "its records are gone".to_owned(),
                |newest| format!("revision {} ({}) was written in the meantime", newest.number, newest.status),
            ));
        }
        // Whoever is pending now was overtaken, or died.
        self.change(key, |record| {
            if record.status.is_under_way() {
                record.status = ReleaseStatus::Failed;
            }
        });
        handle(self.push(key, Draft { content, at, operation: Some(operation.clone()), rollback_to: None }))
    }

    /// The content to apply for a revision of ours that nobody has changed or overtaken.
    pub(super) fn in_hand(&self, handle: &RevisionHandle) -> Result<Arc<Content>, InstallerError> {
        let record = self.own(handle)?;
        self.check_highest(handle)?;
        if record.status.is_pending() || record.status == ReleaseStatus::Deployed {
            Ok(Arc::clone(&record.draft.content))
        } else {
            changed(format!("revision {} is {}", handle.revision, record.status))
        }
    }

    pub(super) fn commit(&mut self, handle: &RevisionHandle) -> Result<(), InstallerError> {
        self.in_hand(handle)?;
        self.deploy(&handle.key, handle.revision);
        Ok(())
    }

    pub(super) fn fail(&mut self, handle: &RevisionHandle, description: &str) -> Result<(), InstallerError> {
        match self.own(handle)?.status {
            ReleaseStatus::Failed => return Ok(()),
            // A pending one that was overtaken is dead, and may be called what it is.
            status if status.is_pending() => {}
            _ => self.check_highest(handle)?,
        }
        self.mark(&handle.key, handle.revision, ReleaseStatus::Failed, description);
        Ok(())
    }

    /// The records' part of a rollback.
    pub(super) fn roll_back(
        &mut self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        why: &str,
        at: Timestamp,
    ) -> Result<RevisionHandle, InstallerError> {
        let RevisionHandle { key, operation, .. } = failed;
        let handle = |revision| Ok(RevisionHandle { revision, ..failed.clone() });
        self.own(failed)?;
        let is_own = |record: &&Record| record.draft.operation.as_ref() == Some(operation) && record.draft.rollback_to == Some(to);
        if let Some(own) = self.newest(key).filter(is_own) {
            return handle(own.number);
        }
        self.check_highest(failed)?;
        let Some(target) = self.records(key).iter().find(|record| record.number == to) else {
            return changed(format!("revision {to} is gone"));
        };
        let content = Arc::clone(&target.draft.content);
        self.fail(failed, why)?;
        handle(self.push(key, Draft { content, at, operation: Some(operation.clone()), rollback_to: Some(to) }))
    }

    /// The record behind a handle, if it is still the one that was written for it.
    fn own(&self, handle: &RevisionHandle) -> Result<&Record, InstallerError> {
        match self.records(&handle.key).iter().find(|record| record.number == handle.revision) {
            None => changed(format!("revision {} is gone", handle.revision)),
            Some(record) if record.draft.operation.as_ref() != Some(&handle.operation) => {
                changed(format!("revision {} was written by somebody else", handle.revision))
            }
            Some(record) => Ok(record),
        }
    }

    fn check_highest(&self, handle: &RevisionHandle) -> Result<(), InstallerError> {
        match self.newest(&handle.key) {
            Some(newest) if newest.number > handle.revision => {
                changed(format!("revision {} ({}) came after revision {}", newest.number, newest.status, handle.revision))
            }
            _ => Ok(()),
        }
    }

    /// Changes a release's records, if it has any, and makes its summary anew.
    fn change(&mut self, key: &ReleaseKey, change: impl FnMut(&mut Record)) {
        if let Some(history) = self.0.get_mut(key) {
            history.records.iter_mut().for_each(change);
            history.refresh(key);
        }
    }
}

// === impl History ===

impl History {
    /// Removes the oldest revisions, never the deployed one or one to go back to, and never the newest.
    fn cut(&mut self) {
        let needed = standing(&self.records).to_go_back_to();
        while self.records.len() > HISTORY_LIMIT {
            let (_, older) = self.records.split_last().expect("it is longer than the limit");
            let is_free = |record: &Record| record.status != ReleaseStatus::Deployed && Some(record.number) != needed;
            let Some(oldest) = older.iter().position(is_free) else { return };
            self.records.remove(oldest);
        }
    }

    fn refresh(&mut self, key: &ReleaseKey) {
        if let Some(newest) = self.records.last() {
            self.summary = Arc::new(summarise(key, &self.records, self.first_deployed, newest));
        }
    }
}

/// What a list shows of one revision among the others.
fn summarise(key: &ReleaseKey, records: &[Record], first_deployed: Timestamp, record: &Record) -> ReleaseSummary {
    let Draft { content, at, operation, rollback_to: _ } = &record.draft;
    let objects = content.objects(key);
    let mut kinds: Vec<_> = objects.iter().filter_map(|object| object.split_once('/')).map(|(kind, _)| kind.to_owned()).collect();
    kinds.dedup();
    ReleaseSummary {
        key: key.clone(),
        revision: record.number,
        status: record.status,
        standing: standing(records),
        chart: content.chart().to_owned(),
        app_version: content.app_version().to_owned(),
        first_deployed,
        last_deployed: *at,
        helm_uninstalls_since: record.helm_uninstalls_since,
        kinds,
        deployment: content.facts(key, operation.as_ref()).filter(|_| record.unreadable.is_none()),
        unreadable: record.unreadable.clone(),
    }
}

fn standing(records: &[Record]) -> Standing {
    Standing::of(records.iter().map(|record| (record.number, record.status)))
}

fn rollback_description(to: RevisionNumber) -> String {
    format!("Rollback to {to}")
}
