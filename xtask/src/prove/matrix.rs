//! The crash matrix and the fault matrix: the test target `matrix` of the package `dbt-controller-tests`.

use std::fs;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::airflow;
use crate::cluster::Plane;
use crate::interrupt::Interrupt;
use crate::project::{self, Profile};

/// Which cases are run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only this matrix
    matrix: Option<Matrix>,
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
    /// With the service as it is shipped: it takes longer to build, and the cases take half the time
    #[arg(long)]
    release: bool,
    /// Writes the figures into docs/reliability.md, if the run succeeds
    #[arg(long)]
    record: bool,
}

/// A matrix: a test with this name and `_matrix`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Matrix {
    /// The service is killed or stopped at every call
    Crash,
    /// Every call goes wrong
    Fault,
}

/// Runs them.
pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::catch()?;
    let service = project::build_service(if options.release { Profile::Release } else { Profile::Dev })?;
    let reports = TempDir::new()?;
    let plane = Plane::start("run-matrix", &interrupt)?;
    let mut cargo = project::cargo();
    // Of the whole workspace, so that dependencies have the features with which its tests have built them already.
    cargo.args(["test", "--locked", "--workspace", "--features", "dbt-controller-tests/cluster", "--test", "matrix"]);
    if options.release {
        cargo.arg("--release");
    }
    let matrices: Vec<_> = options.matrix.map_or_else(|| Matrix::value_variants().to_vec(), |matrix| vec![matrix]);
    // One after the other: each runs as many cases side by side as the machine bears.
    cargo
        .args(["--", "--nocapture", "--test-threads", "1", "--exact"])
        .args(matrices.iter().map(|matrix| format!("{}_matrix", matrix.name())));
    cargo.env("TIER_SERVICE", service).env("MATRIX_REPORT", reports.path());
    cargo.env("MATRIX_SEED", options.seed.to_string()).env("MATRIX_PARALLEL", options.parallel.to_string());
    cargo.env("MATRIX_CASES", &options.cases).env("MATRIX_ONLY", options.only.as_deref().unwrap_or_default());
    let airflow = options.airflow.map(|kind| airflow::Server::start(kind, "run-matrix", &interrupt)).transpose()?;
    cargo.envs(airflow.iter().flat_map(airflow::Server::environment));
    let status = plane.watch(&mut cargo, "the matrices", &interrupt)?;
    let code = ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
    if options.record {
        for matrix in matrices {
            let (marker, with) = named(matrix, options.airflow);
            let text = || Ok(format!("{with}, seed {}.\n\n{}", options.seed, matrix.report(&reports)?));
            super::record_success(code, &marker, text)?;
        }
    }
    Ok(code)
}

/// Where the figures stand, one place for each matrix and Airflow, and how they begin.
fn named(matrix: Matrix, airflow: Option<airflow::Kind>) -> (String, String) {
    let marker = format!("prove matrix {}", matrix.name());
    match airflow.and_then(|kind| kind.to_possible_value()) {
        None => (marker, "Without Airflow".to_owned()),
        Some(kind) => (format!("{marker} --airflow {}", kind.get_name()), format!("With Airflow {}", kind.get_name())),
    }
}

impl Matrix {
    fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Fault => "fault",
        }
    }

    /// What it has written of its run.
    fn report(self, reports: &TempDir) -> anyhow::Result<String> {
        let report = fs::read_to_string(reports.path().join(format!("{}.md", self.name())));
        report.with_context(|| format!("the {} matrix has no report", self.name()))
    }
}
