//! Programs from PyPI, each in a virtual environment of its own below `.tools`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::project;

/// Installs a version of a package, unless it is there, and returns the path of its program of the same name.
pub(crate) fn install(package: &str, version: &str) -> anyhow::Result<PathBuf> {
    let folder = project::tools().join(format!("{package}-{version}"));
    let program = folder.join("bin").join(package);
    // Written last: a folder without it is the rest of an installation that was cut short.
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(program);
    }
    project::remove(&folder)?;
    project::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let package = format!("{package}=={version}");
    project::run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "--no-input", "--disable-pip-version-check", &package]))?;
    fs::write(&complete, "").with_context(|| format!("cannot write {}", complete.display()))?;
    Ok(program)
}
