//! The dbt API service controller: the program that users start.
//!
//! It reads the settings, chooses the adapters, starts the controller and its HTTP server, and stops them in order. What the service
//! does is in `dbt-controller-domain`, what it says over the wire in `dbt-controller-http-api`.

mod cli;
mod commands;
mod embedded;
mod logs;
mod serve;
mod settings;
mod system;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

/// The exit code for a wrong call or wrong settings; clap uses it too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let Err(error) = run(Cli::parse().command) else {
        return ExitCode::SUCCESS;
    };
    // When standard error is closed, the exit code has to say it all.
    let _ = writeln!(io::stderr(), "error: {error:#}");
    if error.is::<settings::SettingsError>() {
        return USAGE.into();
    }
    #[cfg(target_os = "linux")]
    if error.is::<commands::tethered::NotStarted>() {
        return commands::tethered::NotStarted::EXIT_CODE.into();
    }
    ExitCode::FAILURE
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve { embedded } => serve::run(embedded),
        Command::Openapi => commands::print(&format!("{:#}\n", dbt_controller_http_api::openapi_document())),
        Command::Names { project, branch } => commands::print(&commands::names::run(&project, branch.as_deref())?),
        Command::Healthcheck => commands::print(&commands::healthcheck::run()?),
        #[cfg(target_os = "linux")]
        Command::Tethered { parent, program } => match commands::tethered::run(parent, &program)? {},
    }
}
