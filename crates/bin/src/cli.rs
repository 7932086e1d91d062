//! The command line.

#[cfg(target_os = "linux")]
use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::settings;

/// Deploys dbt servers and registers them in Airflow.
#[derive(Debug, Parser)]
#[command(version, long_version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD"), ")"), about, after_long_help = settings::help(), arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the service
    #[command(after_long_help = settings::help())]
    Serve {
        /// Keeps everything in memory and deploys nothing anywhere: to try the service, and to test what calls it
        #[arg(long)]
        embedded: bool,
    },
    /// Prints the OpenAPI document of the service
    Openapi,
    /// Prints the names that a project and branch can get, the preferred one first
    Names {
        /// The name of the dbt project
        project: String,
        /// The git branch, if there is one
        branch: Option<String>,
    },
    /// Asks the service on this machine whether it is alive, for containers: exit code 0 or 1
    Healthcheck,
    /// Runs a program that is killed when the process ends that started it
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Tethered {
        /// The process that started it
        parent: i32,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
}
