//! Real Helm, both versions that are in use.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::command::{self, Refusal};
use crate::{ControlPlane, Kubeconfig, Namespace};

/// A version of Helm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelmVersion {
    /// Applies on the client's side and merges three ways.
    V3,
    /// Applies on the server's side.
    V4,
}

/// A user's Helm in a namespace. What it keeps for itself is in a temporary folder.
#[derive(Debug)]
pub struct Helm {
    version: HelmVersion,
    program: PathBuf,
    namespace: String,
    kubeconfig: PathBuf,
    home: TempDir,
}

// === impl HelmVersion ===

impl HelmVersion {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V3, Self::V4];

    /// The name of its program.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V3 => "helm3",
            Self::V4 => "helm4",
        }
    }
}

// === impl Helm ===

impl Helm {
    /// The administrator's.
    #[must_use]
    pub fn new(version: HelmVersion, namespace: &Namespace) -> Self {
        Self::with(version, namespace, &namespace.plane().kubeconfig())
    }

    /// Somebody's.
    ///
    /// # Panics
    ///
    /// When there is no temporary folder.
    #[must_use]
    pub fn with(version: HelmVersion, namespace: &Namespace, kubeconfig: &Kubeconfig) -> Self {
        Self::within(version, namespace.plane(), namespace.name(), kubeconfig)
    }

    /// The administrator's, in a namespace that somebody else has made.
    ///
    /// # Panics
    ///
    /// When there is no temporary folder.
    #[must_use]
    pub fn on(version: HelmVersion, plane: &ControlPlane, namespace: &str) -> Self {
        Self::within(version, plane, namespace, &plane.kubeconfig())
    }

    fn within(version: HelmVersion, plane: &ControlPlane, namespace: &str, kubeconfig: &Kubeconfig) -> Self {
        let home = TempDir::new().unwrap();
        let kubeconfig = kubeconfig.write(&home);
        Self { version, program: plane.tool(version.as_str()), namespace: namespace.to_owned(), kubeconfig, home }
    }

    /// Runs it and returns what it wrote.
    ///
    /// # Errors
    ///
    /// When Helm ends with an error.
    pub async fn try_run(&self, arguments: &[&str]) -> Result<String, Refusal> {
        let mut command = Command::new(&self.program);
        command.env_clear().env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        for part in ["CACHE", "CONFIG", "DATA"] {
            command.env(format!("HELM_{part}_HOME"), self.home.path().join(part));
        }
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--namespace", &self.namespace]);
        command::run(command.args(arguments), None).await
    }

    /// Runs it and returns what it wrote.
    ///
    /// # Panics
    ///
    /// When Helm ends with an error.
    pub async fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).await.unwrap_or_else(|refusal| panic!("helm {arguments:?}: {}", refusal.message))
    }

    /// `helm list`: the releases in any status.
    pub async fn list(&self) -> Vec<Value> {
        let arguments: &[&str] = match self.version {
            HelmVersion::V3 => &["list", "--all", "--output", "json"],
            // Lists all by itself, and does not know the flag.
            HelmVersion::V4 => &["list", "--output", "json"],
        };
        array(&self.run(arguments).await)
    }

    /// `helm status`.
    pub async fn status(&self, release: &str) -> Value {
        json(&self.run(&["status", release, "--output", "json"]).await)
    }

    /// `helm history`, oldest first.
    pub async fn history(&self, release: &str) -> Vec<Value> {
        array(&self.run(&["history", release, "--output", "json"]).await)
    }

    /// `helm get values`: those that the user gave.
    pub async fn values(&self, release: &str) -> Value {
        json(&self.run(&["get", "values", release, "--output", "json"]).await)
    }

    /// `helm get manifest`.
    pub async fn manifest(&self, release: &str) -> String {
        self.run(&["get", "manifest", release]).await
    }
}

#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[track_caller]
fn array(text: &str) -> Vec<Value> {
    match json(text) {
        Value::Array(items) => items,
        other => panic!("not a list: {other}"),
    }
}
