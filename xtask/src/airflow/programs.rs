//! The programs: each Airflow in a virtual environment of its own, with exactly the packages of its list.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::kind::Kind;
use crate::interrupt::Interrupt;
use crate::{process, project, python};

/// The version from PyPI of the program that installs. It needs seconds where pip needs minutes.
const UV: &str = "0.13.9";

/// What both versions of Airflow run on.
const PYTHON: &str = "3.11";

/// Installs an Airflow, unless it is there with these packages.
#[expect(clippy::print_stdout, reason = "the developer reads it")]
pub(super) fn install(kind: Kind, interrupt: &Interrupt) -> anyhow::Result<()> {
    let folder = kind.folder();
    let (environment, stamp_path) = (folder.join("venv"), folder.join("venv.stamp"));
    let stamp = stamp(kind)?;
    if environment.exists() && fs::read_to_string(&stamp_path).is_ok_and(|installed| installed == stamp) {
        return Ok(());
    }
    println!("Airflow {kind}: installing");
    let uv = python::install("uv", UV)?;
    interrupt.check()?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    project::remove(&environment)?;
    let run = |command: &mut Command| {
        // Beside the environments, which then share the files that they have in common.
        command.arg("--quiet").arg("--cache-dir").arg(project::tools().join("airflow/cache"));
        let status = process::run(command, "uv", interrupt)?;
        if !status.success() {
            bail!("Airflow {kind} cannot be installed: uv ended with {status}");
        }
        Ok(())
    };
    run(Command::new(&uv).args(["venv", "--no-python-downloads", "--python", PYTHON]).arg(&environment))?;
    let python = environment.join("bin/python");
    run(Command::new(&uv).args(["pip", "install", "--python"]).arg(&python).arg("--requirements").arg(kind.requirements()))?;
    // Written last: without it everything is installed again.
    fs::write(&stamp_path, stamp).with_context(|| format!("cannot write {}", stamp_path.display()))
}

/// What is installed.
pub(super) fn stamp(kind: Kind) -> anyhow::Result<String> {
    let path = kind.requirements();
    let mut hash = Sha256::new();
    hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    hash.update(PYTHON);
    Ok(project::hex(&hash.finalize()))
}
