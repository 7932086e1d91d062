//! `prove`: long runs that look for what the tests have not found yet. Each is a command of its own, and a short run of it is a test.

mod fuzz;
mod model;

/// What can be proved.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Plays random stories of callers, humans, crashes and faults against the in-memory world
    Model(model::Arguments),
    /// Feeds mutated bytes to everything that reads what others wrote
    Fuzz(fuzz::Arguments),
}

/// Runs one of them.
pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Model(arguments) => model::run(arguments),
        Command::Fuzz(arguments) => fuzz::run(arguments),
    }
}
