//! A revision as it is read: whole, or reduced to what lists need.

use std::fmt;

use dbt_controller_domain::model::{
    DeploymentFacts, OperationId, Redactor, Release, ReleaseStatus, ReleaseSummary, RevisionNumber, Standing,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::uninstall;
use crate::chart;
use crate::controller::{Operation, erase_marks};
use crate::facts::Recorded;
use crate::manifest::Manifest;
use crate::record::{Record, RecordKey, Unreadable, status_of};

/// A revision, whole.
pub(super) struct Revision {
    pub(super) record: Record,
    /// The `resourceVersion` at which it was read or written.
    pub(super) version: String,
    created: Timestamp,
    pub(super) values: Value,
    pub(super) manifest: Manifest,
}

/// What is kept in memory of each revision.
#[derive(Debug)]
pub(super) struct Entry {
    /// As its label tells.
    pub(super) status: ReleaseStatus,
    pub(super) version: String,
    pub(super) uid: Option<String>,
    created: Timestamp,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Nobody needed to look into it yet.
    Unread,
    /// Why it cannot be read.
    Unreadable(String),
    Read(Box<Details>),
}

/// What lists tell of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Details {
    /// As its payload tells.
    pub(super) status: ReleaseStatus,
    /// The operation of ours that wrote it.
    pub(super) operation: Option<OperationId>,
    chart: String,
    app_version: String,
    first_deployed: Timestamp,
    last_deployed: Timestamp,
    helm_uninstalls_since: Option<Timestamp>,
    pub(super) kinds: Vec<String>,
    deployment: Option<DeploymentFacts>,
}

/// When a Secret was made.
fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

// === impl Revision ===

impl Revision {
    pub(super) fn decode(key: RecordKey, secret: &Secret) -> Result<Self, Unreadable> {
        let mut record = Record::decode(key, secret)?;
        record.hold_open();
        let values = record.values()?;
        let manifest = Manifest::from_text(&record.manifest()?).map_err(|error| Unreadable::Manifest(error.to_string()))?;
        Ok(Self::with(record, &secret.metadata, values, manifest))
    }

    /// A record as the API server has it, by the answer's metadata.
    pub(super) fn with(record: Record, meta: &ObjectMeta, values: Value, manifest: Manifest) -> Self {
        Self { record, version: meta.resource_version.clone().unwrap_or_default(), created: created(meta), values, manifest }
    }

    pub(super) fn key(&self) -> &RecordKey {
        self.record.key()
    }

    pub(super) fn number(&self) -> RevisionNumber {
        self.record.key().revision
    }

    /// The operation of ours that wrote it.
    pub(super) fn operation(&self) -> Option<OperationId> {
        Operation::read(&self.values, self.number())
    }

    /// Whether this operation wrote it, and not as a rollback.
    pub(super) fn is_begun_by(&self, operation: &OperationId) -> bool {
        self.operation().as_ref() == Some(operation) && self.record.rollback_revision().is_none()
    }

    /// Whether this operation wrote it to take the content of `to` back.
    pub(super) fn is_rollback_by(&self, operation: &OperationId, to: RevisionNumber) -> bool {
        self.operation().as_ref() == Some(operation) && self.record.rollback_revision() == Some(to)
    }

