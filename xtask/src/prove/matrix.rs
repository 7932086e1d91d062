//! The crash matrix and the fault matrix: the test target `matrix` of the package `dbt-controller-tests`.

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::airflow;
use crate::bench::machine::Machine;
use crate::cluster::Plane;
use crate::interrupt::Interrupt;
use crate::page;
use crate::project::{self, Profile};

/// Which cases are run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What the draw depends on; the same seed draws the same cases of the same steps
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many cases of each matrix: a number, or `all`
    #[arg(long, default_value = "all")]
    cases: String,
    /// Only the cases whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// How many cases run side by side
    #[arg(long, default_value_t = 12)]
    parallel: usize,
    /// With an Airflow, so that the connection is one of the worlds that must agree
    #[arg(long)]
    airflow: Option<airflow::Kind>,
    /// Writes the figures into docs/reliability.md
    #[arg(long)]
    record: bool,
}

/// The matrices, each a test with this name and `_matrix`.
const MATRICES: [&str; 2] = ["crash", "fault"];

/// Runs them.
pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::catch()?;
    let service = project::build_service(Profile::Dev)?;
    let (reports, begin) = (TempDir::new()?, Instant::now());
    let plane = Plane::start("run-matrix", &interrupt)?;
    let mut cargo = project::cargo();
    // Of the whole workspace, so that dependencies have the features with which its tests have built them already.
    cargo.args(["test", "--locked", "--workspace", "--features", "dbt-controller-tests/cluster", "--test", "matrix"]);
    // One after the other: each runs as many cases side by side as the machine bears.
    cargo.args(["--", "--nocapture", "--test-threads", "1"]);
    cargo.env("TIER_SERVICE", service).env("MATRIX_REPORT", reports.path());
    cargo.env("MATRIX_SEED", options.seed.to_string()).env("MATRIX_PARALLEL", options.parallel.to_string());
    cargo.env("MATRIX_CASES", &options.cases).env("MATRIX_ONLY", options.only.as_deref().unwrap_or_default());
    let airflow = options.airflow.map(|kind| airflow::Server::start(kind, "run-matrix", &interrupt)).transpose()?;
    cargo.envs(airflow.iter().flat_map(airflow::Server::environment));
    let status = plane.watch(&mut cargo, "the matrices", &interrupt)?;
    if options.record {
        record(&reports, begin)?;
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

#[expect(clippy::disallowed_methods, reason = "a report tells when it was made")]
fn record(reports: &TempDir, begin: Instant) -> anyhow::Result<()> {
    let (date, machine) = (Timestamp::now().strftime("%Y-%m-%d"), Machine::this());
    let minutes = begin.elapsed().as_secs_f64() / 60.0;
    let mut text = format!("Run on {date} in {minutes:.0} minutes, {machine}; the control plane and the services share them.\n");
    for name in MATRICES {
        let report = fs::read_to_string(reports.path().join(format!("{name}.md")));
        text.push_str(&format!("\n{}", report.with_context(|| format!("the {name} matrix has no report"))?));
    }
    page::write("reliability.md", "prove matrix", &text)
}
