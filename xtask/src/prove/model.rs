//! `prove model`: the model test with new stories.

use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::project;

/// How long, and which stories.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many operations are answered before it ends
    #[arg(long, default_value_t = 10_000)]
    operations: u64,
    /// The first of the seeds from which stories are made; without it, stories that nobody has played
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it. A story that fails is kept in `crates/domain/proptest-regressions`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let seed = arguments.seed.unwrap_or_else(new_seed);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(project::root());
    cargo.args(["test", "--locked", "--release", "--package", "dbt-controller-domain", "--test", "it", "model::", "--", "--nocapture"]);
    cargo.env("MODEL_OPERATIONS", arguments.operations.to_string()).env("MODEL_SEED", seed.to_string());
    project::run(&mut cargo)
}

/// One that grows, so that no two runs play the same stories.
#[expect(clippy::disallowed_methods, reason = "the time is the seed, and it is printed")]
fn new_seed() -> u64 {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() * 1_000
}
