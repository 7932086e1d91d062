//! The soak: the test target `soak` of the package `dbt-controller-tests`, while the API server and Airflow are started again.

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tempfile::TempDir;

use crate::airflow;
use crate::cluster::Plane;
use crate::interrupt::Interrupt;
use crate::project::{self, Profile};

/// How long it is soaked.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What the traffic depends on
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For how many minutes
    #[arg(long, default_value_t = 10)]
    minutes: u32,
    /// Writes the figures into docs/reliability.md, if the run succeeds
    #[arg(long)]
    record: bool,
}

/// What is started again, at which part of the time. The last third is quiet, so that it shows whether memory is flat.
const RESTARTS: [(f64, What); 3] = [(0.2, What::ApiServer), (0.35, What::Airflow), (0.5, What::ApiServer)];

#[derive(Debug, Clone, Copy)]
enum What {
    ApiServer,
    Airflow,
}

/// Soaks.
pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::catch()?;
    // As it is shipped: figures of memory mean nothing otherwise.
    let service = project::build_service(Profile::Release)?;
    let mut build = test();
    project::run(build.arg("--no-run"))?;
    let reports = TempDir::new()?;
    let plane = Plane::start("run-soak", &interrupt)?;
    let airflow = airflow::Server::start(airflow::Kind::Three, "run-soak", &interrupt)?;
    let mut cargo = test();
    cargo.args(["--", "--nocapture"]).env("TIER_SERVICE", service).env("SOAK_REPORT", reports.path());
    cargo.env("SOAK_SEED", options.seed.to_string()).env("SOAK_MINUTES", options.minutes.to_string());
    cargo.envs(airflow.environment());
    let status = std::thread::scope(|scope| {
        let restarts = scope.spawn(|| restart(&plane, &airflow, Duration::from_secs(60) * options.minutes, &interrupt));
        let status = plane.watch(&mut cargo, "the soak", &interrupt);
        restarts.join().map_err(|_| anyhow::anyhow!("whoever starts things again has panicked"))??;
        status
    })?;
    let code = ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
    if options.record {
        let report = || fs::read_to_string(reports.path().join("soak.md")).context("the soak has no report");
        super::record_success(code, "prove soak", report)?;
    }
    Ok(code)
}

/// Of the whole workspace, so that dependencies have the features with which its tests have built them already.
fn test() -> Command {
    let mut cargo = project::cargo();
    cargo.args(["test", "--locked", "--workspace", "--features", "dbt-controller-tests/cluster", "--test", "soak"]);
    cargo
}

/// Starts everything again at its moments.
#[expect(clippy::print_stdout, reason = "the developer reads it")]
fn restart(plane: &Plane, airflow: &airflow::Server, time: Duration, interrupt: &Interrupt) -> anyhow::Result<()> {
    let begin = Instant::now();
    for (moment, what) in RESTARTS.map(|(part, what)| (time.mul_f64(part), what)) {
        while begin.elapsed() < moment {
            if interrupt.check().is_err() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        println!("after {} s it is started again: {what:?}", begin.elapsed().as_secs());
        match what {
            What::ApiServer => plane.start_again("kube-apiserver")?,
            What::Airflow => airflow.start_again(interrupt)?,
        }
    }
    Ok(())
}
