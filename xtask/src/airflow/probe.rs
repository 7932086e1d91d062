//! Asks a server again and again, until it is ready.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use super::instance::program;
use super::kind::{self, Kind};

/// What asks. It ends when this is dropped.
///
/// In Python, which is there anyway, so that this command needs no TLS of its own.
#[derive(Debug)]
pub(super) struct Probe(Child);

impl Probe {
    /// Asks the server with this address.
    pub(super) fn start(kind: Kind, url: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(program(kind, "python"));
        command.arg("-I").arg(kind::definitions().join("probe.py")).arg(format!("{url}{}", kind.version_path()));
        // Ctrl-C is for the command.
        let child = command.env_clear().stdin(Stdio::null()).spawn().context("cannot start the probe")?;
        Ok(Self(child))
    }

    /// Whether the server is ready.
    pub(super) fn has_succeeded(&mut self) -> anyhow::Result<bool> {
        match self.0.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => bail!("the probe ended with {status}"),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Nothing is left to do about one that ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
