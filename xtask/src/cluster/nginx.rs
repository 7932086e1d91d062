//! The nginx that the tests start as a server's pod would: the one of Debian, for there is no registry to pull its image from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

use crate::interrupt::Interrupt;
use crate::{process, project};

/// The package.
const PACKAGE: &str = "nginx";

/// Takes the program out of the package that apt gives and has verified, unless it is there already. Nothing is installed on the machine.
///
/// Its version is the one of the machine's Debian: what is tested is what nginx may do, which has not changed for years.
#[expect(clippy::print_stdout, reason = "the developer reads it")]
pub(super) fn install(program: &Path, interrupt: &Interrupt) -> anyhow::Result<()> {
    if program.exists() {
        return Ok(());
    }
    let folder = project::tools().join("nginx");
    project::remove(&folder)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let package = download(&folder, interrupt)
        .with_context(|| format!("where there is no apt, put an nginx that reads bcrypt passwords at {}", program.display()))?;
    let unpacked = folder.join("unpacked");
    output(Command::new("dpkg").arg("--extract").arg(&package).arg(&unpacked))?;
    let nginx = unpacked.join("usr/sbin/nginx");
    check_libraries(&nginx, &package)?;
    // Last: without it the package is downloaded again.
    fs::rename(&nginx, program).context("there is no nginx in its package")?;
    println!("nginx: version {}", field(&package, "Version")?);
    project::remove(&folder)
}

/// Downloads the package into a folder. A fresh machine has no lists of packages, and an old one those of versions that are gone.
fn download(folder: &Path, interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    // What apt says of lists that it does not have is no news.
    if !apt(folder, &["download", PACKAGE], Stdio::null(), interrupt)? {
        apt(folder, &["update"], Stdio::inherit(), interrupt)?;
        if !apt(folder, &["download", PACKAGE], Stdio::inherit(), interrupt)? {
            bail!("`apt-get download {PACKAGE}` does not succeed, not even after `apt-get update`");
        }
    }
    let mut files = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|file| file.extension().is_some_and(|extension| extension == "deb")).context("apt-get downloaded no package")
}

/// Whether apt succeeds.
fn apt(folder: &Path, arguments: &[&str], errors: Stdio, interrupt: &Interrupt) -> anyhow::Result<bool> {
    let mut command = Command::new("apt-get");
    // Else it tries to become a user who may not write there, and warns that it cannot.
    command.current_dir(folder).args(["--quiet=2", "--option", "APT::Sandbox::User=root"]).args(arguments);
    Ok(process::run(command.stdout(Stdio::null()).stderr(errors), "apt-get", interrupt)?.success())
}

/// The package's dependencies are not installed with it; those on libraries are on most machines.
fn check_libraries(nginx: &Path, package: &Path) -> anyhow::Result<()> {
    let linked = output(Command::new("ldd").arg(nginx))?;
    let missing: Vec<_> =
        linked.lines().filter(|line| line.contains("not found")).filter_map(|line| line.split_whitespace().next()).collect();
    if !missing.is_empty() {
        bail!("nginx needs {}: install what is missing of its dependencies, {}", missing.join(", "), field(package, "Depends")?);
    }
    Ok(())
}

/// What a package says of itself.
fn field(package: &Path, name: &str) -> anyhow::Result<String> {
    Ok(output(Command::new("dpkg").arg("--field").arg(package).arg(name))?.trim().to_owned())
}

/// What a program writes.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}: {}", String::from_utf8_lossy(&stderr));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
