//! What is started and stopped together: the server of `up` or of a test run, and those that its tests start beside it.
//!
//! ```text
//! <run>/control/       scripts with which tests start and stop further servers
//! <run>/instances/main the shared server
//! <run>/instances/1    a further one, and so on
//! <run>/closed         no more are to be started
//! <run>/env            what a shell exports to use it
//! ```

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::instance::{self, Instance};
use super::kind::Kind;
use super::options::Options;
use super::settings::{ADMIN, FERNET_KEY, OP, VIEWER};
use crate::interrupt::Interrupt;
use crate::lock::Lock;
use crate::project;

/// The shared server.
const MAIN: &str = "main";

/// The scripts in `control`.
const SCRIPTS: [&str; 4] = ["start", "stop", "airflow", "python"];

/// A group of servers, running or not.
#[derive(Debug)]
pub(super) struct Run {
    kind: Kind,
    folder: PathBuf,
}

impl Run {
    /// The one that `up` starts.
    pub(super) fn of_the_developer(kind: Kind) -> Self {
        Self::within("run", kind)
    }

    /// The one of a test run.
    pub(super) fn of_the_tests(kind: Kind) -> Self {
        Self::within("run-test", kind)
    }

    /// The one that tests of the cluster tier use.
    pub(super) fn of_a_companion(kind: Kind) -> Self {
        Self::within("run-cluster", kind)
    }

    /// The one in this folder.
    pub(super) fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let kind = Kind::parse(name).with_context(|| format!("{} is not the folder of a run", folder.display()))?;
        Ok(Self { kind, folder: folder.to_owned() })
    }

    /// One of another command.
    pub(super) fn within(name: &str, kind: Kind) -> Self {
        Self { kind, folder: project::tools().join("airflow").join(name).join(kind.as_str()) }
    }

    /// Where everything of it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the shared server afresh. What is left of an earlier run is stopped and removed.
    pub(super) fn start(&self, interrupt: &Interrupt) -> anyhow::Result<Instance> {
        self.stop()?;
        project::remove(&self.folder)?;
        fs::create_dir_all(self.instances()).with_context(|| format!("cannot make {}", self.folder.display()))?;
        let main = Instance::start(self.instances().join(MAIN), &Options::of(self.kind), || interrupt.check())?;
        self.write_scripts()?;
        self.write_exports(&main)?;
        Ok(main)
    }

    /// Starts a further server, and returns its id too.
    pub(super) fn start_another(&self, words: &[String], interrupt: &Interrupt) -> anyhow::Result<(String, Instance)> {
        let options = Options::parse(words, self.kind)?;
        // As long as it is held, the end of the run waits.
        let _starting = Lock::share(&self.instances())?;
        let give_up = || {
            interrupt.check()?;
            if self.closed().exists() { bail!("the run has ended") } else { Ok(()) }
        };
        give_up()?;
        let (id, folder) = self.next_folder()?;
        Ok((id, Instance::start(folder, &options, give_up)?))
    }

    /// The shared server, if it runs.
    pub(super) fn main(&self) -> Option<Instance> {
        self.instance(MAIN).ok().filter(Instance::runs)
    }

    /// A server that was started.
    pub(super) fn instance(&self, id: &str) -> anyhow::Result<Instance> {
        Instance::find(&self.instances().join(id))
    }

    /// Stops all servers, also those that are just being started, and waits for their end. Returns how many ran.
    pub(super) fn stop(&self) -> anyhow::Result<usize> {
        if !self.instances().exists() {
            return Ok(0);
        }
        fs::write(self.closed(), "").context("cannot close the run")?;
        let _nobody_starts = Lock::take(&self.instances())?;
        let (mut stopped, mut first_error) = (0, Ok(()));
        for entry in fs::read_dir(self.instances()).context("cannot read what was started")? {
            match instance::stop(&entry?.path()) {
                Ok(ran) => stopped += usize::from(ran),
                // The others are stopped all the same.
                Err(error) => first_error = first_error.and(Err(error)),
            }
        }
        first_error.map(|()| stopped)
    }

    /// What tests have to know, as environment variables.
    pub(super) fn environment(&self, main: &Instance) -> Vec<(&'static str, OsString)> {
        vec![
            ("AIRFLOW_TIER_KIND", self.kind.as_str().into()),
            ("AIRFLOW_TIER_URL", main.url().into()),
            ("AIRFLOW_TIER_ADMIN", ADMIN.login().into()),
            ("AIRFLOW_TIER_VIEWER", VIEWER.login().into()),
            ("AIRFLOW_TIER_OP", OP.login().into()),
            ("AIRFLOW_TIER_HOME", main.home().into()),
            ("AIRFLOW_TIER_FERNET_KEY", FERNET_KEY.into()),
            ("AIRFLOW_TIER_CONTROL", self.control().into()),
        ]
    }

    /// The file that a shell can source.
    pub(super) fn exports(&self) -> PathBuf {
        self.folder.join("env")
    }

    fn instances(&self) -> PathBuf {
        self.folder.join("instances")
    }

    fn control(&self) -> PathBuf {
        self.folder.join("control")
    }

    fn closed(&self) -> PathBuf {
        self.folder.join("closed")
    }

    /// Makes the folder of a further server.
    fn next_folder(&self) -> anyhow::Result<(String, PathBuf)> {
        for number in 1_u32.. {
            let id = number.to_string();
            let folder = self.instances().join(&id);
            match fs::create_dir(&folder) {
                Ok(()) => return Ok((id, folder)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot make {}", folder.display())),
            }
        }
        bail!("there are too many servers")
    }

    fn write_scripts(&self) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("cannot find this program")?;
        fs::create_dir_all(self.control()).context("cannot make the scripts")?;
        for script in SCRIPTS {
            let command =
                format!("{} airflow control {} {script}", quoted(&program.to_string_lossy()), quoted(&self.folder.to_string_lossy()));
            let path = self.control().join(script);
            fs::write(&path, format!("#!/bin/sh\nexec {command} \"$@\"\n")).context("cannot write a script")?;
            fs::set_permissions(&path, Permissions::from_mode(0o755)).context("cannot make a script executable")?;
        }
        Ok(())
    }

    fn write_exports(&self, main: &Instance) -> anyhow::Result<()> {
        let lines = self.environment(main).into_iter().map(|(name, value)| format!("export {name}={}\n", quoted(&value.to_string_lossy())));
        fs::write(self.exports(), lines.collect::<String>()).context("cannot write what to export")
    }
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
