//! `prove`: long runs that look for what the tests have not found yet. Each is a command of its own.

mod fuzz;
mod matrix;
mod model;
mod soak;

use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;

use crate::bench::machine::Machine;
use crate::page;

/// What can be proved.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plays random stories of callers, humans, crashes and faults against the in-memory world, or a real control plane
    Model(model::Options),
    /// Feeds mutated bytes to everything that reads what others wrote
    Fuzz(fuzz::Options),
    /// Kills, stops and disturbs the service at every outgoing call, on a control plane of its own
    Matrix(matrix::Options),
    /// Two replicas under mixed traffic for ten minutes, while the API server and Airflow are started again
    Soak(soak::Options),
}

/// Proves it.
pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Model(options) => model::run(options),
        Command::Fuzz(options) => fuzz::run(options).map(|()| ExitCode::SUCCESS),
        Command::Matrix(options) => matrix::run(options),
        Command::Soak(options) => soak::run(options),
    }
}

/// Records the figures of a run that succeeded. Those of one that failed would stand on the page as if all were well.
fn record_success(code: ExitCode, name: &str, figures: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<()> {
    if_successful(code, || record(name, &figures()?))
}

#[expect(clippy::print_stdout, reason = "who asked for it has to know that it was not done")]
fn if_successful(code: ExitCode, record: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    if code == ExitCode::SUCCESS {
        return record();
    }
    println!("the run failed, so nothing was recorded");
    Ok(())
}

/// Writes the figures of a run that has just ended into docs/reliability.md, between the markers of this name.
fn record(name: &str, figures: &str) -> anyhow::Result<()> {
    let (date, machine) = today();
    page::write("reliability.md", name, &format!("Run on {date}, {machine}.\n\n{figures}"))
}

/// When and where something is recorded.
#[expect(clippy::disallowed_methods, reason = "a report tells when it was made")]
fn today() -> (String, String) {
    (Timestamp::now().strftime("%Y-%m-%d").to_string(), Machine::this().to_string())
}
