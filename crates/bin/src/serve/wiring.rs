//! Chooses the adapters, and hands the settings to those who use them.

use std::sync::Arc;

use dbt_controller_adapters_memory::{MemoryWorld, WorldOptions};
use dbt_controller_domain::Ports;
use dbt_controller_domain::ports::{Clock as _, ConnectionStore};
use dbt_controller_http_api::{ApiSettings, ServiceInfo, Tokens};

use crate::embedded::Token;
use crate::settings::Settings;
use crate::system::{SystemClock, SystemRandom};

/// The adapters of `--embedded`: a cluster and Helm in memory, and an Airflow, unless there is a real one.
pub(super) fn embedded_ports(settings: &Settings, connections: Option<Arc<dyn ConnectionStore>>) -> Ports {
    let world = MemoryWorld::new(WorldOptions {
        ready_after: settings.embedded_ready_after,
        namespaces: settings.workflows.namespaces.clone(),
        begins_at: SystemClock.now(),
    });
    Ports {
        installer: world.installer(),
        cluster: world.cluster(),
        connections: connections.or_else(|| Some(world.connections())),
        events: None,
        operations: world.operations(),
        // The world's own clock, which began with the machine's: what it records and what the service records are of one time.
        clock: world.clock(),
        random: Arc::new(SystemRandom),
    }
}

/// What the HTTP face has to know.
///
/// # Errors
/// If a token is empty, which the settings do not allow.
pub(super) fn api_settings(settings: &Settings, token: &Token, ports: &Ports) -> anyhow::Result<ApiSettings> {
    Ok(ApiSettings {
        tokens: Tokens::new(&token.secret, settings.http.previous_token.as_ref())?,
        cors_origins: settings.http.cors_origins.clone(),
        defaults: settings.defaults.clone(),
        requests_per_second: settings.http.requests_per_second,
        info: ServiceInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: env!("BUILD").to_owned(),
            settings: settings.shown.clone(),
        },
        clock: Arc::clone(&ports.clock),
        workers: None,
        max_connections: settings.http.max_connections.into(),
    })
}
