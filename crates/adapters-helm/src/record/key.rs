//! The name of a record's Secret, and what it says.

use dbt_controller_domain::model::{Namespace, ReleaseKey, RevisionNumber};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Which revision of which release a record is, and in which of Helm's storage formats.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RecordKey {
    pub(crate) release: ReleaseKey,
    pub(crate) revision: RevisionNumber,
    format: u32,
}

/// Which of the records of one release a record is. They are in the order in which they were written: a later format comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) revision: RevisionNumber,
    format: u32,
}

/// What the names of records begin with; the number of Helm's storage format follows.
const PREFIX: &str = "sh.helm.release.v";
/// The only format that there is so far.
const FORMAT: u32 = 1;

impl RecordKey {
    /// That of a record in the format that we write.
    pub(crate) fn new(release: &ReleaseKey, revision: RevisionNumber) -> Self {
        Self::at(release, Slot { revision, format: FORMAT })
    }

    pub(crate) fn at(release: &ReleaseKey, slot: Slot) -> Self {
        Self { release: release.clone(), revision: slot.revision, format: slot.format }
    }

    pub(crate) fn slot(&self) -> Slot {
        Slot { revision: self.revision, format: self.format }
    }

    /// The name of the Secret.
    pub(crate) fn secret_name(&self) -> String {
        format!("{PREFIX}{}.{}.v{}", self.format, self.release.name, self.revision)
    }

    /// The number of its format, if it is not the one that we know.
    pub(crate) fn unknown_format(&self) -> Option<u32> {
        Some(self.format).filter(|format| *format != FORMAT)
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
        let release = ReleaseKey { namespace, name: name.parse().ok()? };
        Some(Self { release, revision: RevisionNumber(number(revision)?), format: number(format)? })
    }
}

/// A number above 0 as Helm spells it. In another spelling it would be that of another Secret.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok().filter(|number| *number > 0)?;
    (number.to_string() == text).then_some(number)
}
