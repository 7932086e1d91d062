//! What tests see of releases, and do to them in place of a human with `helm` and `kubectl`.

use std::sync::Arc;

use dbt_controller_domain::model::{
    DesiredRelease, Namespace, OperationId, Release, ReleaseKey, ReleaseStatus, ReleaseSummary, RevisionNumber,
};
use dbt_controller_domain::naming::ReleaseName;
use dbt_controller_domain::ports::InstallerError;
use jiff::Timestamp;

use super::content::{Content, ForeignRelease};
use super::records::Draft;
use super::writing::Fixed;
use crate::world::{Inner, Scene};

/// Looks at a world's releases, plants them, and changes them as a human does.
#[derive(Debug, Clone)]
pub struct Releases(pub(crate) Arc<Inner>);

/// One revision, as `helm history` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The revision.
    pub revision: RevisionNumber,
    /// Its status.
    pub status: ReleaseStatus,
    /// Helm's sentence about it.
    pub description: String,
    /// When it was made.
    pub at: Timestamp,
    /// The operation of ours that wrote it.
    pub operation: Option<OperationId>,
}

/// Looking.
impl Releases {
    /// How many releases there are, `uninstalled` ones included.
    pub fn count(&self) -> usize {
        self.0.scene().state.releases.summaries().count()
    }

    /// Every release, by key.
    pub fn list(&self) -> Vec<Arc<ReleaseSummary>> {
        self.0.scene().state.releases.summaries().cloned().collect()
    }

    /// The newest revision; none without a (readable) release.
    pub fn get(&self, key: &ReleaseKey) -> Option<Release> {
        self.0.scene().state.releases.get(key, None).ok().flatten()
    }

    /// One revision; none without it, or when it cannot be read.
    pub fn revision(&self, key: &ReleaseKey, revision: RevisionNumber) -> Option<Release> {
        self.0.scene().state.releases.get(key, Some(revision)).ok().flatten()
    }

    /// What of the revision in force is not in the cluster as it was applied.
    pub fn missing_objects(&self, key: &ReleaseKey) -> Vec<String> {
        let scene = self.0.scene();
        let in_force = scene.state.releases.records(key).iter().rfind(|record| record.status == ReleaseStatus::Deployed);
        in_force.map(|record| scene.missing_objects(key, &record.draft.content)).unwrap_or_default()
    }

    /// All revisions, oldest first.
    pub fn history(&self, key: &ReleaseKey) -> Vec<HistoryRow> {
        let scene = self.0.scene();
        let records = scene.state.releases.records(key).iter();
        let row = |record: &super::records::Record| HistoryRow {
            revision: record.number,
            status: record.status,
            description: record.description.clone(),
            at: record.draft.at,
            operation: record.draft.operation.clone(),
        };
        records.map(row).collect()
    }

    /// The objects whose annotations name a release, as `Kind/name`, in Helm's order.
    pub fn objects(&self, key: &ReleaseKey) -> Vec<String> {
        self.0.scene().state.objects.of(key)
    }
}

/// Planting.
impl Releases {
    /// Installs a release that is not ours, whole and `deployed`. Its server, if it has one, starts now.
    ///
    /// # Errors
    /// What `apply` returns when the cluster refuses an object.
    pub fn install(&self, release: ForeignRelease) -> Result<RevisionNumber, InstallerError> {
        let key = release.key.clone();
        self.0.scene().install(&key, Arc::new(Content::Foreign(Box::new(release))), None)
    }

    /// Installs or upgrades a deployment as the service would have done some time ago: whole and `deployed`, without a connection.
    /// Its server starts now.
    ///
    /// # Errors
    /// What `apply` returns when the cluster refuses an object.
    pub fn deploy(&self, desired: &DesiredRelease) -> Result<RevisionNumber, InstallerError> {
        let mut scene = self.0.scene();
        let content = Content::desired(desired);
        scene.install(&desired.key, content, Some(desired.operation.clone()))
    }

    /// Makes an object, such as `Service/x`, that Helm knows nothing of, or that is of another release.
    pub fn plant_object(&self, namespace: &Namespace, object: &str, owner: Option<ReleaseName>) {
        let mut scene = self.0.scene();
        match owner {
            Some(name) => scene.state.objects.put(&ReleaseKey { namespace: namespace.clone(), name }, object),
            None => scene.state.objects.put_unowned(namespace, object),
        }
    }
}

