//! The project's folder, its cargo, and its programs.

use std::fs;
use std::io::ErrorKind;
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

/// The ignored folder with everything that is installed, built or kept for developers' commands.
pub(crate) fn tools() -> PathBuf {
    root().join(".tools")
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| format!("cannot remove {}", folder.display())),
        _ => Ok(()),
    }
}

/// Bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The project's cargo, told nothing of the `cargo run` that this command comes from: some crates, such as ring, are built again when what
/// that one says of its package changes.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Builds the service and returns the path of its program.
pub(crate) fn build_service(profile: Profile) -> anyhow::Result<PathBuf> {
    let mut cargo = cargo();
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