    pub(super) fn recorded(&self) -> Recorded<'_> {
        Recorded { key: self.record.release(), revision: self.number(), values: &self.values, manifest: &self.manifest }
    }

    pub(super) fn redactor(&self) -> Redactor {
        self.recorded().redactor()
    }

    /// The line of the password file.
    pub(super) fn htpasswd(&self) -> Option<String> {
        self.recorded().htpasswd()
    }

    fn details(&self) -> Details {
        let chart = self.record.chart();
        let last_deployed = self.record.last_deployed().unwrap_or(self.created);
        Details {
            status: self.record.status(),
            operation: self.operation(),
            chart: chart::title(&chart),
            app_version: chart::app_version(&chart).to_owned(),
            first_deployed: self.record.first_deployed().unwrap_or(last_deployed),
            last_deployed,
            helm_uninstalls_since: uninstall::by_somebody_since(&self.record, &self.values),
            kinds: self.manifest.kinds(),
            deployment: self.recorded().deployment(),
        }
    }

    /// What the domain sees of it.
    pub(super) fn release(&self, standing: Standing) -> Release {
        let mut values = self.recorded().redacted_values();
        erase_marks(&mut values);
        Release {
            summary: self.details().summary(self.key(), standing),
            credentials: self.recorded().credentials(),
            values,
            redactor: self.redactor(),
        }
    }

    /// What its description says once it is in force, in Helm's words; none to keep what it says.
    pub(super) fn deployed_description(&self) -> Option<&'static str> {
        match self.record.status() {
            ReleaseStatus::PendingInstall => Some("Install complete"),
            ReleaseStatus::PendingUpgrade => Some("Upgrade complete"),
            // "Rollback to 3", from the beginning.
            _ => None,
        }
    }
}

/// Without the content, which holds secrets.
impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revision").field("record", &self.record).field("version", &self.version).finish_non_exhaustive()
    }
}

// === impl Entry ===

impl Entry {
    /// What is kept of a Secret. Superseded revisions are not looked into: there may be nine of them per release.
    pub(super) fn of(key: RecordKey, secret: &Secret) -> Self {
        match status_of(&secret.metadata) {
            ReleaseStatus::Superseded => Self::with(&secret.metadata, Content::Unread),
            _ => Self::read(key, secret),
        }
    }

    /// As [`Self::of`], looked into in any case.
    pub(super) fn read(key: RecordKey, secret: &Secret) -> Self {
        let content = match Revision::decode(key, secret) {
            Ok(revision) => Content::Read(Box::new(revision.details())),
            Err(why) => Content::Unreadable(why.to_string()),
        };
        Self::with(&secret.metadata, content)
    }

    fn with(meta: &ObjectMeta, content: Content) -> Self {
        let version = meta.resource_version.clone().unwrap_or_default();
        Self { status: status_of(meta), version, uid: meta.uid.clone(), created: created(meta), content }
    }

    pub(super) fn is_unread(&self) -> bool {
        matches!(self.content, Content::Unread)
    }

    /// What a list shows when this is the newest revision.
    pub(super) fn summary(&self, key: &RecordKey, standing: Standing) -> ReleaseSummary {
        let unreadable = match &self.content {
            Content::Read(details) => return details.summary(key, standing),
            Content::Unread => "it was not read yet".to_owned(),
            Content::Unreadable(why) => why.clone(),
        };
        ReleaseSummary {
            key: key.release.clone(),
            revision: key.revision,
            status: self.status,
            standing,
            chart: String::new(),
            app_version: String::new(),
            first_deployed: self.created,
            last_deployed: self.created,
            helm_uninstalls_since: None,
            kinds: Vec::new(),
            deployment: None,
            unreadable: Some(unreadable),
        }
    }

    pub(super) fn details(&self) -> Option<&Details> {
        match &self.content {
            Content::Read(details) => Some(details),
            Content::Unread | Content::Unreadable(_) => None,
        }
    }
}

// === impl Details ===

impl Details {
    fn summary(&self, key: &RecordKey, standing: Standing) -> ReleaseSummary {
        ReleaseSummary {
            key: key.release.clone(),
            revision: key.revision,
            status: self.status,
            standing,
            chart: self.chart.clone(),
            app_version: self.app_version.clone(),
            first_deployed: self.first_deployed,
            last_deployed: self.last_deployed,
            helm_uninstalls_since: self.helm_uninstalls_since,
            kinds: self.kinds.clone(),
            deployment: self.deployment.clone(),
            unreadable: None,
        }
    }
}
