//! The project's folder, its cargo, and its programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// The package that users start.
const SERVICE: &str = "dbt-api-service-controller";

/// How a program is built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    /// Quick to build.
    Dev,
    /// As it is shipped.
    Release,
}

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Builds the service and returns the path of its program.
pub(crate) fn build_service(profile: Profile) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root());
    cargo.args(match profile {
        // Its own tests build it too: as they do, nothing is compiled twice with other features.
        Profile::Dev => ["test", "--no-run", "--workspace", "--test", "it"].as_slice(),
        Profile::Release => &["build", "--package", SERVICE, "--bin", SERVICE, "--release"],
    });
    cargo.args(["--locked", "--message-format", "json-render-diagnostics"]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the service does not build");
    }
    let messages = String::from_utf8(output.stdout).context("cargo wrote something other than UTF-8")?;
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_service =
            message["target"]["name"] == SERVICE && message["target"]["kind"][0] == "bin" && message["profile"]["test"] == false;
        message["executable"].as_str().filter(|_| is_service).map(PathBuf::from)
    });
    executables.next_back().context("cargo built no program")
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}
