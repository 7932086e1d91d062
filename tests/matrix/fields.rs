//! Whether an object is as a manifest says.

use serde_json::{Map, Value};

/// Who owns the fields that a manifest has set.
const MANAGER: &str = "helm";
/// What Helm marks an object with as its own; no manifest says it.
const MARKS: [&str; 3] = ["meta.helm.sh/release-name", "meta.helm.sh/release-namespace", "app.kubernetes.io/managed-by"];

/// The first field of a manifest's object that is otherwise in the live one, or that is not in the manifest and still belongs to Helm there.
/// What others have set is theirs: the API server's defaults, and `spec.replicas`.
pub(crate) fn odd(wanted: &Value, live: &Value) -> Option<String> {
    missing(wanted, live, "").or_else(|| {
        let owned = live["metadata"]["managedFields"].as_array().into_iter().flatten().filter(|entry| entry["manager"] == MANAGER);
        owned.into_iter().find_map(|entry| surplus(&entry["fieldsV1"], wanted, ""))
    })
}

/// The first field that is not as wanted. A list is as wanted item by item, with none more.
fn missing(wanted: &Value, live: &Value, path: &str) -> Option<String> {
    let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    match (wanted, live) {
        (Value::Null, _) => None,
        (wanted, Value::Null) if is_empty(wanted) => None,
        (Value::Object(wanted), Value::Object(live)) => {
            wanted.iter().find_map(|(key, wanted)| missing(wanted, live.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}")))
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => {
            let mut pairs = wanted.iter().zip(live).enumerate();
            pairs.find_map(|(index, (wanted, live))| missing(wanted, live, &format!("{path}[{index}]")))
        }
        (wanted, live) if wanted == live => None,
        (wanted, live) => Some(format!("{path} is {live}, not {wanted}")),
    }
}

/// The first owned field that is not wanted. Items of lists have been counted.
fn surplus(owned: &Value, wanted: &Value, path: &str) -> Option<String> {
    owned.as_object().into_iter().flatten().find_map(|(key, inner)| {
        let name = key.strip_prefix("f:")?;
        let path = format!("{path}.{name}");
        match wanted.get(name) {
            None if MARKS.contains(&name) || has_only_marks(inner) => None,
            None | Some(Value::Null) => Some(format!("{path} is still Helm's")),
            Some(wanted) => surplus(inner, wanted, &path),
        }
    })
}

/// Whether Helm's marks are all that is owned in here: annotations of which the manifest has none.
fn has_only_marks(owned: &Value) -> bool {
    let mut fields = owned.as_object().into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("f:")).peekable();
    fields.peek().is_some() && fields.all(|name| MARKS.contains(&name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(wanted: &Value, live: &Value, told: Option<&str>) {
        assert_eq!(odd(wanted, live).as_deref(), told);
    }

    #[test]
    fn defaults_are_as_wanted_and_everything_else_is_told() {
        let wanted = json!({"data": {"a": "1"}, "list": [{"name": "x"}], "none": {}});
        let with = |data: Value, list: Value| json!({"data": data, "list": list, "type": "Opaque"});
        check(&wanted, &with(json!({"a": "1"}), json!([{"name": "x", "default": 1}])), None);
        check(&wanted, &with(json!({"a": "2"}), json!([{"name": "x"}])), Some(".data.a is \"2\", not \"1\""));
        check(
            &wanted,
            &with(json!({"a": "1"}), json!([{"name": "x"}, {"name": "y"}])),
            Some(".list is [{\"name\":\"x\"},{\"name\":\"y\"}], not [{\"name\":\"x\"}]"),
        );
        check(&wanted, &with(json!({"a": "1"}), json!([{"name": "y"}])), Some(".list[0].name is \"y\", not \"x\""));
    }

    #[test]
    fn a_field_that_the_manifest_has_no_more_is_told() {
        let with = |manager: &str| {
            let fields = json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}});
            json!({"data": {"a": "1", "b": "2"}, "metadata": {"managedFields": [{"manager": manager, "fieldsV1": fields}]}})
        };
        check(&json!({"data": {"a": "1"}}), &with("helm"), Some(".data.b is still Helm's"));
        check(&json!({"data": {"a": "1"}}), &with("kubectl"), None);
    }

    #[test]
    fn marks_are_helms_even_where_the_manifest_has_nothing() {
        let with = |annotations: Value| {
            let fields = json!({"f:metadata": {"f:annotations": annotations}});
            json!({"metadata": {"managedFields": [{"manager": "helm", "fieldsV1": fields}]}})
        };
        let mark = "f:meta.helm.sh/release-name";
        check(&json!({"metadata": {}}), &with(json!({mark: {}})), None);
        check(&json!({"metadata": {}}), &with(json!({mark: {}, "f:a": {}})), Some(".metadata.annotations is still Helm's"));
        check(&json!({"metadata": {}}), &with(json!({})), Some(".metadata.annotations is still Helm's"));
    }
}
