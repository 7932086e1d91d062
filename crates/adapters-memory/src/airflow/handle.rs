//! What tests see of Airflow, and do to it.

use std::sync::Arc;

use dbt_controller_domain::model::{CONNECTION_TYPE, Credentials, ReleaseKey, StoredConnection};
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use secrecy::ExposeSecret as _;

use crate::world::Inner;

/// Looks at a world's Airflow, and changes it as other people do.
#[derive(Debug, Clone)]
pub struct Airflow(pub(crate) Arc<Inner>);

/// A connection that somebody else made. Its fields are those of Airflow.
#[derive(Debug, Clone)]
pub struct ForeignConnection {
    /// Its id.
    pub id: ConnectionId,
    /// Connection type.
    pub conn_type: String,
    /// Host field.
    pub url: String,
    /// Login field.
    pub login: Option<String>,
    /// Password field.
    pub password: Option<secrecy::SecretString>,
    /// Description field. If it names a release in our words, the connection is taken for that release's.
    pub description: Option<String>,
    /// Whose it is taken for although the description does not tell, as a connection of the replaced service is by host and id.
    pub owner: Option<ReleaseKey>,
    /// Whether port, schema or extra are other than what we write.
    pub has_foreign_fields: bool,
}

impl ForeignConnection {
    /// A connection of somebody else's to some other system.
    pub fn new(id: ConnectionId) -> Self {
        Self {
            id,
            conn_type: "postgres".to_owned(),
            url: "warehouse.example.com".to_owned(),
            login: Some("somebody".to_owned()),
            password: Some("somebodys-password".into()),
            description: Some("the warehouse of team blue".to_owned()),
            owner: None,
            has_foreign_fields: true,
        }
    }

    /// A connection as the replaced service made it for a release: it is recognised by its host.
    pub fn of_replaced_service(id: ConnectionId, owner: ReleaseKey, url: &str, credentials: &Credentials) -> Self {
        Self {
            id,
            conn_type: CONNECTION_TYPE.to_owned(),
            url: url.to_owned(),
            login: Some(credentials.user.clone()),
            password: Some(credentials.password.clone()),
            description: Some("dbt API server".to_owned()),
            owner: Some(owner),
            has_foreign_fields: false,
        }
    }
}

impl Airflow {
    /// How many connections there are, whosever they are.
    pub fn count(&self) -> usize {
        self.0.scene().state.airflow.count()
    }

    /// Every connection that is ours, by id.
    pub fn ours(&self) -> Vec<StoredConnection> {
        self.0.scene().state.airflow.ours().cloned().collect()
    }

    /// A connection, whosever it is.
    pub fn get(&self, id: &ConnectionId) -> Option<StoredConnection> {
        self.0.scene().state.airflow.get(id).map(|entry| entry.seen.clone())
    }

    /// The login that tasks would use, which no port can read: user and password of a connection. A missing one is empty.
    pub fn login(&self, id: &ConnectionId) -> Option<(String, String)> {
        let scene = self.0.scene();
        let entry = scene.state.airflow.get(id)?;
        let password = entry.password.as_ref().map(|password| password.expose_secret().to_owned());
        Some((entry.seen.login.clone().unwrap_or_default(), password.unwrap_or_default()))
    }

    /// Makes or replaces a connection.
    pub fn plant(&self, connection: ForeignConnection) {
        self.0.scene().state.airflow.plant(connection);
    }

    /// Deletes a connection in Airflow's web page.
    pub fn delete(&self, id: &ConnectionId) {
        self.0.scene().state.airflow.delete(id);
    }

    /// Makes or changes a DAG whose description names the release.
    pub fn set_dag(&self, release: &ReleaseName, id: &str, paused: bool) {
        self.0.scene().state.airflow.set_dag(release, id, paused);
    }

    /// Removes a DAG.
    pub fn remove_dag(&self, release: &ReleaseName, id: &str) {
        self.0.scene().state.airflow.remove_dag(release, id);
    }
}
