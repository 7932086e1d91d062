//! An embedded service that runs for the time of a command.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// A running service. It ends when this is dropped.
pub(crate) struct Service {
    process: Child,
    /// `http://<address>`.
    pub(crate) url: String,
    /// The token that it made.
    pub(crate) token: String,
}

impl Service {
    /// Starts the program on a free port and waits for its greeting. The settings are these and no others.
    pub(crate) fn start(program: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut process = Command::new(program)
            .args(["serve", "--embedded"])
            .env_clear()
            .envs([("PORT", "0"), ("LOG_LEVEL", "warning")])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = process.stdout.take().context("the service has no standard output")?;
        let mut service = Self { process, url: String::new(), token: String::new() };
        for line in BufReader::new(output).lines() {
            let line = line?;
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name {
                "Address" => value.trim().clone_into(&mut service.url),
                "Token" => value.trim().clone_into(&mut service.token),
                // The last line of the greeting.
                "API" => return Ok(service),
                _ => {}
            }
        }
        // Dropping it here collects the process.
        anyhow::bail!("the service ended before it listened")
    }

    /// Its resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the system tells no VmRSS")?;
        line.trim().trim_end_matches(" kB").parse().with_context(|| format!("cannot read VmRSS from {path}"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing is left to do about a process that ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
