//! The objects of a release, as Helm records them.

use std::cmp::Ordering;

use dbt_controller_domain::model::{ManifestHash, ReleaseKey};
use serde_json::{Value, json};

use crate::annotations::{CREATED_AT, HELM_RELEASE_NAME, HELM_RELEASE_NAMESPACE};
use crate::yaml::{self, YamlError};
use crate::{chart, json};

/// The order in which Helm installs kinds; others come after these, by name. Both Helms have it, the last two only Helm 4.
///
/// <https://github.com/helm/helm/blob/v4.3.1/pkg/release/v1/util/kind_sorter.go>
const INSTALL_ORDER: [&str; 38] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// The objects of a release, in the order in which they are installed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Manifest {
    objects: Vec<ManifestObject>,
}

/// One object: a JSON map in which `apiVersion`, `kind` and `metadata.name` are texts and not empty.
#[derive(Clone, PartialEq)]
pub(crate) struct ManifestObject {
    value: Value,
}

/// Why a text is no manifest. Says nothing of the text itself, which holds secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestError {
    /// It is no YAML.
    #[error("the manifest is no valid YAML{}", place(.0))]
    Yaml(Option<(u64, u64)>),
    /// A document is no object of Kubernetes.
    #[error("an object of the manifest has no `{0}`")]
    Incomplete(&'static str),
}

fn place(place: &Option<(u64, u64)>) -> String {
    place.map(|(line, column)| format!(" at line {line}, column {column}")).unwrap_or_default()
}

impl From<YamlError> for ManifestError {
    fn from(error: YamlError) -> Self {
        Self::Yaml(error.place)
    }
}

// === impl Manifest ===

impl Manifest {
    /// A manifest of these objects, in Helm's order of kinds and by name within a kind.
    pub(crate) fn new(mut objects: Vec<ManifestObject>) -> Self {
        objects.sort_by(|a, b| compare_kinds(a.kind(), b.kind()).then_with(|| a.name().cmp(b.name())));
        Self { objects }
    }

    /// The objects in the order in which they are installed; they are deleted in the reverse.
    pub(crate) fn objects(&self) -> &[ManifestObject] {
        &self.objects
    }

    /// The kinds of the objects, each once, in order.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = Vec::new();
        for object in &self.objects {
            if !kinds.iter().any(|kind| kind == object.kind()) {
                kinds.push(object.kind().to_owned());
            }
        }
        kinds
    }

    /// Reads the manifest that any release recorded. Lists of objects (`kind: List`, `ConfigMapList`, …) count as their items, as for
    /// Helm; the order is that of the text.
    pub(crate) fn from_text(text: &str) -> Result<Self, ManifestError> {
        let mut objects = Vec::new();
        for document in yaml::read(text)? {
            flatten(document, &mut objects)?;
        }
        Ok(Self { objects })
    }

    /// The text that is recorded, as `helm template` prints the chart with these values.
    pub(crate) fn to_text(&self) -> String {
        let documents = self.objects.iter().map(|object| format!("---\n# Source: {}\n{}", chart::SOURCE, yaml::write(&object.value)));
        documents.collect()
    }

    /// The objects as a list: `values.manifests`.
    pub(crate) fn to_values(&self) -> Value {
        self.objects.iter().map(|object| object.value.clone()).collect()
    }

    /// The hash by which two manifests are compared. When the release was made has no part in it: the same request asks for the same,
    /// whenever it comes.
    pub(crate) fn hash(&self) -> ManifestHash {
        let objects: Value = self.objects.iter().map(ManifestObject::without_age).collect();
        ManifestHash(json::digest(&objects))
    }
}

/// Helm's order of kinds.
fn compare_kinds(a: &str, b: &str) -> Ordering {
    let rank = |kind: &str| INSTALL_ORDER.iter().position(|known| *known == kind).unwrap_or(INSTALL_ORDER.len());
    rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
}

/// Adds a document's object, or the items of its list. Items of a typed list may leave out what the list tells.
fn flatten(document: Value, objects: &mut Vec<ManifestObject>) -> Result<(), ManifestError> {
    let kind = json::text_at(&document, &["kind"]).unwrap_or_default();
    let Some(item_kind) = kind.strip_suffix("List").map(str::to_owned) else {
        objects.push(ManifestObject::new(document)?);
        return Ok(());
    };
    let Value::Object(mut list) = document else { return Err(ManifestError::Incomplete("kind")) };
    let Some(Value::Array(items)) = list.remove("items") else {
        // A kind of somebody's own that happens to end so.
        objects.push(ManifestObject::new(Value::Object(list))?);
        return Ok(());
    };
    for mut item in items {
        if let Some(fields) = item.as_object_mut().filter(|_| !item_kind.is_empty()) {
            fields.entry("kind").or_insert_with(|| json!(item_kind));
            if let Some(version) = list.get("apiVersion") {
                fields.entry("apiVersion").or_insert_with(|| version.clone());
            }
        }
        flatten(item, objects)?;
    }
    Ok(())
}

// === impl ManifestObject ===

impl ManifestObject {
    /// An object of any kind.
    pub(crate) fn new(value: Value) -> Result<Self, ManifestError> {
        for (path, title) in [(&["apiVersion"][..], "apiVersion"), (&["kind"], "kind"), (&["metadata", "name"], "metadata.name")] {
            if json::text_at(&value, path).is_none_or(str::is_empty) {
                return Err(ManifestError::Incomplete(title));
            }
        }
        Ok(Self { value })
    }

    /// `apps/v1` and the like.
    pub(crate) fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// `StatefulSet` and the like.
    pub(crate) fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// The namespace that it names. None means that of the release, or that its kind has none.
    pub(crate) fn namespace(&self) -> Option<&str> {
        json::text_at(&self.value, &["metadata", "namespace"])
    }

    /// A label's value.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        json::text_at(&self.value, &["metadata", "labels", key])
    }

    /// `Kind/name`, as messages name it.
    pub(crate) fn title(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// The whole object.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// The object as it is applied: with the label and the annotations by which Helm knows its own. Helm adds them at each write, so
    /// they are in no manifest.
    pub(crate) fn owned(&self, release: &ReleaseKey) -> Value {
        let mut value = self.value.clone();
        let metadata = &mut value["metadata"];
        put(&mut metadata["labels"], "app.kubernetes.io/managed-by", "Helm");
        put(&mut metadata["annotations"], HELM_RELEASE_NAME, release.name.as_str());
        put(&mut metadata["annotations"], HELM_RELEASE_NAMESPACE, release.namespace.as_str());
        value
    }

    fn text(&self, path: &[&str]) -> &str {
        json::text_at(&self.value, path).unwrap_or_default()
    }

    fn without_age(&self) -> Value {
        let mut value = self.value.clone();
        if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(CREATED_AT);
        }
        value
    }
}

/// Sets a text in a map; whatever else stands in the map's place is no map that Kubernetes would take, and gives way.
fn put(map: &mut Value, key: &str, text: &str) {
    if !map.is_object() {
        *map = json!({});
    }
    map[key] = json!(text);
}

/// Its name and no more: objects hold secrets.
impl std::fmt::Debug for ManifestObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.title())
    }
}

#[cfg(test)]
mod tests;
