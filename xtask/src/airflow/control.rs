//! What tests do with the servers of their run, by the scripts in `AIRFLOW_TIER_CONTROL`.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use clap::Subcommand;

use super::run::Run;
use crate::interrupt::Interrupt;

/// A script and its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Starts a further server and tells its address, home and id
    Start {
        /// `NAME=VALUE`: an option or an environment variable
        words: Vec<String>,
    },
    /// Stops a server and waits for its end
    Stop {
        /// Which one
        id: String,
    },
    /// Runs `airflow` as that server's administrator
    #[command(disable_help_flag = true)]
    Airflow {
        /// Which server
        id: String,
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs Python with that server's packages and settings
    #[command(disable_help_flag = true)]
    Python {
        /// Which server
        id: String,
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Does it.
#[expect(clippy::print_stdout, reason = "the caller reads it")]
pub(super) fn run(folder: &Path, action: &Action) -> anyhow::Result<()> {
    let run = Run::in_folder(folder)?;
    match action {
        Action::Start { words } => {
            let (id, instance) = run.start_another(words, &Interrupt::catch()?)?;
            println!("URL={}\nHOME={}\nID={id}", instance.url(), instance.home().display());
        }
        Action::Stop { id } => {
            run.instance(id)?.stop()?;
        }
        Action::Airflow { id, arguments } => become_program(run.instance(id)?.command("airflow").args(arguments))?,
        Action::Python { id, arguments } => {
            let mut command = run.instance(id)?.command("python");
            // Else Airflow 3 asks the execution API for connections, as tasks do, and not the database.
            become_program(command.env("_AIRFLOW_PROCESS_CONTEXT", "server").args(arguments))?;
        }
    }
    Ok(())
}

/// Goes on as this program, so that its output and its end are those of the script. Returns when that cannot be.
fn become_program(command: &mut Command) -> anyhow::Result<()> {
    Err(command.exec()).with_context(|| format!("cannot start {command:?}"))
}
