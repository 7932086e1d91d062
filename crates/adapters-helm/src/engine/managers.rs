//! Who owns which fields of an object (`metadata.managedFields`).
//!
//! Helm 3 and the replaced service wrote objects by `Update`. A field that such an entry owns stays when a later apply leaves it out,
//! because the apply only gives up what the manager's own `Apply` entry owns. So those entries are first merged into that one, as
//! client-go's package [csaupgrade] does it for kubectl and Helm 4.
//!
//! [csaupgrade]: https://github.com/kubernetes/client-go/blob/v0.36.3/util/csaupgrade/upgrade.go

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::Value;

use crate::json;

/// Both Helms' name for themselves, and therefore ours: one manager, whoever of us wrote last.
pub(super) const HELM: &str = "helm";
/// Whom the API server makes the owner of what an object had before its first apply, when nobody was recorded.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

const APPLY: &str = "Apply";
const UPDATE: &str = "Update";

/// Whether an entry is of the object itself and by this manager and way of writing.
fn is(entry: &ManagedFieldsEntry, manager: &str, operation: &str) -> bool {
    entry.manager.as_deref() == Some(manager)
        && entry.operation.as_deref() == Some(operation)
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

fn is_to_merge(entry: &ManagedFieldsEntry) -> bool {
    is(entry, HELM, UPDATE) || is(entry, BEFORE_FIRST_APPLY, UPDATE)
}

/// Whether an apply would leave behind fields that Helm wrote otherwise.
pub(super) fn need_merge(entries: &[ManagedFieldsEntry]) -> bool {
    entries.iter().any(is_to_merge)
}

/// Whether anything but Helm's applies has written the object, its status aside. It has not when the apply has just made it.
pub(super) fn have_others(entries: &[ManagedFieldsEntry]) -> bool {
    entries.iter().any(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty() && !is(entry, HELM, APPLY))
}

/// What Helm's apply owns, in short: equal texts, equal fields, last changed by the same apply. None when nothing.
///
/// Whoever changes or removes a field takes it away from the `Apply` entry, and the API server stamps the entry when an apply changes
/// anything. So an apply that would leave this as it is would change nothing.
pub(super) fn applied(entries: &[ManagedFieldsEntry]) -> Option<String> {
    let entry = entries.iter().find(|entry| is(entry, HELM, APPLY))?;
    let fields = entry.fields_v1.as_ref().map_or_else(String::new, |fields| json::digest(&fields.0));
    let time = entry.time.as_ref().map(|time| time.0.to_string()).unwrap_or_default();
    Some(format!("{fields} {time}"))
}

/// The entries with those of Helm's updates merged into that of its applies.
pub(super) fn merged(entries: &[ManagedFieldsEntry]) -> Vec<ManagedFieldsEntry> {
    let (to_merge, mut kept): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(is_to_merge);
    let Some(first) = to_merge.first() else { return kept };
    let target = match kept.iter_mut().find(|entry| is(entry, HELM, APPLY)) {
        Some(target) => target,
        None => {
            let target =
                ManagedFieldsEntry { manager: Some(HELM.to_owned()), operation: Some(APPLY.to_owned()), fields_v1: None, ..first.clone() };
            kept.push(target);
            // It was just put there.
            let last = kept.len() - 1;
            &mut kept[last]
        }
    };
    // The field paths of another version of the API may mean something else; csaupgrade leaves those out, too.
    let version = target.api_version.clone();
    for entry in to_merge.into_iter().filter(|entry| entry.api_version == version) {
        if let Some(FieldsV1(fields)) = entry.fields_v1 {
            unite(&mut target.fields_v1.get_or_insert_with(|| FieldsV1(Value::Object(serde_json::Map::new()))).0, fields);
        }
    }
    kept
}

/// Field sets are tries written as maps: their union is the union of the maps, all the way down.
fn unite(into: &mut Value, other: Value) {
    if let (Value::Object(into), Value::Object(other)) = (into, other) {
        for (path, fields) in other {
            match into.get_mut(&path) {
                Some(known) => unite(known, fields),
                None => {
                    into.insert(path, fields);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, api_version: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            api_version: Some(api_version.to_owned()),
            fields_type: Some("FieldsV1".to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    fn fields(entry: &ManagedFieldsEntry) -> &Value {
        &entry.fields_v1.as_ref().unwrap().0
    }

    #[test]
    fn an_update_becomes_an_apply() {
        let entries = [entry("helm", "Update", "v1", json!({"f:a": {}})), entry("kubectl", "Update", "v1", json!({"f:b": {}}))];
        assert!(need_merge(&entries));
        let merged = merged(&entries);
        assert!(!need_merge(&merged));
        assert_eq!(merged.len(), 2);
        let helm = merged.iter().find(|entry| is(entry, HELM, APPLY)).unwrap();
        assert_eq!(*fields(helm), json!({"f:a": {}}));
    }

    #[test]
    fn an_update_beside_an_apply_is_united_with_it() {
        let entries = [
            entry("helm", "Apply", "v1", json!({"f:data": {".": {}, "f:a": {}}})),
            entry("helm", "Update", "v1", json!({"f:data": {"f:b": {}}, "f:type": {}})),
            entry("before-first-apply", "Update", "v1", json!({"f:data": {"f:c": {}}})),
            entry("helm", "Update", "v1beta1", json!({"f:old": {}})),
        ];
        let merged = merged(&entries);
        assert_eq!(merged.len(), 1);
        assert_eq!(*fields(&merged[0]), json!({"f:data": {".": {}, "f:a": {}, "f:b": {}, "f:c": {}}, "f:type": {}}));
    }

    #[test]
    fn the_status_of_an_object_is_somebody_elses() {
        let mut status = entry("helm", "Update", "v1", json!({"f:status": {}}));
        status.subresource = Some("status".to_owned());
        assert!(!need_merge(std::slice::from_ref(&status)));
        assert_eq!(merged(std::slice::from_ref(&status)), [status]);
    }
}
