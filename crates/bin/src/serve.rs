//! `serve`: starts the service, waits for a signal, and stops it.

mod airflow;
mod cluster;
mod open_files;
mod service;
mod signals;
mod wiring;

use anyhow::{Context as _, bail};

use crate::logs;
use crate::settings::{self, Settings};
use service::Service;
use signals::Signals;

/// Runs the service until a signal ends it.
///
/// # Errors
/// `SettingsError` for the settings; otherwise what stopped the start or the run.
pub(crate) fn run(embedded: bool) -> anyhow::Result<()> {
    let settings = settings::load(embedded, &settings::process_environment)?;
    logs::start(settings.logs);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let ended = runtime.block_on(serve(settings, embedded));
    // Whatever is left after a second signal is not waited for.
    runtime.shutdown_background();
    ended
}

async fn serve(settings: Settings, embedded: bool) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let grace = settings.shutdown_grace;
    let mut service = Service::start(settings, embedded).await?;
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
