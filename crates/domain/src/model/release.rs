//! Helm releases as the domain sees them.

use dbt_controller_naming::{ConnectionId, Identity, ReleaseName};
use jiff::Timestamp;

use super::{ByteQuantity, Credentials, DeployRequest, Namespace, OperationId, Redactor, RequestHash, ServerKey, ServerName};
use crate::words;

/// A release: Helm knows one name once per namespace; we allow one name once over all managed namespaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseKey {
    /// The namespace of the release and its objects.
    pub namespace: Namespace,
    /// The name of the release.
    pub name: ReleaseName,
}

impl std::fmt::Display for ReleaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The number of a revision, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionNumber(pub u32);

impl RevisionNumber {
    /// The one before; none for the first.
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).filter(|number| *number > 0).map(Self)
    }
}

impl std::fmt::Display for RevisionNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

words! {
    /// Helm's status of a revision.
    pub enum ReleaseStatus {
        /// Being installed.
        PendingInstall = "pending-install",
        /// Being upgraded.
        PendingUpgrade = "pending-upgrade",
        /// Being rolled back.
        PendingRollback = "pending-rollback",
        /// In force.
        Deployed = "deployed",
        /// Did not come up.
        Failed = "failed",
        /// Replaced by a later revision.
        Superseded = "superseded",
        /// Being removed.
        Uninstalling = "uninstalling",
        /// Removed, its record kept (`helm uninstall --keep-history`). Counts as absent.
        Uninstalled = "uninstalled",
        /// Helm's own word for none of these.
        Unknown = "unknown",
    }
}

impl ReleaseStatus {
    /// Whether somebody's operation is (or was, before it died) in the middle.
    pub fn is_pending(self) -> bool {
        match self {
            Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback => true,
            Self::Deployed | Self::Failed | Self::Superseded | Self::Uninstalling | Self::Uninstalled | Self::Unknown => false,
        }
    }

    /// The same, a removal included. Below a higher revision it is dead.
    pub fn is_under_way(self) -> bool {
        self.is_pending() || self == Self::Uninstalling
    }
}

/// SHA-256 of the manifest that a revision holds, as hex. Equal hashes: nothing to write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ManifestHash(pub String);

/// What marks a release as a deployment: its manifest holds a StatefulSet labelled `app: fastbi-dbt-project-runner`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentFacts {
    /// Whose server it is; none for a release that somebody else wrote and that does not tell.
    pub identity: Option<Identity>,
    /// Whether our service wrote it; otherwise the replaced service or a human did.
    pub ours: bool,
    /// The own namespace of the service that wrote it, where that is told.
    pub home: Option<Namespace>,
    /// The StatefulSet's name.
    pub server: ServerName,
    /// The connection that was registered for it.
    pub connection_id: Option<ConnectionId>,
    /// Host name without scheme.
    pub host: String,
    /// What Airflow tasks call.
    pub url: String,
    /// The server's image.
    pub image: String,
    /// The size of the claim.
    pub storage: Option<ByteQuantity>,
    /// The request it came from.
    pub request_hash: Option<RequestHash>,
    /// The manifest it holds.
    pub manifest_hash: Option<ManifestHash>,
    /// The operation that wrote the newest revision. MUST be none for a revision that somebody else's Helm wrote, also when it copied
    /// the values of one of ours: it tells a dead writer of ours from a human at work.
    pub operation: Option<OperationId>,
}

impl DeploymentFacts {
    /// Whether the replaced service or a human made it, and does not tell for whom.
    pub fn is_foreign(&self) -> bool {
        !self.ours && self.identity.is_none()
    }
}

/// What the statuses of all revisions of a release say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// The revision in force: the highest that is called deployed, should a broken-off write have left two.
    pub deployed: Option<RevisionNumber>,
    /// The highest that is called superseded, since the release was uninstalled last.
    pub superseded: Option<RevisionNumber>,
}

impl Standing {
    /// From the statuses of all revisions, in any order.
    pub fn of(statuses: impl IntoIterator<Item = (RevisionNumber, ReleaseStatus)>) -> Self {
        let (mut deployed, mut superseded, mut uninstalled) = (None, None, None);
        for (revision, status) in statuses {
            let highest = match status {
                ReleaseStatus::Deployed => &mut deployed,
                ReleaseStatus::Superseded => &mut superseded,
                ReleaseStatus::Uninstalled => &mut uninstalled,
                _ => continue,
            };
            *highest = (*highest).max(Some(revision));
        }
        // What came before an uninstall is mere history: nobody wants it back.
        Self { deployed, superseded: superseded.filter(|_| superseded > uninstalled) }
    }

