//! One Airflow that runs: its home, its server, and how both are used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::kind::Kind;
use super::options::Options;
use super::probe::Probe;
use super::{prepared, settings};
use crate::{port, process};

/// The name of its log.
const SERVER: &str = "server";

/// How long a start may take: far longer than it needs on a busy machine.
const START: Duration = Duration::from_secs(120);

/// How long a server may take to end by itself. It closes its port at once, and then tidies up for seconds; SQLite needs no farewell.
const GRACE: Duration = Duration::from_secs(1);

/// How often is looked whether it is ready.
const POLL: Duration = Duration::from_millis(50);

/// An Airflow in a folder, which holds all that it writes.
#[derive(Debug)]
pub(super) struct Instance {
    folder: PathBuf,
    description: Description,
}

/// What has to be known of it to use it.
#[derive(Debug, Clone)]
struct Description {
    kind: Kind,
    home: PathBuf,
    url: String,
    /// What it was told beside the settings of all.
    variables: settings::Variables,
}

/// A program of an Airflow.
pub(super) fn program(kind: Kind, name: &str) -> PathBuf {
    kind.folder().join("venv/bin").join(name)
}

impl Instance {
    /// Starts one in this folder and waits until it is ready, unless a reason to give up comes first.
    pub(super) fn start(folder: PathBuf, options: &Options, give_up: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let kind = options.kind;
        let logs = folder.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let home = match &options.home {
            Some(home) => home.clone(),
            None => {
                let home = folder.join("home");
                prepared::copy(kind, &home)?;
                home
            }
        };
        let port = match options.port {
            // Else the other server's answer would be taken for ours.
            Some(port) if !port::is_free(port) => bail!("somebody listens on port {port}"),
            Some(port) => port,
            None => port::free::<1>()?[0],
        };
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}{}", options.base_path);
        let mut variables = vec![settings::base_url(kind, &url)];
        variables.extend(options.variables.iter().cloned());
        let instance = Self { folder, description: Description { kind, home, url, variables } };
        instance.write_description()?;
        // Python ends by signal 11 once in a while under parallel calls to a database in SQLite (seen with 3.3.2, in libpython).
        let mut command = process::kept(instance.command("airflow").args(server(options, port)));
        process::start(&mut command, &instance.folder, SERVER)?;
        let ready = instance.wait(give_up);
        if ready.is_err() {
            // The first error is the one that tells something.
            let _ = instance.stop();
        }
        ready.map(|()| instance)
    }

    /// The one that was started in this folder.
    pub(super) fn find(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("instance.json");
        let text = fs::read_to_string(&path).with_context(|| format!("there is no such Airflow: cannot read {}", path.display()))?;
        let description = serde_json::from_str(&text).ok().and_then(|value| Description::from_json(&value));
        let description = description.with_context(|| format!("{} does not describe an Airflow", path.display()))?;
        Ok(Self { folder: folder.to_owned(), description })
    }

    /// Its address, without a slash at the end.
    pub(super) fn url(&self) -> &str {
        &self.description.url
    }

    /// Its `AIRFLOW_HOME`.
    pub(super) fn home(&self) -> &Path {
        &self.description.home
    }

    /// Whether its server runs.
    pub(super) fn runs(&self) -> bool {
        process::runs(&self.folder, SERVER)
    }

    /// A program of it, which is told what its server is told.
    pub(super) fn command(&self, name: &str) -> Command {
        let Description { kind, home, variables, .. } = &self.description;
        let mut command = Command::new(program(*kind, name));
        command.env_clear().env("HOME", home).envs(settings::variables(*kind, home)).envs(variables.iter().cloned());
        command
    }

    /// Stops its server, and waits for its end. False if it did not run.
    pub(super) fn stop(&self) -> anyhow::Result<bool> {
        stop(&self.folder)
    }

    fn wait(&self, give_up: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (begin, Description { kind, url, .. }) = (Instant::now(), &self.description);
        let mut probe = Probe::start(*kind, url)?;
        while !probe.has_succeeded()? {
            give_up()?;
            if !self.runs() {
                bail!("the server has ended; the last lines of its log:\n{}", process::last_lines(&self.folder, SERVER));
            }
            if begin.elapsed() > START {
                bail!("waited {} s in vain for {url}; see the log in {}", START.as_secs(), self.folder.join("logs").display());
            }
            std::thread::sleep(POLL);
        }
        // Else another one has answered, which took the port first.
        if !self.runs() {
            bail!("the server has ended; the last lines of its log:\n{}", process::last_lines(&self.folder, SERVER));
        }
        Ok(())
    }

    fn write_description(&self) -> anyhow::Result<()> {
        let path = self.folder.join("instance.json");
        fs::write(&path, format!("{:#}\n", self.description.to_json())).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Stops what runs in a folder, also if its start was cut short.
pub(super) fn stop(folder: &Path) -> anyhow::Result<bool> {
    process::stop(folder, SERVER, GRACE)
}

/// How the server is started.
fn server(options: &Options, port: u16) -> Vec<String> {
    let (host, rest): (_, &[&str]) = match options.kind {
        Kind::Two => (["webserver", "--hostname", "127.0.0.1"], &[]),
        // Without the execution API, which tasks use.
        Kind::Three | Kind::ThreeFab => (["api-server", "--host", "127.0.0.1"], &["--apps", "core"]),
    };
    let mut arguments: Vec<String> = host.iter().chain(rest).copied().map(str::to_owned).collect();
    arguments.extend(["--workers".to_owned(), "1".to_owned(), "--port".to_owned(), port.to_string()]);
    if let Some((certificate, key)) = &options.tls {
        for (flag, path) in [("--ssl-cert", certificate), ("--ssl-key", key)] {
            arguments.extend([flag.to_owned(), path.display().to_string()]);
        }
    }
    arguments
}

// === impl Description ===

impl Description {
    fn to_json(&self) -> Value {
        let Self { kind, home, url, variables } = self;
        json!({"kind": kind.as_str(), "home": home, "url": url, "variables": variables})
    }

    fn from_json(value: &Value) -> Option<Self> {
        let variable = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
        Some(Self {
            kind: Kind::parse(value["kind"].as_str()?)?,
            home: value["home"].as_str()?.into(),
            url: value["url"].as_str()?.to_owned(),
            variables: value["variables"].as_array()?.iter().map(variable).collect::<Option<_>>()?,
        })
    }
}
