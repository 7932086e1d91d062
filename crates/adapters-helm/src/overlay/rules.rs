//! What an overlay must not change, and why.

use serde_json::Value;

use crate::annotations::{CHECKSUM_CONFIG, CHECKSUM_SECRET, PREFIX};
use crate::json;
use crate::objects::{OWN_LABELS, is_own_secret_key};

/// The kinds that we make.
pub(super) const KINDS: [&str; 8] =
    ["ServiceAccount", "Secret", "ConfigMap", "Service", "StatefulSet", "Ingress", "IngressRoute", "HTTPRoute"];

const ANY: &str = "";

/// Kind, path and reason of every field that is refused wherever it has a value. `[]` is each item of a list.
const REFUSED: &[(&str, &str, &str)] = &[
    (ANY, "status", "the cluster writes it"),
    ("Secret", "type", "it can never change"),
    ("Secret", "immutable", "a later POST has to change the object"),
    ("Secret", "stringData", "an apply cannot take it back; use `data`, in base64"),
    ("ConfigMap", "immutable", "a later POST has to change the object"),
    ("Service", "spec.selector", "it is what keeps the traffic of servers apart"),
    ("Service", "spec.clusterIP", "servers cannot share an address"),
    ("Service", "spec.clusterIPs", "servers cannot share an address"),
    ("StatefulSet", "spec.selector", "it can never change"),
    ("StatefulSet", "spec.serviceName", "it can never change"),
    ("StatefulSet", "spec.podManagementPolicy", "it can never change, and there is one pod"),
    ("StatefulSet", "spec.replicas", "the controller puts servers to sleep and wakes them"),
    ("StatefulSet", "spec.ordinals", "the name of the claim depends on it"),
    ("StatefulSet", "spec.updateStrategy", "a deployment waits for the new pod"),
    ("StatefulSet", "spec.persistentVolumeClaimRetentionPolicy", "the controller deletes claims, and only when a deployment is deleted"),
    ("StatefulSet", "spec.volumeClaimTemplates[].spec.accessModes", "the claim is of one pod"),
    ("StatefulSet", "spec.volumeClaimTemplates[].spec.resources", "the size comes from the request"),
    ("StatefulSet", "spec.volumeClaimTemplates[].status", "the cluster writes it"),
    ("Ingress", "spec.rules", "the host is the server's own"),
    ("Ingress", "spec.defaultBackend", "it would take the traffic of all hosts"),
    ("IngressRoute", "spec.routes[].match", "the host is the server's own"),
    ("IngressRoute", "spec.routes[].kind", "there is only `Rule`"),
    ("IngressRoute", "spec.routes[].services", "it points at the server"),
    ("HTTPRoute", "spec.hostnames", "the host is the server's own"),
    ("HTTPRoute", "spec.rules[].backendRefs", "it points at the server"),
];

/// Lists of which we make one item, to be merged with the one item given.
const SINGLE: &[(&str, &[&str])] =
    &[("StatefulSet", &["spec", "volumeClaimTemplates"]), ("IngressRoute", &["spec", "routes"]), ("HTTPRoute", &["spec", "rules"])];

/// Where objects of a kind have metadata.
const METADATA: &[(&str, &str)] =
    &[(ANY, "metadata"), ("StatefulSet", "spec.template.metadata"), ("StatefulSet", "spec.volumeClaimTemplates[].metadata")];

/// Everything in a document that is refused.
pub(super) fn check(document: &Value) -> Vec<String> {
    let kind = json::text_at(document, &["kind"]).unwrap_or_default();
    let of_kind = |other: &str| other == ANY || other == kind;
    let mut faults = Vec::new();
    for (_, path, why) in REFUSED.iter().filter(|(other, ..)| of_kind(other)) {
        faults.extend(find(document, path).into_iter().map(|(path, _)| format!("`{path}` cannot be changed: {why}")));
    }
    for (_, path) in SINGLE.iter().filter(|(other, _)| of_kind(other)) {
        if json::items_at(document, path).len() > 1 {
            faults.push(format!("`{}` can have one item only, which is merged with ours", path.join(".")));
        }
    }
    for (_, path) in METADATA.iter().filter(|(other, _)| of_kind(other)) {
        find(document, path).iter().for_each(|(path, metadata)| check_metadata(path, metadata, &mut faults));
    }
    if kind == "Secret" {
        let own = keys(json::at(document, &["data"])).filter(|key| is_own_secret_key(key));
        faults.extend(own.map(|key| format!("`data.{key}` cannot be changed: it comes from the request")));
    }
    faults
}

fn check_metadata(path: &str, metadata: &Value, faults: &mut Vec<String>) {
    let others = keys(Some(metadata)).filter(|key| !["labels", "annotations"].contains(key));
    faults.extend(others.map(|key| format!("`{path}.{key}` cannot be changed: of metadata only labels and annotations can")));
    let is_own_label = |key: &&str| OWN_LABELS.contains(key) || key.starts_with("helm.sh/");
    let is_own_annotation = |key: &&str| {
        [PREFIX, "helm.sh/", "meta.helm.sh/"].iter().any(|prefix| key.starts_with(prefix))
            || [CHECKSUM_SECRET, CHECKSUM_CONFIG].contains(key)
    };
    let labels = keys(metadata.get("labels")).filter(is_own_label).map(|key| ("labels", key));
    let annotations = keys(metadata.get("annotations")).filter(is_own_annotation).map(|key| ("annotations", key));
    let why = "the controller and Helm know their objects by it";
    faults.extend(labels.chain(annotations).map(|(map, key)| format!("`{path}.{map}` cannot have `{key}`: {why}")));
}

fn keys(map: Option<&Value>) -> impl Iterator<Item = &str> {
    map.and_then(Value::as_object).into_iter().flat_map(|map| map.keys().map(String::as_str))
}

/// The values at a path, with their exact places.
fn find<'a>(document: &'a Value, path: &str) -> Vec<(String, &'a Value)> {
    path.split('.').fold(vec![(String::new(), document)], |found, step| {
        let (key, is_list) = step.strip_suffix("[]").map_or((step, false), |key| (key, true));
        found.into_iter().flat_map(|(place, value)| follow(&place, value, key, is_list)).collect()
    })
}

fn follow<'a>(place: &str, value: &'a Value, key: &str, is_list: bool) -> Vec<(String, &'a Value)> {
    let Some(value) = value.get(key) else { return Vec::new() };
    let place = if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match value.as_array().filter(|_| is_list) {
        Some(items) => items.iter().enumerate().map(|(index, item)| (format!("{place}[{index}]"), item)).collect(),
        None if is_list => Vec::new(),
        None => vec![(place, value)],
    }
}
