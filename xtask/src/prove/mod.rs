//! `prove`: long runs that look for what the tests have not found yet. Each is a command of its own.

mod fuzz;
mod matrix;
mod model;
mod soak;

use std::process::ExitCode;

use clap::Subcommand;

/// What can be proved.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plays random stories of callers, humans, crashes and faults against the in-memory world, or a real control plane
    Model(model::Arguments),
    /// Feeds mutated bytes to everything that reads what others wrote
    Fuzz(fuzz::Arguments),
    /// Kills, stops and disturbs the service at every outgoing call, on a control plane of its own
    Matrix(matrix::Options),
    /// Two replicas under mixed traffic for ten minutes, while the API server and Airflow are started again
    Soak(soak::Options),
}

/// Proves it.
pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Model(arguments) => model::run(arguments),
        Command::Fuzz(arguments) => fuzz::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Matrix(options) => matrix::run(options),
        Command::Soak(options) => soak::run(options),
    }
}
