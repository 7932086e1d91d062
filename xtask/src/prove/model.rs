//! `prove model`: the model test with new stories, in memory or on the real control plane.

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::NamedTempFile;

use crate::cluster::Plane;
use crate::interrupt::Interrupt;
use crate::project;

/// How long, and which stories.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many operations are answered before it ends; without it 10,000, on a control plane 100
    #[arg(long)]
    operations: Option<u64>,
    /// The first of the seeds from which stories are made; without it, stories that nobody has played
    #[arg(long)]
    seed: Option<u64>,
    /// On a control plane of its own, in real time, with Helm and kubectl as the humans
    #[arg(long)]
    cluster: bool,
    /// Writes the figures into docs/reliability.md, if the run succeeds
    #[arg(long)]
    record: bool,
}

/// Runs it. A story in memory that fails is kept in `crates/domain/proptest-regressions`; the seed of one on a control plane in
/// `tests/model/failed-seeds.txt`. Both are played first from then on.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let seed = options.seed.unwrap_or_else(new_seed);
    let operations = options.operations.unwrap_or(if options.cluster { 100 } else { 10_000 });
    let report = NamedTempFile::new()?;
    let set = |cargo: &mut Command| {
        cargo.env("MODEL_OPERATIONS", operations.to_string()).env("MODEL_SEED", seed.to_string()).env("MODEL_REPORT", report.path());
    };
    let (name, code) = match options.cluster {
        false => ("prove model", in_memory(set)?),
        true => ("prove model --cluster", on_a_control_plane(set)?),
    };
    if options.record {
        super::record_success(code, name, || Ok(fs::read_to_string(report.path())?))?;
    }
    Ok(code)
}

fn in_memory(set: impl FnOnce(&mut Command)) -> anyhow::Result<ExitCode> {
    let mut cargo = project::cargo();
    cargo.args(["test", "--locked", "--release", "--package", "dbt-controller-domain", "--test", "it", "model::", "--", "--nocapture"]);
    set(&mut cargo);
    project::run(&mut cargo).map(|()| ExitCode::SUCCESS)
}

fn on_a_control_plane(set: impl FnOnce(&mut Command)) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::catch()?;
    let plane = Plane::start("run-model", &interrupt)?;
    let mut cargo = project::cargo();
    // Of the whole workspace, so that dependencies have the features with which its tests have built them already.
    cargo.args(["test", "--locked", "--workspace", "--features", "dbt-controller-tests/cluster", "--test", "model", "--", "--nocapture"]);
    set(&mut cargo);
    let status = plane.watch(&mut cargo, "the model", &interrupt)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// One that grows, so that no two runs play the same stories.
#[expect(clippy::disallowed_methods, reason = "the time is the seed, and it is printed")]
fn new_seed() -> u64 {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() * 1_000
}
