//! What is asked of Airflow, as each API takes it.

use dbt_controller_domain::model::Connection;
use dbt_controller_domain::naming::ConnectionId;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};

use crate::body;
use crate::detection::Api;

/// The tag of the DAGs that use our servers.
const DAG_TAG: &str = "api_operator_dbt";

/// An id that no connection has: Airflow's table holds at most 250 characters of one.
const NOBODYS_ID: &str = match str::from_utf8(&[b'x'; 300]) {
    Ok(id) => id,
    Err(_) => unreachable!(),
};

/// A part of a list. The order is that of the ids, as the database sorts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// What is asked of Airflow.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'a> {
    /// Its version; no login is needed.
    Version,
    /// A token, which only Airflow 3 gives.
    LogIn { user: &'a str, password: &'a SecretString },
    /// A connection.
    Connection(&'a ConnectionId),
    /// To make a connection.
    Create(&'a Connection),
    /// To change a connection, all fields of it.
    Change(&'a Connection),
    /// To delete a connection.
    Delete(&'a ConnectionId),
    /// A part of the list of all connections.
    Connections(Slice),
    /// A part of the list of the DAGs that use our servers.
    Dags(Slice),
    /// To change a connection that cannot exist, which is refused to those who may not write, and is nothing found to all others.
    MayWrite,
}

impl Ask<'_> {
    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Version | Self::Connection(_) | Self::Connections(_) | Self::Dags(_) => Method::GET,
            Self::LogIn { .. } | Self::Create(_) => Method::POST,
            Self::Change(_) | Self::MayWrite => Method::PATCH,
            Self::Delete(_) => Method::DELETE,
        }
    }

    /// The path's segments.
    pub(crate) fn segments(&self, api: Api) -> Vec<&str> {
        let mut segments = vec!["api", api.segment()];
        match self {
            Self::Version => segments.push("version"),
            Self::LogIn { .. } => return vec!["auth", "token"],
            Self::Dags(_) => segments.push("dags"),
            Self::Create(_) | Self::Connections(_) => segments.push("connections"),
            Self::Connection(_) | Self::Change(_) | Self::Delete(_) | Self::MayWrite => segments.push("connections"),
        }
        segments.extend(self.id());
        segments
    }

    /// The query. Airflow 2 answers 400 to a parameter that it does not know.
    pub(crate) fn query(&self, api: Api) -> Vec<(&'static str, String)> {
        let slice = |slice: &Slice, order: &'static str| {
            vec![("limit", slice.limit.to_string()), ("offset", slice.offset.to_string()), ("order_by", order.to_owned())]
        };
        match self {
            Self::Connections(part) => slice(part, "connection_id"),
            Self::Dags(part) => {
                let mut query = slice(part, "dag_id");
                query.push(("tags", DAG_TAG.to_owned()));
                if api == Api::V1 {
                    query.push(("fields", "dag_id,description,is_paused".to_owned()));
                }
                query
            }
            Self::Version
            | Self::LogIn { .. }
            | Self::Connection(_)
            | Self::Create(_)
            | Self::Change(_)
            | Self::Delete(_)
            | Self::MayWrite => Vec::new(),
        }
    }

    /// Whether it changes something when it arrives.
    pub(crate) fn changes(&self) -> bool {
        match self {
            Self::Create(_) | Self::Change(_) | Self::Delete(_) => true,
            Self::Version | Self::LogIn { .. } | Self::Connection(_) | Self::Connections(_) | Self::Dags(_) | Self::MayWrite => false,
        }
    }

    /// The body, JSON. None must go without a content type: Airflow 2 answers 400 to one without a body.
    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        match self {
            Self::Create(connection) | Self::Change(connection) => Some(body::of(connection)),
            Self::MayWrite => Some(body::of_nobody(NOBODYS_ID)),
            Self::LogIn { user, password } => Some(body::of_login(user, password)),
            Self::Version | Self::Connection(_) | Self::Delete(_) | Self::Connections(_) | Self::Dags(_) => None,
        }
    }

    /// The connection that the path names.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Connection(id) | Self::Delete(id) => Some(id.as_str()),
            Self::Change(connection) => Some(connection.id.as_str()),
            Self::MayWrite => Some(NOBODYS_ID),
            Self::Version | Self::LogIn { .. } | Self::Create(_) | Self::Connections(_) | Self::Dags(_) => None,
        }
    }

    /// A text of the answer without what we sent in secret: Airflow repeats values that it does not take.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        match self {
            Self::Create(connection) | Self::Change(connection) => without(text, connection.credentials.password.expose_secret()),
            Self::LogIn { password, .. } => without(text, password.expose_secret()),
            Self::Version | Self::Connection(_) | Self::Delete(_) | Self::Connections(_) | Self::Dags(_) | Self::MayWrite => {
                text.to_owned()
            }
        }
    }
}

/// How short a part of a secret may be before it counts as an ordinary word.
const SHORTEST_PART: usize = 4;

/// A text without a secret. Airflow quotes values as Python or as JSON does, or in parts, so what lies between the characters that can be
/// escaped is taken out by itself.
pub(crate) fn without(text: &str, secret: &str) -> String {
    let parts = secret.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| part.len() >= SHORTEST_PART);
    let whole = if secret.is_empty() { text.to_owned() } else { text.replace(secret, "***") };
    parts.fold(whole, |text, part| text.replace(part, "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_asked_for_in_a_stable_order() {
        let slice = Slice { offset: 99, limit: 100 };
        let text = |ask: Ask<'_>, api| {
            let pairs = ask.query(api).into_iter().map(|(name, value)| format!("{name}={value}"));
            format!("{} {}?{}", ask.method(), ask.segments(api).join("/"), pairs.collect::<Vec<_>>().join("&"))
        };
        assert_eq!(text(Ask::Connections(slice), Api::V1), "GET api/v1/connections?limit=100&offset=99&order_by=connection_id");
        assert_eq!(text(Ask::Connections(slice), Api::V2), "GET api/v2/connections?limit=100&offset=99&order_by=connection_id");
        assert_eq!(
            text(Ask::Dags(slice), Api::V1),
            "GET api/v1/dags?limit=100&offset=99&order_by=dag_id&tags=api_operator_dbt&fields=dag_id,description,is_paused"
        );
        assert_eq!(text(Ask::Dags(slice), Api::V2), "GET api/v2/dags?limit=100&offset=99&order_by=dag_id&tags=api_operator_dbt");
    }

    #[test]
    fn only_what_has_content_has_a_body() {
        let id: ConnectionId = "a".parse().unwrap();
        assert!(Ask::Delete(&id).body().is_none());
        assert!(Ask::Connection(&id).body().is_none());
        assert!(Ask::MayWrite.body().is_some());
        assert!(NOBODYS_ID.len() > 250);
    }
}
