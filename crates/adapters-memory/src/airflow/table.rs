//! The connections and DAGs, and Airflow's rules for them.

use std::collections::BTreeMap;

use dbt_controller_domain::model::{
    CONNECTION_TYPE, Connection, Credentials, Dag, DeleteOutcome, PutOutcome, ReleaseKey, StoredConnection, description_of_owner,
    owner_of_description,
};
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use dbt_controller_domain::ports::ConnectionError;
use secrecy::{ExposeSecret as _, SecretString};

use super::ForeignConnection;

/// The most characters of a host: more is 400 in Airflow 2.
const HOST_LIMIT: usize = 500;
/// What Airflow shows instead of a password, and takes for "unchanged", as it does an empty one.
const MASK: &str = "***";
/// How much of somebody's description a message shows.
const SHOWN_DESCRIPTION: usize = 80;

#[derive(Debug, Default)]
pub(crate) struct AirflowState {
    connections: BTreeMap<ConnectionId, Entry>,
    dags: BTreeMap<ReleaseName, BTreeMap<String, bool>>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) seen: StoredConnection,
    pub(super) password: Option<SecretString>,
}

impl AirflowState {
    pub(super) fn get(&self, id: &ConnectionId) -> Option<&Entry> {
        self.connections.get(id)
    }

    pub(super) fn count(&self) -> usize {
        self.connections.len()
    }

    /// The connections that are ours, by id.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &StoredConnection> {
        self.connections.values().map(|entry| &entry.seen).filter(|seen| seen.owner.is_some())
    }

    pub(super) fn put(&mut self, connection: &Connection) -> Result<PutOutcome, ConnectionError> {
        let Connection { id, owner, url, credentials } = connection;
        if let Some(why) = not_taken(url, credentials) {
            return Err(ConnectionError::Rejected(why));
        }
        let outcome = match self.connections.get(id) {
            Some(entry) if entry.seen.owner.as_ref() != Some(owner) => return Err(ConnectionError::Taken(entry.whose())),
            Some(_) => PutOutcome::Updated,
            None => PutOutcome::Created,
        };
        let seen = StoredConnection {
            id: id.clone(),
            conn_type: CONNECTION_TYPE.to_owned(),
            url: url.clone(),
            login: Some(credentials.user.clone()),
            description: Some(description_of_owner(owner)),
            owner: Some(owner.clone()),
            has_foreign_fields: false,
        };
        self.connections.insert(id.clone(), Entry { seen, password: Some(credentials.password.clone()) });
        Ok(outcome)
    }

    pub(super) fn plant(&mut self, connection: ForeignConnection) {
        let ForeignConnection { id, conn_type, url, login, password, description, owner, has_foreign_fields } = connection;
        let owner: Option<ReleaseKey> = owner.or_else(|| owner_of_description(description.as_deref()?));
        let seen = StoredConnection { id: id.clone(), conn_type, url, login, description, owner, has_foreign_fields };
        self.connections.insert(id, Entry { seen, password });
    }

    pub(super) fn delete(&mut self, id: &ConnectionId) -> DeleteOutcome {
        if self.connections.remove(id).is_some() { DeleteOutcome::Deleted } else { DeleteOutcome::Absent }
    }

    pub(super) fn dags(&self, release: &ReleaseName) -> Vec<Dag> {
        let dags = self.dags.get(release).into_iter().flatten();
        dags.map(|(id, paused)| Dag { id: id.clone(), paused: *paused }).collect()
    }

    pub(super) fn all_dags(&self) -> BTreeMap<ReleaseName, Vec<Dag>> {
        let named = self.dags.iter().filter(|(_, dags)| !dags.is_empty());
        named.map(|(release, _)| (release.clone(), self.dags(release))).collect()
    }

    pub(super) fn set_dag(&mut self, release: &ReleaseName, id: &str, paused: bool) {
        self.dags.entry(release.clone()).or_default().insert(id.to_owned(), paused);
    }

    pub(super) fn remove_dag(&mut self, release: &ReleaseName, id: &str) {
        if let Some(dags) = self.dags.get_mut(release) {
            dags.remove(id);
        }
    }
}

/// Why Airflow would not store this as it is.
fn not_taken(url: &str, credentials: &Credentials) -> Option<String> {
    if url.chars().count() > HOST_LIMIT {
        return Some(format!("host: longer than {HOST_LIMIT} characters"));
    }
    let has_nul = |text: &str| text.contains('\0');
    if has_nul(url) || has_nul(&credentials.user) {
        return Some("host or login: has a NUL character".to_owned());
    }
    matches!(credentials.password.expose_secret(), "" | MASK).then(|| "password: is what Airflow takes for \"unchanged\"".to_owned())
}

impl Entry {
    /// The description, shortened.
    fn whose(&self) -> String {
        match self.seen.description.as_deref() {
            Some(text) if !text.is_empty() => text.chars().take(SHOWN_DESCRIPTION).collect(),
            _ => "it has no description".to_owned(),
        }
    }
}
