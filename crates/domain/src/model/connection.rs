//! Airflow connections as the domain sees them.

use std::collections::BTreeMap;

use dbt_controller_naming::{ConnectionId, ReleaseName};
use jiff::Timestamp;

use super::{Credentials, Namespace, ReleaseKey};
use crate::words;

/// A connection to write. Its type is `http`; it has no port, an empty schema and an empty extra.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Its id in Airflow.
    pub id: ConnectionId,
    /// The release whose connection it is, written into the description.
    pub owner: ReleaseKey,
    /// The full URL ending in `/invocations`.
    pub url: String,
    /// The server's login.
    pub credentials: Credentials,
}

/// What can be read of a connection: everything but the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConnection {
    /// Its id in Airflow.
    pub id: ConnectionId,
    /// Connection type, `http` for ours.
    pub conn_type: String,
    /// Host field: for ours the full URL.
    pub url: String,
    /// Login field.
    pub login: Option<String>,
    /// Description field, which tells whose it is.
    pub description: Option<String>,
    /// Whose it is: set by the adapter from the description (see [`owner_of_description`]), and for connections of
    /// the replaced service when host and id match.
    pub owner: Option<ReleaseKey>,
    /// Whether port, schema or extra are other than what we write.
    pub has_foreign_fields: bool,
}

impl StoredConnection {
    /// Whether its readable fields are those of `wanted`. One that the replaced service wrote has its owner, and says so in other words.
    pub fn agrees_with(&self, wanted: &Connection) -> bool {
        self.conn_type == CONNECTION_TYPE
            && self.url == wanted.url
            && self.login.as_deref() == Some(&wanted.credentials.user)
            && self.description.as_deref() == Some(&description_of_owner(&wanted.owner))
            && !self.has_foreign_fields
    }
}

/// The type of every connection we write.
pub const CONNECTION_TYPE: &str = "http";

/// The description that marks a connection as the one of `owner`.
pub fn description_of_owner(owner: &ReleaseKey) -> String {
    format!("dbt-api-service-controller: release {} in namespace {}", owner.name, owner.namespace)
}

/// The release that a description names, when it is one of ours.
pub fn owner_of_description(description: &str) -> Option<ReleaseKey> {
    let rest = description.strip_prefix("dbt-api-service-controller: release ")?;
    let (name, namespace) = rest.split_once(" in namespace ")?;
    Some(ReleaseKey { name: name.parse::<ReleaseName>().ok()?, namespace: namespace.parse::<Namespace>().ok()? })
}

words! {
    /// What `put` did.
    pub enum PutOutcome {
        /// There was none.
        Created = "created",
        /// It existed and was ours.
        Updated = "updated",
    }
}

words! {
    /// What `delete` did.
    pub enum DeleteOutcome {
        /// It existed and is gone.
        Deleted = "deleted",
        /// There was none.
        Absent = "not_found",
    }
}

/// Whether the connection store can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionStoreHealth {
    /// The version it reports.
    pub version: String,
    /// Whether our role may read and write connections.
    pub role_sufficient: bool,
}

/// An Airflow DAG that uses a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dag {
    /// Its id.
    pub id: String,
    /// Whether it is paused.
    pub paused: bool,
}

/// The DAGs of a release, and when they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagsReading {
    /// The DAGs, by id.
    pub dags: Vec<Dag>,
    /// When this was read.
    pub read_at: Timestamp,
}

words! {
    /// What the DAGs of one release are doing, taken together.
    pub enum DagState {
        /// None of them needs the server.
        AllPaused = "all-paused",
        /// At least one of them may call the server at any moment.
        SomeActive = "some-active",
    }
}

impl DagState {
    /// The state of these DAGs; none without any, for then nobody can say whether the server is needed.
    pub fn of(dags: &[Dag]) -> Option<Self> {
        let all_paused = || if dags.iter().all(|dag| dag.paused) { Self::AllPaused } else { Self::SomeActive };
        (!dags.is_empty()).then(all_paused)
    }
}

/// The DAGs of all releases, and when they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllDagsReading {
    /// The DAGs of each release that has some, by id.
    pub dags: BTreeMap<ReleaseName, Vec<Dag>>,
    /// When this was read.
    pub read_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_its_owner_and_foreign_ones_name_none() {
        let owner = ReleaseKey { namespace: "data".parse().unwrap(), name: "dbt-server-a".parse().unwrap() };
        assert_eq!(owner_of_description(&description_of_owner(&owner)), Some(owner));
        for foreign in ["", "my own", "dbt-api-service-controller: release", "dbt-api-service-controller: release A_ in namespace x"] {
            assert_eq!(owner_of_description(foreign), None, "{foreign}");
        }
    }
}
