//! Airflow, and the connections that it has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dbt_controller_tests::Upstream;
use dbt_controller_tests::airflow::tables::{self, Reader};
use dbt_controller_tests::airflow::{Server, admin};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// How many requests of all services together come to it at a time. More than the connections that it has to its database stall it, and a
/// request may need two.
const AT_ONCE: usize = 6;

/// The Airflow that the environment names.
#[derive(Clone)]
pub(crate) struct Airflow {
    /// The way of the services to it.
    pub(crate) upstream: Upstream,
    pub(crate) user: String,
    pub(crate) password: String,
    reader: Arc<OnceCell<Reader>>,
}

/// A connection. Its password is made up, so it may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) description: String,
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Airflow {
    /// The one of `cargo xtask airflow`, if there is one.
    #[expect(clippy::disallowed_methods, reason = "the matrices have no settings but these")]
    pub(crate) fn find() -> Option<Self> {
        std::env::var_os("AIRFLOW_TIER_URL")?;
        let (user, password) = admin();
        let upstream = Upstream::plain(&Server::shared().url).at_most(AT_ONCE);
        Some(Self { upstream, user, password, reader: Arc::default() })
    }

    /// The connections whose ids have this text in them, by their ids. What no API tells is told too: the password.
    pub(crate) async fn connections(&self, part: &str) -> BTreeMap<String, Connection> {
        let reader = self.reader.get_or_init(async || Reader::start(&Server::shared())).await;
        let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let connection = |row: Value| {
            let [id, description, host, user, password] =
                ["conn_id", "description", "host", "login", "password"].map(|field| text(&row, field));
            (id, Connection { description, host, user, password })
        };
        reader.connections(part).await.into_iter().map(connection).collect()
    }

    /// Makes a connection.
    pub(crate) async fn create(&self, id: &str, connection: &Connection) {
        let Connection { description, host, user, password } = connection;
        let fields = json!({
            "conn_id": id, "conn_type": "http", "description": description, "host": host, "login": user, "password": password,
        });
        tables::set_connection(&Server::shared(), &fields).await;
    }
}

/// Without the password.
impl fmt::Debug for Airflow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Airflow").field(&self.upstream).finish()
    }
}
