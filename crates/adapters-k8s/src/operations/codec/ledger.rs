//! What an operation noted of itself.

use dbt_controller_domain::model::{self, DagState, RevisionNumber, ServerName};
use dbt_controller_domain::naming::ConnectionId;
use serde::{Deserialize, Serialize};

use super::operation::{Debt, Key};
use super::outcome::Failure;
use super::text;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    connection: Option<Intent>,
    connecting: bool,
    revision: Option<u32>,
    previous: Option<u32>,
    writing: bool,
    #[serde(default)]
    rebuild: Rebuild,
    #[serde(with = "text::optional")]
    server: Option<ServerName>,
    adopting: bool,
    #[serde(default)]
    waking: bool,
    #[serde(default)]
    suspending: bool,
    claims_before: Vec<String>,
    replicas_before: Option<u32>,
    #[serde(default, with = "text::optional")]
    dag_state_before: Option<DagState>,
    undoing: Option<Failure>,
    #[serde(default)]
    owed: Vec<Debt>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rebuild {
    grow: bool,
    adopt: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Intent {
    #[serde(with = "text")]
    id: ConnectionId,
    before: Option<Connection>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Connection {
    #[serde(with = "text")]
    id: ConnectionId,
    conn_type: String,
    url: String,
    login: Option<String>,
    description: Option<String>,
    owner: Option<Key>,
    has_foreign_fields: bool,
}

// === into the stored form ===

impl From<&model::Ledger> for Ledger {
    fn from(ledger: &model::Ledger) -> Self {
        let model::Ledger {
            connection,
            connecting,
            revision,
            previous,
            writing,
            rebuild,
            server,
            adopting,
            waking,
            suspending,
            claims_before,
            replicas_before,
            dag_state_before,
            undoing,
            owed,
        } = ledger;
        Self {
            connection: connection.as_ref().map(Intent::from),
            connecting: *connecting,
            revision: revision.map(|RevisionNumber(number)| number),
            previous: previous.map(|RevisionNumber(number)| number),
            writing: *writing,
            rebuild: rebuild.into(),
            server: server.clone(),
            adopting: *adopting,
            waking: *waking,
            suspending: *suspending,
            claims_before: claims_before.clone(),
            replicas_before: *replicas_before,
            dag_state_before: *dag_state_before,
            undoing: undoing.as_deref().map(Failure::from),
            owed: owed.iter().map(Debt::from).collect(),
        }
    }
}

impl From<&model::Rebuild> for Rebuild {
    fn from(model::Rebuild { grow, adopt }: &model::Rebuild) -> Self {
        Self { grow: *grow, adopt: *adopt }
    }
}

impl From<&model::ConnectionIntent> for Intent {
    fn from(model::ConnectionIntent { id, before }: &model::ConnectionIntent) -> Self {
        Self { id: id.clone(), before: before.as_ref().map(Connection::from) }
    }
}

impl From<&model::StoredConnection> for Connection {
    fn from(connection: &model::StoredConnection) -> Self {
        let model::StoredConnection { id, conn_type, url, login, description, owner, has_foreign_fields } = connection.clone();
        Self { id, conn_type, url, login, description, owner: owner.as_ref().map(Key::from), has_foreign_fields }
    }
}

// === out of the stored form ===

impl From<Ledger> for model::Ledger {
    fn from(ledger: Ledger) -> Self {
        let Ledger {
            connection,
            connecting,
            revision,
            previous,
            writing,
            rebuild,
            server,
            adopting,
            waking,
            suspending,
            claims_before,
            replicas_before,
            dag_state_before,
            undoing,
            owed,
        } = ledger;
        Self {
            connection: connection.map(model::ConnectionIntent::from),
            connecting,
            revision: revision.map(RevisionNumber),
            previous: previous.map(RevisionNumber),
            writing,
            rebuild: rebuild.into(),
            server,
            adopting,
            waking,
            suspending,
            claims_before,
            replicas_before,
            dag_state_before,
            undoing: undoing.map(|failure| Box::new(failure.into())),
            owed: owed.into_iter().map(model::Debt::from).collect(),
        }
    }
}

impl From<Rebuild> for model::Rebuild {
    fn from(Rebuild { grow, adopt }: Rebuild) -> Self {
        Self { grow, adopt }
    }
}

impl From<Intent> for model::ConnectionIntent {
    fn from(Intent { id, before }: Intent) -> Self {
        Self { id, before: before.map(model::StoredConnection::from) }
    }
}

impl From<Connection> for model::StoredConnection {
    fn from(Connection { id, conn_type, url, login, description, owner, has_foreign_fields }: Connection) -> Self {
        Self { id, conn_type, url, login, description, owner: owner.map(model::ReleaseKey::from), has_foreign_fields }
    }
}
