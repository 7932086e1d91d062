//! `prove`: what takes too long for every change. `.ci/run` runs samples.

mod matrix;
mod soak;

use std::process::ExitCode;

use clap::Subcommand;

/// What can be proved.
#[derive(Debug, Subcommand)]
pub(crate) enum Subject {
    /// Kills, stops and disturbs the service at every outgoing call, on a control plane of its own
    Matrix(matrix::Options),
    /// Two replicas under mixed traffic for ten minutes, while the API server is started again
    Soak(soak::Options),
}

/// Proves it.
pub(crate) fn run(subject: &Subject) -> anyhow::Result<ExitCode> {
    match subject {
        Subject::Matrix(options) => matrix::run(options),
        Subject::Soak(options) => soak::run(options),
    }
}
