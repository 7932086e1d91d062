//! Developers' commands: `cargo xtask <command>`.
//!
//! Tools that they need are installed into the ignored folder `.tools` of the project, at a fixed version, when they are not there.

mod airflow;
mod bench;
mod cluster;
mod interrupt;
mod lock;
mod page;
mod port;
mod probe;
mod process;
mod project;
mod prove;
mod python;
mod schemathesis;
mod service;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developers' commands of this project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs schemathesis over the published API of an embedded service, with a token and without one
    Schemathesis {
        /// Further arguments for `schemathesis run`, such as `-- --max-examples 1000`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measures, and writes what was measured into docs/benchmarks.md
    Bench {
        #[command(subcommand)]
        subject: BenchSubject,
    },
    /// Runs real Airflows on this machine, and tests against them
    Airflow {
        #[command(subcommand)]
        command: airflow::Command,
    },
    /// Long runs that look for what the tests have not found yet
    Prove {
        #[command(subcommand)]
        command: prove::Command,
    },
    /// Runs a real control plane on this machine, and tests against it
    Cluster {
        #[command(subcommand)]
        command: cluster::Command,
    },
}

#[derive(Debug, Subcommand)]
enum BenchSubject {
    /// The API of an embedded service with 10, 1,000 and 10,000 deployments
    Api,
    /// The whole service on a real control plane, beside both Helms
    Cluster,
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Schemathesis { arguments } => schemathesis::run(&arguments)?,
        Command::Bench { subject: BenchSubject::Api } => bench::api::run()?,
        Command::Bench { subject: BenchSubject::Cluster } => bench::cluster::run()?,
        Command::Airflow { command } => return airflow::run(&command),
        Command::Prove { command } => return prove::run(&command),
        Command::Cluster { command } => return cluster::run(&command),
    }
    Ok(ExitCode::SUCCESS)
}
