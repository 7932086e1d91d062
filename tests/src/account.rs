//! Somebody with few rights.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Kubeconfig, Kubectl, Namespace, until};

/// The rules of the Role that is shipped for the service.
///
/// # Panics
///
/// When kubectl cannot read it.
pub async fn shipped_rules(kubectl: &Kubectl) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/role.yaml");
    // kubectl reads YAML, so nobody else has to.
    let role = kubectl.run(&["create", "--dry-run=client", "--output", "json", "--filename", file.to_str().unwrap()]).await.unwrap();
    serde_json::from_str::<Value>(&role).unwrap()["rules"].take()
}

/// These rules but for those about a resource, which may be of several API groups.
///
/// # Panics
///
/// When no rule is about it alone.
#[must_use]
pub fn without(rules: &Value, resource: &str) -> Value {
    let (of_it, others): (Vec<Value>, Vec<Value>) =
        rules.as_array().unwrap().iter().cloned().partition(|rule| rule["resources"] == json!([resource]));
    assert!(!of_it.is_empty(), "no rule is about {resource} alone");
    Value::Array(others)
}

/// A ServiceAccount of a namespace with a Role of its own.
#[derive(Debug)]
pub struct Account {
    name: String,
    user: String,
    kubeconfig: Kubeconfig,
    file: PathBuf,
    kubectl: Kubectl,
    // Holds the file.
    _folder: TempDir,
}

impl Account {
    /// Makes one that may do this in its namespace: the `rules` of a Role.
    ///
    /// # Panics
    ///
    /// When the control plane refuses it.
    pub async fn create(namespace: &Namespace, name: &str, rules: &Value) -> Self {
        namespace.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})).await;
        let token = namespace.run(&["create", "token", name, "--duration", "2h"]).await.unwrap();
        let kubeconfig = namespace.plane().kubeconfig().with_token(token.trim()).with_namespace(namespace.name());
        let folder = TempDir::new().unwrap();
        let file = kubeconfig.write(&folder);
        let account = Self {
            name: name.to_owned(),
            user: format!("system:serviceaccount:{}:{name}", namespace.name()),
            kubectl: namespace.plane().kubectl_with(&file).in_namespace(namespace.name()),
            kubeconfig,
            file,
            _folder: folder,
        };
        account.allow(namespace, namespace, rules).await;
        account
    }

    /// Lets it do this in a namespace, which may be another one than its own. When it was allowed nothing there, the API server knows of it when this
    /// returns.
    ///
    /// # Panics
    ///
    /// When the control plane refuses it.
    pub async fn allow(&self, own: &Namespace, there: &Namespace, rules: &Value) {
        let (group, metadata) = ("rbac.authorization.k8s.io", json!({"name": self.name}));
        let version = format!("{group}/v1");
        there.apply(&json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules})).await;
        let binding = json!({
            "apiVersion": version,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": self.name},
            "subjects": [{"kind": "ServiceAccount", "name": self.name, "namespace": own.name()}],
        });
        there.apply(&binding).await;
        // A Role is known whole, so one of its rules tells of all.
        let Some(rule) = rules.as_array().and_then(|rules| rules.first()) else { return };
        let (resource, subresource) = split(rule["resources"][0].as_str().unwrap());
        let attributes = json!({
            "namespace": there.name(),
            "group": rule["apiGroups"][0],
            "resource": resource,
            "subresource": subresource,
            "verb": rule["verbs"][0],
        });
        until("the API server knows the Role", async || self.may(&attributes).await.then_some(())).await;
    }

    /// Whether it may do something. Asked without the discovery that `kubectl auth can-i` begins with.
    async fn may(&self, attributes: &Value) -> bool {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let answer = self.kubectl.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await.unwrap();
        answer["status"]["allowed"] == true
    }

    /// Its name as a user, as the audit log has it.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> Kubeconfig {
        self.kubeconfig.clone()
    }

    /// The file with its kubeconfig.
    #[must_use]
    pub fn kubeconfig_file(&self) -> &std::path::Path {
        &self.file
    }

    /// Its kubectl, in its namespace.
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }
}

/// The resource that a rule names, and the part of it.
fn split(resource: &str) -> (&str, &str) {
    resource.split_once('/').unwrap_or((resource, ""))
}
