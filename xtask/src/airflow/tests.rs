//! A run of the tests against real Airflows.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::bail;

use super::kind::Kind;
use super::run::Run;
use crate::interrupt::Interrupt;
use crate::lock::Lock;
use crate::project::Profile;
use crate::{process, project};

/// Stops all servers of a run when it ends, whatever ends it.
struct Stopped<'a>(&'a Run);

/// An Airflow for tests of something else. Its servers are stopped when this is dropped.
pub(crate) struct Companion {
    run: Run,
    environment: Vec<(&'static str, OsString)>,
    _lock: Lock,
}

impl Companion {
    /// Starts Airflow 3 afresh.
    pub(crate) fn start(interrupt: &Interrupt) -> anyhow::Result<Self> {
        super::build(&[Kind::Three], interrupt)?;
        let run = Run::of_a_companion(Kind::Three);
        let lock = Lock::take(run.folder())?;
        let mut companion = Self { run, environment: Vec::new(), _lock: lock };
        let main = companion.run.start(interrupt)?;
        companion.environment = companion.run.environment(&main);
        Ok(companion)
    }

    /// What tests have to know, as environment variables.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &OsString)> {
        self.environment.iter().map(|(name, value)| (*name, value))
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        drop(Stopped(&self.run));
    }
}

/// Runs the tests against each of these Airflows, and returns the exit code of the first ones that failed.
pub(super) fn run(kinds: &[Kind], arguments: &[String], interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    // Each run has a test in which an Airflow 2 is replaced.
    let mut needed = kinds.to_vec();
    if !needed.contains(&Kind::Two) {
        needed.push(Kind::Two);
    }
    super::build(&needed, interrupt)?;
    // Once, and before any server is started: what does not compile is known soon.
    let built = process::run(cargo().arg("--no-run"), "the build of the tests", interrupt)?;
    if !built.success() {
        bail!("the tests do not build");
    }
    let service = project::build_service(Profile::Dev)?;
    let mut result = ExitCode::SUCCESS;
    for &kind in kinds {
        let status = test(kind, &service, arguments, interrupt)?;
        if !status.success() && result == ExitCode::SUCCESS {
            // Without a code it was ended by a signal.
            result = ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
    }
    Ok(result)
}

#[expect(clippy::print_stdout, reason = "the developer reads it")]
fn test(kind: Kind, service: &Path, arguments: &[String], interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
    let run = Run::of_the_tests(kind);
    let _lock = Lock::take(run.folder())?;
    let _stopped = Stopped(&run);
    let begin = Instant::now();
    let main = run.start(interrupt)?;
    println!("Airflow {kind}: up after {:.1} s", begin.elapsed().as_secs_f32());
    let begin = Instant::now();
    let mut cargo = cargo();
    cargo.arg("--").args(arguments).envs(run.environment(&main)).env("TIER_SERVICE", service);
    // Most of them wait for servers most of the time.
    cargo.env("RUST_TEST_THREADS", "6");
    let status = process::run(&mut cargo, &format!("the tests of Airflow {kind}"), interrupt)?;
    let outcome = if status.success() { "passed" } else { "FAILED" };
    println!("Airflow {kind}: tests {outcome} after {:.1} s", begin.elapsed().as_secs_f32());
    Ok(status)
}

fn cargo() -> Command {
    let mut cargo = project::cargo();
    // Of the whole workspace, so that dependencies have the features with which its tests have built them already.
    cargo.args(["test", "--locked", "--workspace", "--features", "dbt-controller-tests/airflow", "--test", "airflow"]);
    cargo
}

// === impl Stopped ===

impl Drop for Stopped<'_> {
    #[expect(clippy::print_stderr, reason = "the developer reads it")]
    fn drop(&mut self) {
        if let Err(error) = self.0.stop() {
            eprintln!("not everything was stopped: {error:#}");
        }
    }
}
