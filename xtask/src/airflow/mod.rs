//! `airflow`: real Airflows on loopback, for the tests that need one and for trying things out.
//!
//! `xtask/airflow/README.md` says what there is in them.

mod control;
mod instance;
mod kind;
mod options;
mod prepared;
mod probe;
mod programs;
mod run;
mod server;
mod settings;
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;

pub(crate) use kind::Kind;
use run::Run;
pub(crate) use server::Server;
use settings::USERS;

pub(crate) use self::tests::Companion;
use crate::interrupt::Interrupt;
use crate::lock::Lock;
use crate::project;

/// What can be done with Airflows.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Installs them, and prepares a database for each (a minute the first time)
    Build {
        /// Which one
        #[arg(value_parser = kinds(), default_value = "all")]
        kind: String,
    },
    /// Starts a server and leaves it running
    Up {
        /// Which one
        kind: Kind,
    },
    /// Stops it, or all of them
    Down {
        /// Which one
        #[arg(value_parser = kinds(), default_value = "all")]
        kind: String,
    },
    /// Runs the tests against a server of their own, one Airflow after the other
    Test {
        /// Which one
        #[arg(value_parser = kinds(), default_value = "all")]
        kind: String,
        /// Arguments for the tests, such as `-- dags --nocapture`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// For tests, by the scripts that they are given
    #[command(hide = true)]
    Control {
        /// The folder of the run
        folder: PathBuf,
        #[command(subcommand)]
        action: control::Action,
    },
}

/// Does it.
pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Build { kind } => build(&chosen(kind), &Interrupt::catch()?)?,
        Command::Up { kind } => up(*kind, &Interrupt::catch()?)?,
        Command::Down { kind } => down(&chosen(kind))?,
        Command::Test { kind, arguments } => return tests::run(&chosen(kind), arguments, &Interrupt::catch()?),
        Command::Control { folder, action } => control::run(folder, action)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The words for one of them or all.
fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(Kind::ALL.map(Kind::as_str).into_iter().chain(["all"]))
}

fn chosen(word: &str) -> Vec<Kind> {
    Kind::parse(word).map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind])
}

/// Installs and prepares what is not there yet.
fn build(kinds: &[Kind], interrupt: &Interrupt) -> anyhow::Result<()> {
    let _lock = Lock::take(&project::tools().join("airflow/build"))?;
    // One after the other, for they share most of what is downloaded.
    for &kind in kinds {
        programs::install(kind, interrupt)?;
    }
    // Side by side, for each uses one processor.
    thread::scope(|scope| {
        let threads: Vec<_> = kinds.iter().map(|&kind| scope.spawn(move || prepared::prepare(kind, interrupt))).collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // All have ended before the first error is told.
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

#[expect(clippy::print_stdout, reason = "the developer reads it")]
fn up(kind: Kind, interrupt: &Interrupt) -> anyhow::Result<()> {
    build(&[kind], interrupt)?;
    let run = Run::of_the_developer(kind);
    let _lock = Lock::take(run.folder())?;
    let main = if let Some(main) = run.main() {
        println!("Airflow {kind} runs already: {}", main.url());
        main
    } else {
        let begin = Instant::now();
        let main = run.start(interrupt)?;
        println!("Airflow {kind} is up after {:.1} s: {}", begin.elapsed().as_secs_f32(), main.url());
        main
    };
    for user in USERS {
        println!("  {:7} {}", user.name, user.password);
    }
    println!("Its home is {}.\nFor tests: source {}", main.home().display(), run.exports().display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the developer reads it")]
fn down(kinds: &[Kind]) -> anyhow::Result<()> {
    for &kind in kinds {
        let run = Run::of_the_developer(kind);
        let _lock = Lock::take(run.folder())?;
        match run.stop()? {
            0 => println!("No Airflow {kind} runs."),
            _ => println!("Airflow {kind} is down."),
        }
    }
    Ok(())
}
