//! Names, labels and annotations: what tells whose an object is.

use std::collections::BTreeMap;

use dbt_controller_kube_access::{SERVER_LABEL, identity_annotations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Source;
use crate::annotations;

/// The label that the Service and the `StatefulSet` select by: the release's name. The replaced service selected by the project, so two
/// branches of one project served each other's traffic.
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// The labels that no overlay may touch: those that we write and Helm's.
pub(crate) const OWN_LABELS: [&str; 7] = [
    SERVER_LABEL.0,
    "dbt-project",
    "dbt-branch",
    "app.kubernetes.io/name",
    INSTANCE_LABEL,
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
];

impl Source<'_> {
    /// The metadata of an object of this name.
    pub(super) fn metadata(&self, name: impl Into<String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.into()),
            namespace: Some(self.desired.key.namespace.to_string()),
            labels: Some(self.labels()),
            annotations: Some(self.annotations()),
            ..ObjectMeta::default()
        }
    }

    /// The metadata of the claim template. It can never change, so it holds nothing that can: no connection, no request.
    pub(super) fn claim_metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.server().to_string()),
            labels: Some(self.labels()),
            annotations: Some(identity_annotations(&self.desired.request.identity)),
            ..ObjectMeta::default()
        }
    }

    /// Labels follow from identity and release, so they are the same for the life of a server.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let identity = &self.desired.request.identity;
        let mut labels = self.selector();
        let mut add = |key: &str, value: &str| labels.insert(key.to_owned(), value.to_owned());
        add(SERVER_LABEL.0, SERVER_LABEL.1);
        add("app.kubernetes.io/name", "dbt-server");
        add("dbt-project", identity.project_label().as_str());
        if let Some(branch) = identity.branch_label() {
            add("dbt-branch", branch.as_str());
        }
        labels
    }

    /// What tells the pods of this release from all others.
    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(INSTANCE_LABEL.to_owned(), self.desired.key.name.to_string())])
    }

    /// Without the request's hash, which the record holds: it covers the password, and whoever may read objects but no Secrets could try
    /// short ones against it.
    fn annotations(&self) -> BTreeMap<String, String> {
        let request = &self.desired.request;
        let mut annotations = identity_annotations(&request.identity);
        annotations.insert(annotations::CREATED_AT.to_owned(), self.created_at.to_string());
        if let Some(connection) = &self.desired.connection_id {
            annotations.insert(annotations::CONNECTION.to_owned(), connection.to_string());
        }
        annotations
    }
}
