//! The name of a record's Secret, and what it says.

use dbt_controller_domain::model::{Namespace, ReleaseKey, RevisionNumber};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Which revision of which release a record is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RecordKey {
    pub(crate) release: ReleaseKey,
    pub(crate) revision: RevisionNumber,
}

/// What the names of records begin with; the number of Helm's storage format follows. We write format 1.
const PREFIX: &str = "sh.helm.release.v";

impl RecordKey {
    pub(crate) fn new(release: &ReleaseKey, revision: RevisionNumber) -> Self {
        Self { release: release.clone(), revision }
    }

    /// The name of the Secret.
    pub(crate) fn secret_name(&self) -> String {
        format!("{PREFIX}1.{}.v{}", self.release.name, self.revision)
    }

    /// The record that a Secret is, in whatever format; none for a Secret that is no record.
    pub(crate) fn of(meta: &ObjectMeta) -> Option<Self> {
        Self::parse(meta.namespace.as_deref()?, meta.name.as_deref()?)
    }

    /// The record that a Secret of this name is.
    pub(crate) fn parse(namespace: &str, secret_name: &str) -> Option<Self> {
        let namespace: Namespace = namespace.parse().ok()?;
        let (format, rest) = secret_name.strip_prefix(PREFIX)?.split_once('.')?;
        // The name of a release may hold ".v2" itself; the number of the revision is what comes last.
        let (name, revision) = rest.rsplit_once(".v")?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(format) || !is_number(revision) {
            return None;
        }
        let revision = revision.parse().ok().filter(|number| *number > 0)?;
        Some(Self { release: ReleaseKey { namespace, name: name.parse().ok()? }, revision: RevisionNumber(revision) })
    }
}
