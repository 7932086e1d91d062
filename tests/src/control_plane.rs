//! The control plane that `cargo xtask cluster` started.

use std::path::{Path, PathBuf};

use crate::{Kubeconfig, Kubectl};

/// A running control plane.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    kubeconfig: PathBuf,
    tools: PathBuf,
    audit_log: PathBuf,
}

impl ControlPlane {
    /// The one that the environment names. Deliberately not by `KUBECONFIG`: that may be a cluster that somebody needs.
    ///
    /// # Panics
    ///
    /// When the environment names none.
    #[must_use]
    pub fn find() -> Self {
        let [kubeconfig, tools, audit_log] =
            ["CLUSTER_TIER_KUBECONFIG", "CLUSTER_TIER_TOOLS", "CLUSTER_TIER_AUDIT_LOG"].map(path_from_environment);
        assert!(kubeconfig.exists(), "there is no {}: is the control plane up? `cargo xtask cluster up` starts one", kubeconfig.display());
        Self { kubeconfig, tools, audit_log }
    }

    /// A program that was built for it, such as `kubectl` or `helm4`.
    #[must_use]
    pub fn tool(&self, name: &str) -> PathBuf {
        self.tools.join(name)
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> Kubeconfig {
        Kubeconfig::read(&self.kubeconfig)
    }

    /// The administrator's kubectl.
    #[must_use]
    pub fn kubectl(&self) -> Kubectl {
        self.kubectl_with(&self.kubeconfig)
    }

    /// A kubectl with another kubeconfig.
    #[must_use]
    pub fn kubectl_with(&self, kubeconfig: &Path) -> Kubectl {
        Kubectl::new(self.tool("kubectl"), kubeconfig)
    }

    pub(crate) fn audit_log(&self) -> &Path {
        &self.audit_log
    }
}

/// A path that `cargo xtask cluster` hands over.
#[expect(clippy::disallowed_methods, reason = "the tests have no settings but these")]
pub(crate) fn path_from_environment(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(path) if !path.is_empty() => path.into(),
        _ => panic!("{name} is not set: run these tests by `cargo xtask cluster test`, or see xtask/cluster/README.md"),
    }
}
