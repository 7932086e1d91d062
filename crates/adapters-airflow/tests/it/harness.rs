//! The adapter, and what it is given to work with.

use std::sync::Arc;

use dbt_controller_adapters_airflow::{AirflowConnections, AirflowSettings};
use dbt_controller_domain::model::{Connection, Namespace};
use dbt_controller_domain::ports::Clock;
use dbt_controller_port_contracts::fixtures;
use jiff::Timestamp;

use crate::airflow::{Airflow, PASSWORD, USER};

struct Now;

impl Clock for Now {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

pub(crate) fn settings(url: &str) -> AirflowSettings {
    AirflowSettings { url: url.to_owned(), user: USER.to_owned(), password: PASSWORD.into(), ca_certificates: None, namespace: namespace() }
}

pub(crate) fn adapter(settings: AirflowSettings) -> AirflowConnections {
    AirflowConnections::new(settings, Arc::new(Now)).unwrap()
}

pub(crate) fn adapter_of(airflow: &Airflow) -> AirflowConnections {
    adapter(settings(&airflow.stub.url()))
}

pub(crate) fn namespace() -> Namespace {
    fixtures::namespace()
}

/// A connection of a release that no other test has.
pub(crate) fn connection() -> Connection {
    let identity = fixtures::fresh_identity("it");
    let id = identity.connection_ids().remove(0);
    fixtures::connection(&fixtures::release_key(&namespace(), &identity), &id)
}
