//! The programs, built from the pinned modules in `xtask/tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use crate::interrupt::Interrupt;
use crate::{process, project};

/// One module and what is built from it.
struct Tool {
    /// The folder in `xtask/tools`.
    module: &'static str,
    /// Programs by name, and their packages.
    programs: &'static [(&'static str, &'static str)],
    /// Variables that the linker sets. Without its version, a program of Kubernetes or Helm stops at its start because it cannot parse it.
    variables: &'static [&'static str],
}

const TOOLS: [Tool; 5] = [
    Tool {
        module: "kubernetes",
        programs: &[
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ],
        variables: &[
            "k8s.io/component-base/version.gitVersion=v1.36.3",
            "k8s.io/component-base/version.gitMajor=1",
            "k8s.io/component-base/version.gitMinor=36",
            "k8s.io/component-base/version.gitTreeState=clean",
        ],
    },
    Tool { module: "etcd", programs: &[("etcd", "go.etcd.io/etcd/server/v3")], variables: &[] },
    Tool { module: "kwok", programs: &[("kwok", "sigs.k8s.io/kwok/cmd/kwok")], variables: &[] },
    Tool {
        module: "helm3",
        programs: &[("helm3", "helm.sh/helm/v3/cmd/helm")],
        variables: &["helm.sh/helm/v3/internal/version.version=v3.22.0"],
    },
    Tool {
        module: "helm4",
        programs: &[("helm4", "helm.sh/helm/v4/cmd/helm")],
        variables: &["helm.sh/helm/v4/internal/version.version=v4.3.1"],
    },
];

/// Where the built programs are.
pub(super) fn folder() -> PathBuf {
    project::tools().join("bin")
}

/// A built program.
pub(crate) fn program(name: &str) -> PathBuf {
    folder().join(name)
}

/// Builds what is not there yet, or was built from other pins.
#[expect(clippy::print_stdout, reason = "the developer reads it")]
pub(super) fn build(interrupt: &Interrupt) -> anyhow::Result<()> {
    fs::create_dir_all(folder()).context("cannot make .tools/bin")?;
    let mut stale = Vec::new();
    for tool in &TOOLS {
        let stamp = tool.stamp()?;
        if !tool.is_built(&stamp) {
            stale.push((tool, stamp));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    require_go()?;
    let count = stale.len();
    for (index, (tool, stamp)) in stale.into_iter().enumerate() {
        println!("[{}/{count}] {}: building", index + 1, tool.module);
        let begin = Instant::now();
        tool.build(interrupt)?;
        // Written last: without it the programs are built again.
        fs::write(tool.stamp_path(), stamp).context("cannot write a stamp")?;
        println!("[{}/{count}] {}: built after {} s", index + 1, tool.module, begin.elapsed().as_secs());
    }
    Ok(())
}

// === impl Tool ===

impl Tool {
    fn source(&self) -> PathBuf {
        project::root().join("xtask/tools").join(self.module)
    }

    fn stamp_path(&self) -> PathBuf {
        folder().join(format!("{}.stamp", self.module))
    }

    fn linker_flags(&self) -> String {
        // Without symbols and debug information: a third less to write and to load.
        self.variables.iter().fold("-s -w".to_owned(), |flags, variable| format!("{flags} -X {variable}"))
    }

    /// What the programs are built from.
    fn stamp(&self) -> anyhow::Result<String> {
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum"] {
            let path = self.source().join(file);
            hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        }
        hash.update(self.linker_flags());
        for (name, package) in self.programs {
            hash.update(format!("{name} {package}\n"));
        }
        Ok(project::hex(&hash.finalize()))
    }

    fn is_built(&self, stamp: &str) -> bool {
        let same = fs::read_to_string(self.stamp_path()).is_ok_and(|built| built == stamp);
        same && self.programs.iter().all(|(name, _)| program(name).exists())
    }

    fn build(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        for (name, package) in self.programs {
            let mut go = Command::new("go");
            go.current_dir(self.source()).env("CGO_ENABLED", "0");
            go.args(["build", "-trimpath", "-ldflags", &self.linker_flags(), "-o"]).arg(program(name)).arg(package);
            let status = process::run(&mut go, name, interrupt)?;
            if !status.success() {
                bail!("{name} does not build: `go build` ended with {status}");
            }
        }
        Ok(())
    }
}

/// Says what to do when there is no Go.
fn require_go() -> anyhow::Result<()> {
    let found = Command::new("go").arg("version").current_dir(Path::new("/")).stdout(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`go version` ended with {status}: mend the installation of Go"),
        Err(error) => {
            bail!(
                "cannot start `go` ({error}): install Go 1.26 or later and put it on the PATH; it builds the programs of the control plane"
            )
        }
    }
}
