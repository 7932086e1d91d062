//! The crash matrix and the fault matrix: the test target `matrix` of the package `dbt-controller-tests`.

mod figures;

use std::fs;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use self::figures::{Figures, Part, Report, Run};
use crate::airflow;
use crate::cluster::Plane;
use crate::interrupt::Interrupt;
use crate::page;
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
    /// Only this part of a matrix, such as 2/6; a whole one takes more than an hour
    #[arg(long, conflicts_with = "only", default_value_t = Part::WHOLE)]
    part: Part,
    /// Only the cases whose names contain this
    #[arg(long, conflicts_with = "record")]
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
    /// Writes the figures into docs/reliability.md, if the run succeeds, beside those of the other parts with this seed
    #[arg(long)]
    record: bool,
}

/// A matrix: a test with this name and `_matrix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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
    let (matrices, others): (Vec<_>, Vec<_>) =
        Matrix::value_variants().iter().copied().partition(|matrix| options.matrix.is_none_or(|only| only == *matrix));
    // One after the other: each runs as many cases side by side as the machine bears. The tests of what judges the cases run too.
    cargo.args(["--", "--nocapture", "--test-threads", "1"]);
    cargo.args(others.iter().flat_map(|matrix| ["--skip".to_owned(), format!("{}_matrix", matrix.name())]));
    cargo.env("TIER_SERVICE", service).env("MATRIX_REPORT", reports.path());
    cargo.env("MATRIX_SEED", options.seed.to_string()).env("MATRIX_PARALLEL", options.parallel.to_string());
    cargo
        .env("MATRIX_CASES", &options.cases)
        .env("MATRIX_PART", options.part.to_string())
        .env("MATRIX_ONLY", options.only.as_deref().unwrap_or_default());
    let airflow = options.airflow.map(|kind| airflow::Server::start(kind, "run-matrix", &interrupt)).transpose()?;
    cargo.envs(airflow.iter().flat_map(airflow::Server::environment));
    let status = plane.watch(&mut cargo, "the matrices", &interrupt)?;
    let code = ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
    for matrix in matrices {
        let Some(report) = matrix.report(&reports)? else {
            // One that could not begin has failed.
            anyhow::ensure!(code != ExitCode::SUCCESS, "the {} matrix has not run", matrix.name());
            continue;
        };
        #[expect(clippy::print_stdout, reason = "what a developer wants to know")]
        let () = println!("{} matrix\n\n{}", matrix.name(), report.tables());
        if options.record {
            record(matrix, options, report, code)?;
        }
    }
    Ok(code)
}

/// Keeps the figures of a run that succeeded.
fn record(matrix: Matrix, options: &Options, report: Report, code: ExitCode) -> anyhow::Result<()> {
    let airflow = options.airflow.and_then(|kind| kind.to_possible_value());
    let (file, marker, with) = match airflow.as_ref().map(PossibleValue::get_name) {
        None => (format!("matrix-{}", matrix.name()), format!("prove matrix {}", matrix.name()), "Without Airflow".to_owned()),
        Some(kind) => (
            format!("matrix-{}-airflow-{kind}", matrix.name()),
            format!("prove matrix {} --airflow {kind}", matrix.name()),
            format!("With Airflow {kind}"),
        ),
    };
    super::if_successful(code, || {
        let (date, machine) = super::today();
        let mut figures = Figures::read(&file)?;
        figures.take(Run { part: options.part, seed: options.seed, date, machine, report });
        figures.write(&file)?;
        page::write("reliability.md", &marker, &format!("{with}. {}", figures.text()))
    })
}

impl Matrix {
    fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Fault => "fault",
        }
    }

    /// What it has written of its run, if it came to its end.
    fn report(self, reports: &TempDir) -> anyhow::Result<Option<Report>> {
        let path = reports.path().join(format!("{}.json", self.name()));
        if !path.exists() {
            return Ok(None);
        }
        let report = fs::read_to_string(path).map_err(anyhow::Error::from).and_then(|text| Report::of(&text));
        report.map(Some).with_context(|| format!("the {} matrix has no report", self.name()))
    }
}
