//! The adapter, and what it is given to work with.

use std::sync::Arc;

use dbt_controller_adapters_airflow::{AirflowConnections, AirflowSettings};
use dbt_controller_domain::model::Connection;
use dbt_controller_domain::ports::Clock;
use dbt_controller_port_contracts::fixtures;
use jiff::Timestamp;

use dbt_controller_tests::airflow::{Server, admin};

struct Now;

impl Clock for Now {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

pub(crate) fn settings(url: &str, (user, password): (String, String)) -> AirflowSettings {
    AirflowSettings { url: url.to_owned(), user, password: password.into(), ca_certificates: None, namespace: fixtures::namespace() }
}

pub(crate) fn adapter(settings: AirflowSettings) -> AirflowConnections {
    AirflowConnections::new(settings, Arc::new(Now)).unwrap()
}

/// The adapter as it is meant to be used with this server.
pub(crate) fn adapter_of(server: &Server) -> AirflowConnections {
    adapter(settings(&server.url, admin()))
}

/// What names begin with, so that runs on one server do not meet.
pub(crate) fn prefix(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// A connection of a release that no other test has.
pub(crate) fn connection(test: &str) -> Connection {
    let identity = fixtures::fresh_identity(&prefix(test));
    let id = identity.connection_ids().remove(0);
    fixtures::connection(&fixtures::release_key(&fixtures::namespace(), &identity), &id)
}
