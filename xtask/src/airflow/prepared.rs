//! A database with tables, users and DAGs for each Airflow. It is made once, for that takes half a minute, and copied for each server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::kind::{self, Kind};
use super::settings::{self, USERS};
use super::{instance, programs};
use crate::interrupt::Interrupt;
use crate::{process, project};

/// The files of simple users and of the database in a home.
const PASSWORDS: &str = "passwords.json";
const DATABASE: &str = "airflow.db";

/// Prepares an Airflow that is installed, unless it is prepared in this way.
#[expect(clippy::print_stdout, reason = "the developer reads it")]
pub(super) fn prepare(kind: Kind, interrupt: &Interrupt) -> anyhow::Result<()> {
    let (home, stamp_path) = (home(kind), kind.folder().join("home.stamp"));
    let stamp = stamp(kind)?;
    if home.exists() && fs::read_to_string(&stamp_path).is_ok_and(|prepared| prepared == stamp) {
        return Ok(());
    }
    println!("Airflow {kind}: preparing its database");
    let begin = Instant::now();
    project::remove(&home)?;
    copy_dags(&home)?;
    let logs = kind.folder().join("logs");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    run(kind, "migrate", Command::new(instance::program(kind, "airflow")).args(["db", "migrate"]), interrupt)?;
    if kind.has_users_in_database() {
        let users = USERS.map(|user| format!("{}:{}", user.role, user.login()));
        let script = kind::definitions().join("users.py");
        run(kind, "users", Command::new(instance::program(kind, "python")).arg(script).args(users), interrupt)?;
    } else {
        write_passwords(&home)?;
    }
    // Else a scheduler would have to run.
    run(kind, "reserialize", Command::new(instance::program(kind, "airflow")).args(["dags", "reserialize"]), interrupt)?;
    fs::write(&stamp_path, stamp).with_context(|| format!("cannot write {}", stamp_path.display()))?;
    println!("Airflow {kind}: prepared after {:.1} s", begin.elapsed().as_secs_f32());
    Ok(())
}

/// Makes a home with a copy of what is prepared. The rest, such as `airflow.cfg`, names the folder that it is in; each Airflow makes its own.
pub(super) fn copy(kind: Kind, to: &Path) -> anyhow::Result<()> {
    let from = home(kind);
    copy_dags(to)?;
    copy_file(&from.join(DATABASE), &to.join(DATABASE))?;
    if !kind.has_users_in_database() {
        copy_file(&from.join(PASSWORDS), &to.join(PASSWORDS))?;
    }
    Ok(())
}

/// Where the prepared database is.
fn home(kind: Kind) -> PathBuf {
    kind.folder().join("home")
}

/// What is prepared, and with what.
fn stamp(kind: Kind) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    hash.update(programs::stamp(kind)?);
    hash.update(format!("{:?} {USERS:?}", settings::variables(kind, Path::new("home"))));
    for file in dags()?.into_iter().chain([kind::definitions().join("users.py")]) {
        hash.update(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(project::hex(&hash.finalize()))
}

/// The sample DAGs, in a fixed order.
fn dags() -> anyhow::Result<Vec<PathBuf>> {
    let folder = kind::definitions().join("dags");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "py"));
    files.sort();
    Ok(files)
}

fn copy_dags(home: &Path) -> anyhow::Result<()> {
    let folder = home.join("dags");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in dags()? {
        copy_file(&file, &folder.join(file.file_name().context("a file without a name")?))?;
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// Simple users have their passwords in a file.
fn write_passwords(home: &Path) -> anyhow::Result<()> {
    let passwords: Map<String, Value> = USERS.iter().map(|user| (user.name.to_owned(), user.password.into())).collect();
    fs::write(home.join(PASSWORDS), Value::Object(passwords).to_string()).context("cannot write the passwords")
}

fn run(kind: Kind, what: &str, command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<()> {
    let folder = kind.folder();
    let log = File::create(folder.join("logs").join(format!("{what}.log"))).context("cannot write a log")?;
    command.env_clear().env("HOME", home(kind)).envs(settings::variables(kind, &home(kind)));
    let status = process::run(command.stdout(log.try_clone()?).stderr(log), &format!("Airflow {kind}: {what}"), interrupt)?;
    if !status.success() {
        bail!("Airflow {kind}: {what} ended with {status}; the last lines of its log:\n{}", process::last_lines(&folder, what));
    }
    Ok(())
}
