//! A control plane for the time of another command.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, bail};

use super::instance::Instance;
use super::tools;
use crate::interrupt::Interrupt;
use crate::lock::Lock;
use crate::process;

/// A running control plane. It ends when this is dropped.
pub(crate) struct Plane {
    instance: Instance,
    _lock: Lock,
}

impl Plane {
    /// Starts one with nothing in it, in this folder below `.tools`.
    pub(crate) fn start(folder: &str, interrupt: &Interrupt) -> anyhow::Result<Self> {
        tools::build(interrupt)?;
        let instance = Instance::in_folder(folder);
        let lock = Lock::take(instance.folder())?;
        instance.start(interrupt)?;
        Ok(Self { instance, _lock: lock })
    }

    /// The administrator's credentials.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.instance.folder().join("kubeconfig")
    }

    /// Runs kubectl; returns what it writes.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run(&tools::program("kubectl"), arguments)
    }

    /// Runs a program as the administrator; returns what it writes.
    pub(crate) fn run(&self, program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command(program, arguments).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot start {}", program.display()))?;
        if !output.status.success() {
            bail!("{} {} failed: {}", program.display(), arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        String::from_utf8(output.stdout).context("a program that does not write text")
    }

    /// Runs a command that is told of it as the tests of the cluster tier are, and says every now and then that it is still at work.
    pub(crate) fn watch(&self, command: &mut Command, what: &str, interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
        process::run(command.envs(self.instance.environment()), what, interrupt)
    }

    /// Stops one of its programs, and starts it again as it was started.
    pub(crate) fn start_again(&self, program: &str) -> anyhow::Result<()> {
        process::start_again(self.instance.folder(), program)
    }

    /// Creates the objects of a list.
    pub(crate) fn create(&self, list: &str) -> anyhow::Result<()> {
        let mut command = self.command(&tools::program("kubectl"), &["create", "--filename", "-"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("cannot start kubectl")?;
        let mut input = process.stdin.take().context("kubectl has no standard input")?;
        input.write_all(list.as_bytes()).context("kubectl does not read")?;
        drop(input);
        let status = process.wait()?;
        if status.success() { Ok(()) } else { bail!("kubectl create failed: {status}") }
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.instance.folder()).env("KUBECONFIG", self.kubeconfig()).args(arguments);
        command
    }
}

impl Drop for Plane {
    #[expect(clippy::print_stderr, reason = "the developer reads it")]
    fn drop(&mut self) {
        if let Err(error) = self.instance.stop() {
            eprintln!("the control plane was not stopped: {error:#}");
        }
    }
}
