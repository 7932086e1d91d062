//! What a record says of a revision that the helm program has applied and nobody has proved yet.
//!
//! Helm calls a revision deployed when its objects are written. For this service it is then still pending: until its server is ready
//! and its connection is written. The description tells such a revision, so that a crash right after helm's end hides nothing. Helm
//! never copies a description to another revision, and the commit writes another one.

use dbt_controller_domain::model::{ReleaseStatus, RevisionNumber};

use super::Record;

const BEGIN: &str = "Applied";
const INSTEAD: &str = " in place of revision ";
const END: &str = ", not proved ready yet";

/// The description of a revision that is applied in place of the one in force.
pub(crate) fn unproved(in_force: Option<RevisionNumber>) -> String {
    let instead = in_force.map(|revision| format!("{INSTEAD}{revision}")).unwrap_or_default();
    format!("{BEGIN}{instead}{END}")
}

impl Record {
    /// The revision that was in force when this one was applied, if it says so.
    pub(crate) fn in_place_of(&self) -> Option<RevisionNumber> {
        let description = self.description();
        let instead = description.strip_prefix(BEGIN)?.strip_suffix(END)?.strip_prefix(INSTEAD)?;
        instead.parse().ok().map(RevisionNumber)
    }

    /// Takes a revision that helm calls deployed for what it is until it is proved.
    pub(crate) fn hold_open(&mut self) {
        let description = self.description();
        let is_unproved = description.starts_with(BEGIN) && description.ends_with(END);
        if is_unproved && self.status() == ReleaseStatus::Deployed {
            let is_first = self.key().revision == RevisionNumber(1);
            self.set_status(if is_first { ReleaseStatus::PendingInstall } else { ReleaseStatus::PendingUpgrade });
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::record::{Draft, RecordKey};

    fn record(revision: u32, status: ReleaseStatus, description: &str) -> Record {
        let release = dbt_controller_domain::model::ReleaseKey { namespace: "ns".parse().unwrap(), name: "a".parse().unwrap() };
        let draft = Draft {
            key: RecordKey::new(&release, RevisionNumber(revision)),
            status,
            description,
            first_deployed: Timestamp::UNIX_EPOCH,
            last_deployed: Timestamp::UNIX_EPOCH,
            chart: &json!({}),
            config: &json!({}),
            manifest: "",
        };
        Record::new(&draft, &Default::default())
    }

    #[test]
    fn a_revision_that_is_only_applied_is_pending() {
        for (revision, in_force, held) in
            [(1, None, ReleaseStatus::PendingInstall), (4, Some(RevisionNumber(3)), ReleaseStatus::PendingUpgrade)]
        {
            let mut applied = record(revision, ReleaseStatus::Deployed, &unproved(in_force));
            applied.hold_open();
            assert_eq!((applied.status(), applied.in_place_of()), (held, in_force));
        }
    }

    #[test]
    fn what_helm_says_by_itself_is_left_as_it_is() {
        for (status, description) in [
            (ReleaseStatus::Deployed, "Upgrade complete"),
            (ReleaseStatus::Deployed, "Applied"),
            (ReleaseStatus::Superseded, "Applied, not proved ready yet"),
            (ReleaseStatus::Failed, "Applied in place of revision 1, not proved ready yet"),
        ] {
            let mut other = record(2, status, description);
            other.hold_open();
            assert_eq!(other.status(), status, "{description}");
        }
        assert_eq!(record(2, ReleaseStatus::Deployed, "Rollback to 1").in_place_of(), None);
    }
}
