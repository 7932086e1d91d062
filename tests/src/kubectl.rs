//! kubectl, with JSON in and out.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::command::{self, Refusal};
use crate::wait::until;

/// Somebody's kubectl, perhaps in a namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: Option<String>,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: &Path) -> Self {
        Self { program, kubeconfig: kubeconfig.to_owned(), namespace: None }
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The same in a namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// Runs it and returns what it wrote.
    ///
    /// # Errors
    ///
    /// When kubectl ends with an error.
    pub async fn run(&self, arguments: &[&str]) -> Result<String, Refusal> {
        self.run_with(arguments, None).await
    }

    /// Makes or changes an object, and returns it.
    ///
    /// # Errors
    ///
    /// When kubectl ends with an error.
    pub async fn try_apply(&self, object: &Value) -> Result<Value, Refusal> {
        let shown = self.run_with(&["apply", "-f", "-", "-o", "json"], Some(&object.to_string())).await?;
        Ok(serde_json::from_str(&shown).unwrap())
    }

    /// Makes or changes an object, and returns it.
    ///
    /// # Panics
    ///
    /// When kubectl ends with an error.
    pub async fn apply(&self, object: &Value) -> Value {
        self.try_apply(object).await.unwrap()
    }

    /// Posts an object to a path of the API, and returns the answer. Makes no other request.
    ///
    /// # Errors
    ///
    /// When kubectl ends with an error.
    pub async fn post(&self, path: &str, object: &Value) -> Result<Value, Refusal> {
        let shown = self.run_with(&["create", "--raw", path, "-f", "-"], Some(&object.to_string())).await?;
        Ok(serde_json::from_str(&shown).unwrap())
    }

    /// An object.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub async fn get(&self, kind: &str, name: &str) -> Value {
        self.find(kind, name).await.unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// An object, if it is there.
    ///
    /// # Panics
    ///
    /// When kubectl ends with an error.
    pub async fn find(&self, kind: &str, name: &str) -> Option<Value> {
        let shown = self.run(&["get", kind, name, "--ignore-not-found", "-o", "json"]).await.unwrap();
        (!shown.is_empty()).then(|| serde_json::from_str(&shown).unwrap())
    }

    /// The objects of a kind that have these labels (`a=b,c=d`; empty for all).
    ///
    /// # Panics
    ///
    /// When kubectl ends with an error.
    pub async fn list(&self, kind: &str, labels: &str) -> Vec<Value> {
        let shown = self.run(&["get", kind, "-l", labels, "-o", "json"]).await.unwrap();
        let mut list: Value = serde_json::from_str(&shown).unwrap();
        list["items"].as_array_mut().map(std::mem::take).unwrap()
    }

    /// The events about an object, as `reason: message`.
    ///
    /// # Panics
    ///
    /// When kubectl ends with an error.
    pub async fn events(&self, kind: &str, name: &str) -> Vec<String> {
        let selector = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let shown = self.run(&["get", "events", "--field-selector", &selector, "-o", "json"]).await.unwrap();
        let list: Value = serde_json::from_str(&shown).unwrap();
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        list["items"].as_array().unwrap().iter().map(|event| format!("{}: {}", text(event, "reason"), text(event, "message"))).collect()
    }

    /// Changes an object by a merge patch, and returns it.
    ///
    /// # Errors
    ///
    /// When kubectl ends with an error.
    pub async fn try_patch(&self, kind: &str, name: &str, patch: &Value) -> Result<Value, Refusal> {
        let shown = self.run(&["patch", kind, name, "--type", "merge", "-p", &patch.to_string(), "-o", "json"]).await?;
        Ok(serde_json::from_str(&shown).unwrap())
    }

    /// Changes an object by a merge patch, and returns it.
    ///
    /// # Panics
    ///
    /// When kubectl ends with an error.
    pub async fn patch(&self, kind: &str, name: &str, patch: &Value) -> Value {
        self.try_patch(kind, name, patch).await.unwrap()
    }

    /// Deletes an object, if it is there, and waits until it is gone.
    ///
    /// # Panics
    ///
    /// When kubectl ends with an error.
    pub async fn delete(&self, kind: &str, name: &str) {
        self.run(&["delete", kind, name, "--ignore-not-found"]).await.unwrap();
    }

    /// Waits until an object is there and a condition gives a value for it.
    ///
    /// # Panics
    ///
    /// When that takes longer than [`DEADLINE`](crate::DEADLINE).
    pub async fn until<T>(&self, kind: &str, name: &str, what: &str, condition: impl Fn(&Value) -> Option<T>) -> T {
        let what = format!("{kind} {name}: {what}");
        until(&what, async || self.find(kind, name).await.as_ref().and_then(&condition)).await
    }

    /// Waits until all replicas of a StatefulSet are ready and of its latest revision.
    ///
    /// # Panics
    ///
    /// When that takes longer than [`DEADLINE`](crate::DEADLINE).
    pub async fn until_ready(&self, name: &str) -> Value {
        self.until("statefulset", name, "ready", |set| {
            let (status, replicas) = (&set["status"], &set["spec"]["replicas"]);
            let all = status["readyReplicas"] == *replicas && status["updatedReplicas"] == *replicas;
            let seen = status["observedGeneration"] == set["metadata"]["generation"];
            (all && seen && status["currentRevision"] == status["updateRevision"]).then(|| set.clone())
        })
        .await
    }

    async fn run_with(&self, arguments: &[&str], input: Option<&str>) -> Result<String, Refusal> {
        let mut command = Command::new(&self.program);
        // kubectl keeps what it learns about a control plane in the home; not in the caller's, nor in this project.
        command.env_clear().env("HOME", std::env::temp_dir());
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        command::run(command.args(arguments), input).await
    }
}
