//! An Airflow for the time of another command.

use std::ffi::OsString;

use anyhow::Context as _;

use super::kind::Kind;
use super::run::Run;
use crate::interrupt::Interrupt;
use crate::lock::Lock;

/// A running Airflow. It ends when this is dropped.
pub(crate) struct Server {
    run: Run,
    environment: Vec<(&'static str, OsString)>,
    _lock: Lock,
}

impl Server {
    /// Starts one with nothing in it, in this folder beside those of `up` and of the tests.
    pub(crate) fn start(kind: Kind, folder: &str, interrupt: &Interrupt) -> anyhow::Result<Self> {
        super::build(&[kind], interrupt)?;
        let run = Run::within(folder, kind);
        let lock = Lock::take(run.folder())?;
        let main = run.start(interrupt)?;
        let environment = run.environment(&main);
        Ok(Self { run, environment, _lock: lock })
    }

    /// Stops it and starts it again at once: at the same port, with the same content.
    pub(crate) fn start_again(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let main = self.run.main().context("it does not run")?;
        let port = main.url().rsplit(':').next().context("it has no port")?;
        let words = [format!("PORT={port}"), format!("HOME={}", main.home().display())];
        main.stop()?;
        self.run.start_another(&words, interrupt).map(drop)
    }

    /// What tests have to know, as environment variables.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        self.environment.clone()
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "the developer reads it")]
    fn drop(&mut self) {
        if let Err(error) = self.run.stop() {
            eprintln!("not everything was stopped: {error:#}");
        }
    }
}
