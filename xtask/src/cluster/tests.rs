//! A run of the tests of the cluster tier.

use std::process::ExitCode;
use std::time::Instant;

use super::instance::Instance;
use super::{nginx, tools};
use crate::airflow::Companion;
use crate::interrupt::Interrupt;
use crate::lock::Lock;
use crate::process;
use crate::project::{self, Profile};

/// Stops a control plane when the run ends, whatever ends it.
struct Stopped<'a>(&'a Instance);

/// Runs the tests against a fresh control plane, and returns their exit code.
#[expect(clippy::print_stdout, reason = "the developer reads it")]
pub(super) fn run(arguments: &[String], interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    tools::build(interrupt)?;
    nginx::install(&tools::program("nginx"), interrupt)?;
    let service = project::build_service(Profile::Dev)?;
    interrupt.check()?;
    let instance = Instance::of_the_tests();
    let _lock = Lock::take(instance.folder())?;
    let _stopped = Stopped(&instance);
    let begin = Instant::now();
    instance.start(interrupt)?;
    println!("The control plane is up after {:.1} s.", begin.elapsed().as_secs_f32());
    let airflow = Companion::start(interrupt)?;
    let mut cargo = project::cargo();
    // Of the whole workspace, so that dependencies have the features with which its tests have built them already.
    cargo.args(["test", "--locked", "--workspace", "--features", "dbt-controller-tests/cluster", "--test", "cluster"]).args(arguments);
    // Most of their time they wait. `-- --test-threads` wins.
    cargo.envs(instance.environment()).envs(airflow.environment()).env("TIER_SERVICE", service).env("RUST_TEST_THREADS", "6");
    let status = process::run(&mut cargo, "the tests", interrupt)?;
    // Without a code it was ended by a signal.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

// === impl Stopped ===

impl Drop for Stopped<'_> {
    #[expect(clippy::print_stderr, reason = "the developer reads it")]
    fn drop(&mut self) {
        if let Err(error) = self.0.stop() {
            eprintln!("the control plane was not stopped: {error:#}");
        }
    }
}