    /// Where an undo goes back to. Helm's rollback calls the revision in force superseded before it applies the older one, and leaves it so
    /// when that is refused: then none is in force, and what was still runs.
    pub fn to_go_back_to(self) -> Option<RevisionNumber> {
        self.deployed.or(self.superseded)
    }
}

/// What a list shows of a release, taken from its newest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseSummary {
    /// Which release.
    pub key: ReleaseKey,
    /// The newest revision.
    pub revision: RevisionNumber,
    /// Its status.
    pub status: ReleaseStatus,
    /// What all its revisions say together.
    pub standing: Standing,
    /// `<chart>-<version>`.
    pub chart: String,
    /// The chart's `appVersion`.
    pub app_version: String,
    /// When the first revision was made.
    pub first_deployed: Timestamp,
    /// When the newest revision was made.
    pub last_deployed: Timestamp,
    /// Since when somebody else's `helm uninstall` has been at work on it, or was before it died. None for a removal of ours.
    pub helm_uninstalls_since: Option<Timestamp>,
    /// The kinds of its objects, in Helm's order, each once.
    pub kinds: Vec<String>,
    /// What makes it a deployment of ours; none for any other Helm release.
    pub deployment: Option<DeploymentFacts>,
    /// Why the record could not be read, if so; such a release is listed, never written.
    pub unreadable: Option<String>,
}

impl ReleaseSummary {
    /// Whether the release counts: an `uninstalled` one is only history.
    pub fn is_present(&self) -> bool {
        self.status != ReleaseStatus::Uninstalled
    }

    /// Whether this operation wrote the revision.
    pub fn is_by(&self, operation: &OperationId) -> bool {
        self.deployment.as_ref().is_some_and(|facts| facts.operation.as_ref() == Some(operation))
    }

    /// Whose deployment it is, where that is known.
    pub fn identity(&self) -> Option<&Identity> {
        self.deployment.as_ref().and_then(|facts| facts.identity.as_ref())
    }
}

/// One revision, whole.
#[derive(Debug, Clone)]
pub struct Release {
    /// What a list shows. `revision` and `status` are those of this revision.
    pub summary: ReleaseSummary,
    /// The login that this revision wrote.
    pub credentials: Option<Credentials>,
    /// The release's values with every secret as `***`.
    pub values: serde_json::Value,
    /// Replaces the secrets that this revision holds.
    pub redactor: Redactor,
}

impl Release {
    /// Whether it is a deployment that the replaced service or a human made, and that does not tell for whom.
    pub fn is_foreign(&self) -> bool {
        self.summary.deployment.as_ref().is_some_and(DeploymentFacts::is_foreign)
    }
}

impl DesiredRelease {
    /// The server that it makes.
    pub fn server_key(&self) -> ServerKey {
        ServerKey { namespace: self.key.namespace.clone(), name: self.server.clone() }
    }
}

/// What a deploy wants a release to be.
#[derive(Debug, Clone)]
pub struct DesiredRelease {
    /// Which release.
    pub key: ReleaseKey,
    /// The own namespace of the service that writes it (`KUBERNETES_NAMESPACE`).
    pub home: Namespace,
    /// What its StatefulSet, Service and claim template are called: as the release, or as an adopted one called them.
    pub server: ServerName,
    /// The resolved request.
    pub request: DeployRequest,
    /// The login to write.
    pub credentials: Credentials,
    /// The connection it will be registered as.
    pub connection_id: Option<ConnectionId>,
    /// The newest revision that the decision was made on; none when there was no record. If it is another one by now, somebody else
    /// was faster and the decision no longer holds.
    pub after: Option<RevisionNumber>,
    /// The operation that writes it; a revision remembers it, so that a repeated `begin` finds its own.
    pub operation: OperationId,
}

/// A revision that an operation of ours is writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionHandle {
    /// Which release.
    pub key: ReleaseKey,
    /// Which revision.
    pub revision: RevisionNumber,
    /// Who writes it.
    pub operation: OperationId,
}

/// What `uninstall` found and removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uninstalled {
    /// Whether there was a release record.
    pub had_record: bool,
    /// Objects removed, as `Kind/name`.
    pub objects: Vec<String>,
}
