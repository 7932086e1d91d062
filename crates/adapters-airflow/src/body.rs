//! Connections as both APIs write them.

use dbt_controller_domain::model::{CONNECTION_TYPE, Connection, Namespace, StoredConnection, description_of_owner};
use dbt_controller_domain::naming::ConnectionId;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::Fault;
use crate::owner::owner;
use crate::reply::Reply;

/// What both APIs take, to create and to change. Airflow 3 wants id and type in both; null and `""` empty a field, so that nothing of
/// an earlier connection is left. What was read is never written back: secrets in it are masked.
#[derive(Serialize)]
struct Body<'a> {
    connection_id: &'a str,
    conn_type: &'a str,
    host: &'a str,
    login: &'a str,
    password: &'a str,
    schema: &'a str,
    port: Option<u16>,
    extra: &'a str,
    description: &'a str,
}

/// The body that writes a connection whole.
pub(crate) fn of(connection: &Connection) -> Vec<u8> {
    let Connection { id, owner, url, credentials } = connection;
    json(&Body {
        connection_id: id.as_str(),
        conn_type: CONNECTION_TYPE,
        host: url,
        login: &credentials.user,
        password: credentials.password.expose_secret(),
        schema: "",
        port: None,
        extra: "",
        description: &description_of_owner(owner),
    })
}

#[derive(Serialize)]
struct NobodysBody<'a> {
    connection_id: &'a str,
    conn_type: &'a str,
}

/// A body that is valid in form, for a connection that cannot exist.
pub(crate) fn of_nobody(id: &str) -> Vec<u8> {
    json(&NobodysBody { connection_id: id, conn_type: CONNECTION_TYPE })
}

#[derive(Serialize)]
struct LoginBody<'a> {
    username: &'a str,
    password: &'a str,
}

/// The body that asks for a token.
pub(crate) fn of_login(username: &str, password: &SecretString) -> Vec<u8> {
    json(&LoginBody { username, password: password.expose_secret() })
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts and numbers are JSON")
}

/// A connection as it is read. Airflow 3 shows a masked password, which is not even looked at. Lists of Airflow 2 have no extra.
#[derive(Debug, Deserialize)]
pub(crate) struct Read {
    pub(crate) connection_id: String,
    conn_type: Option<String>,
    host: Option<String>,
    login: Option<String>,
    schema: Option<String>,
    port: Option<Value>,
    extra: Option<String>,
    description: Option<String>,
}

impl Read {
    /// The connection of one answer, which must be the one that was asked for.
    pub(crate) fn from_reply(reply: &Reply, id: &ConnectionId) -> Result<Self, Fault> {
        let read: Self = reply.json()?;
        if read.connection_id != id.as_str() {
            let why = format!("asked for connection `{id}`, the answer is about another one");
            return Err(Fault::WrongPlace { why, arrived: true });
        }
        Ok(read)
    }

    /// As the domain sees it. `home`: where the replaced service worked.
    pub(crate) fn into_stored(self, id: &ConnectionId, home: &Namespace) -> StoredConnection {
        let Self { connection_id: _, conn_type, host, login, schema, port, extra, description } = self;
        let (conn_type, url) = (conn_type.unwrap_or_default(), host.unwrap_or_default());
        let is_filled = |text: Option<&str>, empty: &[&str]| text.is_some_and(|text| !empty.contains(&text.trim()));
        StoredConnection {
            owner: owner(id, &conn_type, &url, description.as_deref(), home),
            // Airflow 3 makes `{}` of an empty extra.
            has_foreign_fields: port.is_some() || is_filled(schema.as_deref(), &[""]) || is_filled(extra.as_deref(), &["", "{}"]),
            id: id.clone(),
            conn_type,
            url,
            login,
            description,
        }
    }
}

#[cfg(test)]
mod tests {
    use dbt_controller_port_contracts::fixtures;
    use serde_json::json;

    use super::*;

    fn id() -> ConnectionId {
        "a_main".parse().unwrap()
    }

    fn stored(value: Value) -> StoredConnection {
        let read: Read = serde_json::from_value(value).unwrap();
        read.into_stored(&id(), &fixtures::namespace())
    }

    #[test]
    fn a_body_has_every_field() {
        let identity = fixtures::fresh_identity("body");
        let mut connection = fixtures::connection(&fixtures::release_key(&fixtures::namespace(), &identity), &id());
        connection.credentials.password = "p\"\\\u{1}é".into();
        let body: Value = serde_json::from_slice(&of(&connection)).unwrap();
        assert_eq!(
            body,
            json!({
                "connection_id": "a_main", "conn_type": "http", "host": connection.url, "login": connection.credentials.user,
                "password": "p\"\\\u{1}é", "schema": "", "port": null, "extra": "", "description": description_of_owner(&connection.owner),
            })
        );
    }

    #[test]
    fn fields_that_we_do_not_write_are_told() {
        let empty = json!({ "connection_id": "a_main", "conn_type": "http", "port": null, "schema": "", "extra": "{}" });
        assert!(!stored(empty.clone()).has_foreign_fields);
        assert!(!stored(json!({ "connection_id": "a_main" })).has_foreign_fields);
        for (field, value) in [("port", json!(443)), ("schema", json!("https")), ("extra", json!("{\"a\": 1}"))] {
            let mut filled = empty.clone();
            filled[field] = value;
            assert!(stored(filled).has_foreign_fields, "{field}");
        }
    }
}