/// Interfering. All of it goes through whatever our own operations are doing, as with real Helm.
impl Releases {
    /// `helm rollback`: a new revision with the content of an older one, at once `deployed`. A pending one below it stays pending.
    ///
    /// # Errors
    /// `Changed` when there is no such revision; what `apply` returns when the cluster refuses an object. Then, as with Helm, the new
    /// revision is `failed` and the one that it was to replace is `superseded`, so that none may be in force.
    pub fn roll_back(&self, key: &ReleaseKey, to: RevisionNumber) -> Result<RevisionNumber, InstallerError> {
        let mut scene = self.0.scene();
        let content = scene.content_of(key, Some(to))?;
        let current = scene.state.releases.newest(key).map(|newest| newest.number);
        let draft = Draft { content: Arc::clone(&content), at: scene.timestamp(), operation: None, rollback_to: Some(to) };
        let number = scene.state.releases.push(key, draft);
        if let Err(refused) = scene.write_objects(key, &content, Fixed::Refuse) {
            if let Some(current) = current {
                scene.state.releases.mark(key, current, ReleaseStatus::Superseded, "");
            }
            scene.state.releases.mark(key, number, ReleaseStatus::Failed, &format!("Rollback \"{}\" failed: {refused}", key.name));
            return Err(refused);
        }
        scene.state.releases.deploy(key, number);
        Ok(number)
    }

    /// `helm upgrade --reuse-values`: a new revision with the content of the newest one.
    ///
    /// # Errors
    /// `Changed` without a release, and when the newest revision is pending or being removed, which stops an upgrade.
    pub fn upgrade(&self, key: &ReleaseKey) -> Result<RevisionNumber, InstallerError> {
        let mut scene = self.0.scene();
        if scene.state.releases.newest(key).is_some_and(|newest| newest.status.is_under_way()) {
            return Err(InstallerError::Changed("another operation (install/upgrade/rollback) is in progress".to_owned()));
        }
        let content = scene.content_of(key, None)?;
        scene.install(key, content, None)
    }

    /// A `helm upgrade` that was killed, or still runs: a new revision that stays pending.
    ///
    /// # Errors
    /// `Changed` without a release.
    pub fn leave_pending(&self, key: &ReleaseKey) -> Result<RevisionNumber, InstallerError> {
        let mut scene = self.0.scene();
        let content = scene.content_of(key, None)?;
        let draft = Draft { content, at: scene.timestamp(), operation: None, rollback_to: None };
        Ok(scene.state.releases.push(key, draft))
    }

    /// `helm uninstall`, with `--keep-history` if wished. Claims stay. False without a release.
    pub fn uninstall(&self, key: &ReleaseKey, keep_history: bool) -> bool {
        let mut scene = self.0.scene();
        let Some(newest) = scene.state.releases.newest(key).map(|newest| newest.number) else { return false };
        if keep_history {
            scene.remove_objects(key);
            scene.state.releases.mark(key, newest, ReleaseStatus::Uninstalled, "Uninstallation complete");
        } else {
            scene.uninstall(key);
        }
        true
    }

    /// A `helm uninstall` that was killed, or still runs, before it has removed anything. False without a release.
    pub fn leave_uninstalling(&self, key: &ReleaseKey) -> bool {
        let mut scene = self.0.scene();
        let now = scene.timestamp();
        scene.state.releases.begin_helm_uninstall(key, now)
    }

    /// Makes the newest record unreadable: why it cannot be decoded. False without a release.
    pub fn break_record(&self, key: &ReleaseKey, why: &str) -> bool {
        self.0.scene().state.releases.break_newest(key, why)
    }

    /// Deletes the records and leaves the objects, as somebody does who deletes Secrets by hand.
    pub fn forget(&self, key: &ReleaseKey) {
        self.0.scene().state.releases.remove(key);
    }

    /// `kubectl delete`: removes an object, such as `Service/x`, of a release.
    pub fn remove_object(&self, key: &ReleaseKey, object: &str) {
        self.0.scene().remove_object(key, object);
    }

    /// `kubectl edit`: changes fields of an object that its release wrote; false if it does not exist.
    pub fn disturb_object(&self, key: &ReleaseKey, object: &str) -> bool {
        self.0.scene().state.objects.disturb(&key.namespace, object)
    }
}

impl Scene<'_> {
    fn install(
        &mut self,
        key: &ReleaseKey,
        content: Arc<Content>,
        operation: Option<OperationId>,
    ) -> Result<RevisionNumber, InstallerError> {
        let draft = Draft { content: Arc::clone(&content), at: self.timestamp(), operation, rollback_to: None };
        let number = self.state.releases.push(key, draft);
        if let Err(refused) = self.write_objects(key, &content, Fixed::Refuse) {
            // As with Helm; the revision in force stays in force.
            self.state.releases.mark(key, number, ReleaseStatus::Failed, &format!("Release \"{}\" failed: {refused}", key.name));
            return Err(refused);
        }
        self.state.releases.deploy(key, number);
        Ok(number)
    }

    fn content_of(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Arc<Content>, InstallerError> {
        let records = self.state.releases.records(key);
        let record = match revision {
            Some(number) => records.iter().find(|record| record.number == number),
            None => records.last(),
        };
        let record = record.ok_or_else(|| InstallerError::Changed("there is no such revision".to_owned()))?;
        Ok(Arc::clone(&record.draft.content))
    }
}
