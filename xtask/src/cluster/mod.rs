//! `cluster`: a real control plane on loopback, for the tests that need one and for trying things out.
//!
//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the real ones; kwok plays the node and what its pods go through.
//! `xtask/cluster/README.md` says what it plays.

mod access;
mod instance;
mod nginx;
mod plane;
mod programs;
mod tests;
mod tools;

use std::process::ExitCode;
use std::time::Instant;

use clap::Subcommand;

use instance::{Instance, State};
pub(crate) use plane::Plane;
pub(crate) use tools::program;

use crate::interrupt::Interrupt;
use crate::lock::Lock;

/// What can be done with a control plane.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds the programs: Kubernetes, etcd, kwok, Helm 3 and Helm 4 (a quarter of an hour the first time), and gets Debian's nginx
    Build,
    /// Starts a control plane and leaves it running
    Up,
    /// Stops it
    Down,
    /// Runs the tests of the package `dbt-controller-tests` against a control plane of their own
    Test {
        /// Further arguments for `cargo test`, such as `-- helm -- --nocapture`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

/// Does it.
pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::catch()?;
    match command {
        Command::Build => build(&interrupt)?,
        Command::Up => up(&interrupt)?,
        Command::Down => down()?,
        Command::Test { arguments } => return tests::run(arguments, &interrupt),
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the developer reads it")]
fn build(interrupt: &Interrupt) -> anyhow::Result<()> {
    tools::build(interrupt)?;
    nginx::install(&tools::program("nginx"), interrupt)?;
    println!("All programs are built; they are in {}.", tools::folder().display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the developer reads it")]
fn up(interrupt: &Interrupt) -> anyhow::Result<()> {
    tools::build(interrupt)?;
    let instance = Instance::of_the_developer();
    let _lock = Lock::take(instance.folder())?;
    if let State::Up = instance.state() {
        println!("The control plane runs already.");
    } else {
        let begin = Instant::now();
        instance.start(interrupt)?;
        println!("The control plane is up after {:.1} s.", begin.elapsed().as_secs_f32());
    }
    println!("{}", instance.exports()?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the developer reads it")]
fn down() -> anyhow::Result<()> {
    let instance = Instance::of_the_developer();
    let _lock = Lock::take(instance.folder())?;
    match instance.stop()? {
        0 => println!("No control plane runs."),
        _ => println!("The control plane is down."),
    }
    Ok(())
}
