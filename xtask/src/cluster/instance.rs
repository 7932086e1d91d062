//! One control plane: where it keeps its things, how it starts, and how it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::programs::{self, NAMES, Ports};
use super::{access, tools};
use crate::interrupt::Interrupt;
use crate::{port, process, project};

/// How long a start may take: far longer than it needs on a busy machine.
const START: Duration = Duration::from_secs(120);

/// How often is looked whether something is ready.
const POLL: Duration = Duration::from_millis(100);

/// A control plane, running or not.
#[derive(Debug)]
pub(super) struct Instance {
    folder: PathBuf,
}

/// What is there of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Everything runs and answers.
    Up,
    /// Nothing, or only a part.
    NotUp,
}

impl Instance {
    /// The one that `up` starts.
    pub(super) fn of_the_developer() -> Self {
        Self { folder: project::tools().join("run") }
    }

    /// One of another command, in this folder below `.tools`.
    pub(super) fn in_folder(name: &str) -> Self {
        Self { folder: project::tools().join(name) }
    }

    /// The one of a test run.
    pub(super) fn of_the_tests() -> Self {
        Self { folder: project::tools().join("run-test") }
    }

    /// Where everything of it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn state(&self) -> State {
        let all_run = NAMES.iter().all(|name| process::runs(&self.folder, name));
        if all_run && self.answers(&["get", "--raw", "/readyz"]) { State::Up } else { State::NotUp }
    }

    /// Starts it with nothing in it, and waits until it can be used. What is left of an earlier one is stopped and removed.
    pub(super) fn start(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        self.stop()?;
        project::remove(&self.folder)?;
        let started = self.start_programs(interrupt);
        if started.is_err() {
            // The first error is the one that tells something.
            let _ = self.stop();
        }
        started
    }

    /// Stops what runs of it, and waits for each. Returns how many programs that were.
    pub(super) fn stop(&self) -> anyhow::Result<usize> {
        let mut stopped = 0;
        for name in NAMES.iter().rev() {
            stopped += usize::from(process::stop(&self.folder, name, process::GRACE)?);
        }
        Ok(stopped)
    }

    /// What tests have to know, as environment variables.
    pub(super) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("CLUSTER_TIER_KUBECONFIG", self.folder.join("kubeconfig")),
            ("CLUSTER_TIER_TOOLS", tools::folder()),
            ("CLUSTER_TIER_AUDIT_LOG", self.folder.join("audit.log")),
        ]
    }

    /// What a shell has to export to use it.
    pub(super) fn exports(&self) -> anyhow::Result<String> {
        let file = self.folder.join("env");
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    fn start_programs(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        for part in ["logs", "certificates"] {
            let folder = self.folder.join(part);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        self.write_exports()?;
        let (folder, ports) = (&self.folder, free_ports()?);
        access::prepare(folder)?;
        process::start(&mut programs::etcd(folder, ports), folder, "etcd")?;
        process::start(&mut programs::apiserver(folder, ports), folder, "kube-apiserver")?;
        // The certificate's key is written last.
        self.wait("the apiserver has a certificate", interrupt, || folder.join("certificates/apiserver.key").exists())?;
        access::write_kubeconfigs(folder, &format!("https://127.0.0.1:{}", ports.apiserver))?;
        self.wait("the apiserver is ready", interrupt, || self.answers(&["get", "--raw", "/readyz"]))?;
        process::start(&mut programs::controller_manager(folder), folder, "kube-controller-manager")?;
        // It ends itself when its cache and the cluster differ, as after a restart of the API server, and counts on being started again.
        process::start(&mut process::kept(&programs::scheduler(folder)), folder, "kube-scheduler")?;
        process::start(&mut programs::kwok(folder, ports, &stages()?), folder, "kwok")?;
        let objects = programs::definitions().join("objects.yaml");
        self.wait("the node and the storage classes are made", interrupt, || self.answers(&["apply", "-f", &objects.to_string_lossy()]))?;
        self.wait("the node takes pods", interrupt, || self.node_takes_pods())?;
        self.wait("the default class of storage is there", interrupt, || self.answers(&["get", "storageclass", "kwok-volume"]))?;
        // The controller manager makes the account.
        self.wait("tokens can be made", interrupt, || self.answers(&["create", "token", "default", "--namespace", "default"]))
    }

    fn write_exports(&self) -> anyhow::Result<()> {
        let mut text = format!("export KUBECONFIG='{}'\n", self.folder.join("kubeconfig").display());
        text.push_str(&format!("export PATH='{}':\"$PATH\"\n", tools::folder().display()));
        for (name, value) in self.environment() {
            text.push_str(&format!("export {name}='{}'\n", value.display()));
        }
        fs::write(self.folder.join("env"), text).context("cannot write what to export")
    }

    /// Waits for a condition. Gives up when one of the programs that were started has ended.
    fn wait(&self, what: &str, interrupt: &Interrupt, condition: impl Fn() -> bool) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !condition() {
            interrupt.check()?;
            for name in NAMES.iter().filter(|name| process::was_started(&self.folder, name)) {
                if !process::runs(&self.folder, name) {
                    bail!("{name} has ended; the last lines of its log:\n{}", process::last_lines(&self.folder, name));
                }
            }
            if begin.elapsed() > START {
                bail!("waited {} s in vain until {what}; see the logs in {}", START.as_secs(), self.folder.join("logs").display());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Ready, and without the taint that a new node has until the controller manager has seen that it is ready.
    fn node_takes_pods(&self) -> bool {
        let shown = self.kubectl(&[
            "get",
            "nodes",
            "-o",
            "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}/{.items[*].spec.taints}",
        ]);
        shown.is_some_and(|text| text == "True/")
    }

    fn answers(&self, arguments: &[&str]) -> bool {
        self.kubectl(arguments).is_some()
    }

    /// What kubectl writes, if it succeeds.
    fn kubectl(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(tools::program("kubectl"));
        command.arg("--kubeconfig").arg(self.folder.join("kubeconfig")).args(["--request-timeout", "5s"]).args(arguments);
        command.env_clear().env("HOME", &self.folder).stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Ports that nobody listens on.
fn free_ports() -> anyhow::Result<Ports> {
    let [etcd, etcd_peers, apiserver, kwok] = port::free()?;
    Ok(Ports { etcd, etcd_peers, apiserver, kwok })
}

/// The files that say what kwok plays, in a fixed order.
fn stages() -> anyhow::Result<Vec<PathBuf>> {
    let folder = programs::definitions().join("kwok");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}
