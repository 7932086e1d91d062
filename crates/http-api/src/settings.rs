//! What the binary tells this crate. Names, defaults and ranges of the variables are checked where they are read (crates/bin).

use std::collections::BTreeMap;
use std::sync::Arc;

use dbt_controller_domain::ports::Clock;

use crate::deploy_body::RequestDefaults;
use crate::middleware::auth::Tokens;

/// Settings of the HTTP face.
#[derive(Clone)]
pub struct ApiSettings {
    /// The tokens that open the API.
    pub tokens: Tokens,
    /// Origins that browsers may call from (`CORS_ORIGINS`); `*` is any.
    pub cors_origins: Vec<String>,
    /// What a POST leaves out is taken from here.
    pub defaults: RequestDefaults,
    /// How many requests a token may make in a second (`REQUESTS_PER_SECOND`).
    pub requests_per_second: u32,
    /// What `/info` and `/api/v1/status` tell.
    pub info: ServiceInfo,
    /// The wall clock, for the age of what is shown.
    pub clock: Arc<dyn Clock>,
    /// How many connections may be open at once, over all threads (`MAX_CONNECTIONS`).
    pub max_connections: usize,
    /// Threads that serve requests; none is one per processor.
    pub workers: Option<usize>,
}

/// What the service tells about itself.
#[derive(Debug, Clone, Default)]
pub struct ServiceInfo {
    /// Its version.
    pub version: String,
    /// Which build it is: commit, date, compiler.
    pub build: String,
    /// The settings in force, by name, without secrets.
    pub settings: BTreeMap<String, String>,
}
