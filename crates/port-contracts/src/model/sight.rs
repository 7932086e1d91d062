//! All that a world shows at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use dbt_controller_domain::model::{
    Claim, Credentials, DeployRequest, Namespace, OperationId, Release, ReleaseKey, ReleaseStatus, ReleaseSummary, RequestedCredentials,
    RevisionNumber, ServerKey, ServerName, StoredConnection,
};
use dbt_controller_domain::naming::{ConnectionId, Identity};
use secrecy::ExposeSecret as _;

use super::step::{Place, Who};

/// What there is under the names of the stories' identities.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// The releases, with mere history (`uninstalled`) too.
    pub releases: BTreeMap<ReleaseKey, Seen>,
    /// The objects whose annotations name a release, as `Kind/name`; without keys that have none.
    pub objects: BTreeMap<ReleaseKey, Vec<String>>,
    /// The servers of which anything is there.
    pub servers: BTreeMap<ServerKey, SeenServer>,
    /// The claims under each server's name; without keys that have none.
    pub claims: BTreeMap<ServerKey, Vec<Claim>>,
    /// Every connection under an id of the stories' identities, whosever it is.
    pub connections: BTreeMap<ConnectionId, SeenConnection>,
}

/// A release.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its newest revision.
    pub summary: Arc<ReleaseSummary>,
    /// The revision in force, whole.
    pub in_force: Option<Release>,
    /// What of the revision in force is not in the cluster as it was applied.
    pub missing: Vec<String>,
    /// All revisions, oldest first.
    pub history: Vec<Row>,
}

/// A revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub revision: RevisionNumber,
    /// Its status.
    pub status: ReleaseStatus,
    /// The operation of ours that wrote it.
    pub operation: Option<OperationId>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenServer {
    /// The replicas of its StatefulSet, if there is one.
    pub replicas: Option<u32>,
    /// Whether every pod that is asked for is ready and of the newest revision.
    pub ready: bool,
    /// How many pods there are.
    pub pods: usize,
}

/// A connection with its login, which no port can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenConnection {
    /// What a port can read.
    pub stored: StoredConnection,
    /// User and password.
    pub login: (String, String),
}

impl Sight {
    /// The keys under which anything of a story can be.
    pub fn keys() -> Vec<ReleaseKey> {
        let namespaces = [Place(false), Place(true)].map(|place| namespace(place.name()));
        let names = Who::all().into_iter().flat_map(|who| who.identity().release_names());
        let mut keys: Vec<_> = names
            .flat_map(|name| namespaces.iter().map(move |namespace| ReleaseKey { namespace: namespace.clone(), name: name.clone() }))
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// The server of a key.
    pub fn server_of(key: &ReleaseKey) -> ServerKey {
        ServerKey { namespace: key.namespace.clone(), name: ServerName::from(&key.name) }
    }

    /// Whether somebody is in the middle of a change of a release, or died there.
    pub fn is_being_changed(&self) -> bool {
        self.releases.values().any(|seen| {
            let status = seen.summary.status;
            status.is_pending() || status == ReleaseStatus::Uninstalling
        })
    }

    /// The release of a key, unless it is mere history.
    pub fn present(&self, key: &ReleaseKey) -> Option<&Seen> {
        self.releases.get(key).filter(|seen| seen.summary.is_present())
    }

    /// Every release that is more than history.
    pub fn all_present(&self) -> impl Iterator<Item = (&ReleaseKey, &Seen)> {
        self.releases.iter().filter(|(_, seen)| seen.summary.is_present())
    }

    /// Where an identity is deployed.
    pub fn deployment_of(&self, identity: &Identity) -> Option<&ReleaseKey> {
        self.all_present().find(|(_, seen)| seen.summary.identity() == Some(identity)).map(|(key, _)| key)
    }

    /// The connections that are a release's.
    pub fn connections_of(&self, key: &ReleaseKey) -> impl Iterator<Item = &SeenConnection> {
        self.connections.values().filter(move |connection| connection.stored.owner.as_ref() == Some(key))
    }
}

impl Seen {
    /// The login that the revision in force wrote.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.in_force.as_ref().and_then(|release| release.credentials.as_ref())
    }

    /// Whether what is in force is what is wished, in whatever words: nothing but the image, the size and the login differs in the stories.
    pub(super) fn is_as_wished(&self, wished: &DeployRequest) -> bool {
        let facts = self.in_force.as_ref().and_then(|release| release.summary.deployment.as_ref());
        let (Some(facts), Some(login)) = (facts, self.credentials()) else { return false };
        let RequestedCredentials { user, password } = &wished.credentials;
        facts.image == wished.image.to_string()
            && facts.storage.as_ref() == Some(&wished.resources.storage_size)
            && user.as_ref().is_none_or(|user| *user == login.user)
            && password.as_ref().is_none_or(|password| password.expose_secret() == login.password.expose_secret())
    }
}

fn namespace(name: &str) -> Namespace {
    name.parse().unwrap_or_else(|error| panic!("`{name}`: {error}"))
}
