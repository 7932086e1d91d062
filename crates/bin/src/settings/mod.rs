//! The settings: read once at start, checked as a whole, and handed on as the types of those who use them.
//!
//! ```text
//! environment ─┐
//!              ├─ source ─► texts ─► reader ─► a struct per concern ─► Settings, or every fault at once
//! CONFIG_FILE ─┘                       ▲
//!                                    table (names, kinds, defaults, docs) ─► help, /info, README
//! ```

mod airflow;
mod cluster;
mod defaults;
mod error;
mod file;
mod help;
mod http;
mod logs;
mod reader;
mod sizes;
mod source;
mod table;
mod values;
mod workflows;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use dbt_controller_adapters_airflow::AirflowSettings;
use dbt_controller_domain::model;
use dbt_controller_http_api::RequestDefaults;

pub(crate) use cluster::ClusterSettings;
pub(crate) use error::SettingsError;
pub(crate) use help::help;
pub(crate) use http::{HttpSettings, ListenSettings, reachable};
pub(crate) use logs::{LogLevel, LogSettings};
pub(crate) use source::Environment;

use reader::{Noted, Reader};
use table::{CONFIG_FILE, EMBEDDED_READY_AFTER, HOST, PORT, SHUTDOWN_GRACE};

/// All settings, valid.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Who may call, from where and how often.
    pub(crate) http: HttpSettings,
    /// What requests leave out.
    pub(crate) defaults: RequestDefaults,
    /// Which cluster, and how servers are made there. Without effect with `--embedded`.
    pub(crate) cluster: ClusterSettings,
    /// Which Airflow; none to do without, or with the one of `--embedded`.
    pub(crate) airflow: Option<AirflowSettings>,
    /// How the workflows behave.
    pub(crate) workflows: model::Settings,
    /// What is logged, and how.
    pub(crate) logs: LogSettings,
    /// How long running operations may go on after SIGTERM.
    pub(crate) shutdown_grace: Duration,
    /// How long a server of the embedded cluster takes to get ready.
    pub(crate) embedded_ready_after: Duration,
    /// All of them by name, as `/info` shows them.
    pub(crate) shown: BTreeMap<String, String>,
}

/// Reads all settings.
///
/// # Errors
/// Every fault at once, each with its variable.
pub(crate) fn load(embedded: bool, environment: Environment<'_>) -> Result<Settings, SettingsError> {
    let mut reader = Reader::new(embedded, environment);
    let settings = read(&mut reader);
    reader.finish(settings)
}

/// Reads where the service listens, for commands that ask a running one.
///
/// # Errors
/// As [`load`], but of these settings only: who asks need not be able to read the service's secrets.
pub(crate) fn load_listen(environment: Environment<'_>) -> Result<ListenSettings, SettingsError> {
    let mut reader = Reader::new(false, environment);
    let listen = ListenSettings::read(&mut reader);
    reader.forget_faults_but_of(&[CONFIG_FILE, HOST, PORT]);
    reader.finish(listen)
}

/// The environment of this process.
///
/// # Errors
/// As `std::env::var`.
#[expect(clippy::disallowed_methods, reason = "this is the one place where the environment is read")]
pub(crate) fn process_environment(variable: &str) -> Result<String, std::env::VarError> {
    std::env::var(variable)
}

fn read(reader: &mut Reader) -> Result<Settings, Noted> {
    // Each concern notes its own faults; only then is it decided whether there are settings at all.
    let http = HttpSettings::read(reader);
    let workflows = workflows::read(reader);
    let defaults = defaults::read(reader);
    let cluster = ClusterSettings::read(reader);
    let airflow = airflow::read(reader);
    let logs = LogSettings::read(reader);
    let shutdown_grace = reader.value(SHUTDOWN_GRACE, values::duration);
    let embedded_ready_after = reader.value(EMBEDDED_READY_AFTER, values::duration);
    let workflows = workflows?;
    let defaults = defaults?(workflows.namespaces.clone());
    // Whoever reads the requests has the last word on what they may be given.
    defaults.check().map_err(|message| reader.fault("what requests leave out", &message))?;
    Ok(Settings {
        http: http?,
        defaults,
        cluster: cluster?,
        airflow: airflow?,
        workflows,
        logs: logs?,
        shutdown_grace: shutdown_grace?,
        embedded_ready_after: embedded_ready_after?,
        shown: reader.shown(),
    })
}
