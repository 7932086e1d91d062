//! A service that runs for the time of a command.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
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

    /// Starts the program on a cluster, on a free port of loopback, and does not wait for it. The settings are these and no others;
    /// `SECRET_KEY` is one of them.
    pub(crate) fn start_on_cluster(program: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        // Somebody else could take the port in between; the start would say so.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let token = settings.iter().find(|(name, _)| *name == "SECRET_KEY").context("a service on a cluster has no SECRET_KEY")?.1;
        let process = Command::new(program)
            .arg("serve")
            .env_clear()
            .envs([("PORT", port.to_string())])
            .envs(settings.iter().copied())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { process, url: format!("http://127.0.0.1:{port}"), token: token.to_owned() })
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
