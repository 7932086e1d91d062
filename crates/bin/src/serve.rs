//! `serve`: starts the service, waits for a signal, and stops it.

mod service;
mod signals;
mod wiring;

use anyhow::{Context as _, bail};

use crate::logs;
use crate::settings::{self, Fault, Settings, SettingsError};
use service::Service;
use signals::Signals;

/// Runs the service until a signal ends it.
///
/// # Errors
/// `SettingsError` for the settings; otherwise what stopped the start or the run.
pub(crate) fn run(embedded: bool) -> anyhow::Result<()> {
    let settings = settings::load(embedded, &settings::process_environment);
    let settings = if embedded { settings? } else { return Err(without_cluster(settings).into()) };
    logs::start(settings.logs);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let ended = runtime.block_on(serve(settings));
    // Whatever is left after a second signal is not waited for.
    runtime.shutdown_background();
    ended
}

/// There is no adapter for a real cluster yet. Said beside whatever else is wrong, so that nobody mends that for nothing.
fn without_cluster(settings: Result<Settings, SettingsError>) -> SettingsError {
    let mut faults = settings.err().map_or_else(Vec::new, |SettingsError(faults)| faults);
    faults.push(Fault::new("--embedded", "must be given: this version has no adapter for a real cluster yet"));
    SettingsError(faults)
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let grace = settings.shutdown_grace;
    let mut service = Service::start(settings)?;
    let signal = tokio::select! {
        signal = signals.next() => signal,
        error = service.broken() => return Err(error),
    };
    tracing::info!(signal, "stopping; operations that run have {grace:?} to end");
    tokio::select! {
        stopped = service.stop(grace) => stopped,
        signal = signals.next() => bail!("stopped at once by a second signal, {signal}"),
    }
}
