//! A namespace for each test, so that tests can run side by side.

use std::ops::Deref;

use serde_json::json;
use uuid::Uuid;

use crate::wait::until;
use crate::{ControlPlane, Kubectl};

/// A fresh namespace. It is deleted when this is dropped; nobody waits for its end.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    kubectl: Kubectl,
    plane: ControlPlane,
}

impl Namespace {
    /// Makes one on the control plane that the environment names.
    ///
    /// # Panics
    ///
    /// When there is no control plane.
    pub async fn create() -> Self {
        let id = Uuid::new_v4().simple().to_string();
        Self::made(format!("test-{}", &id[..12])).await
    }

    /// The same with a name that others have had before: the last one of that name has to be gone first.
    ///
    /// # Panics
    ///
    /// When there is no control plane.
    pub async fn create_as(name: &str) -> Self {
        let admin = ControlPlane::find().kubectl();
        until("no namespace of that name is left", async || admin.find("namespace", name).await.is_none().then_some(())).await;
        Self::made(name.to_owned()).await
    }

    async fn made(name: String) -> Self {
        let plane = ControlPlane::find();
        // Whose it is: the name of a test's thread is the name of the test.
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let admin = plane.kubectl();
        let metadata = json!({"name": name, "annotations": {"dbt-controller-tests/test": test}});
        admin.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})).await;
        let kubectl = admin.in_namespace(&name);
        Self { name, kubectl, plane }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The control plane that it is on.
    #[must_use]
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }
}

/// The administrator's kubectl, in this namespace.
impl Deref for Namespace {
    type Target = Kubectl;

    fn deref(&self) -> &Kubectl {
        &self.kubectl
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let kubectl = |arguments: &[&str]| {
            let mut command = std::process::Command::new(self.plane.tool("kubectl"));
            command.env_clear().env("HOME", self.kubectl.kubeconfig().parent()?);
            command.arg("--kubeconfig").arg(self.kubectl.kubeconfig()).args(arguments).output().ok()
        };
        if std::thread::panicking()
            && let Some(output) = kubectl(&["get", "statefulsets,pods,persistentvolumeclaims,events", "--namespace", &self.name])
        {
            eprintln!("what is in the namespace {}:\n{}", self.name, String::from_utf8_lossy(&output.stdout));
        }
        // The whole control plane goes soon.
        let _ = kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
