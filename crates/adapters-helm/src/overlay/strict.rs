//! Typed objects from JSON, without the forgiveness of their types, which drop fields that they do not know and make up those that are
//! missing.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The document as this type; else everything in it that the type does not say back.
pub(super) fn typed<T: DeserializeOwned + Serialize>(document: &Value) -> Result<T, Vec<String>> {
    let typed: T = serde_path_to_error::deserialize(document).map_err(|error| vec![format!("`{}`: {}", error.path(), error.inner())])?;
    let said_back = serde_json::to_value(&typed).map_err(|error| vec![error.to_string()])?;
    let mut faults = Vec::new();
    compare("", document, &said_back, &mut faults);
    if faults.is_empty() { Ok(typed) } else { Err(faults) }
}

fn compare(path: &str, given: &Value, typed: &Value, faults: &mut Vec<String>) {
    match (given, typed) {
        (Value::Object(given), Value::Object(typed)) => {
            for (key, value) in given {
                let path = join(path, key);
                match typed.get(key) {
                    Some(typed) => compare(&path, value, typed, faults),
                    None if value.is_null() => faults.push(format!("`{path}` is null, and an overlay cannot take away")),
                    None => faults.push(format!("`{path}` is unknown")),
                }
            }
            for (key, value) in typed.iter().filter(|(key, _)| !given.contains_key(*key)) {
                required(&join(path, key), value, faults);
            }
        }
        (Value::Array(given), Value::Array(typed)) => {
            for (index, (given, typed)) in given.iter().zip(typed).enumerate() {
                compare(&format!("{path}[{index}]"), given, typed, faults);
            }
        }
        _ => {}
    }
}

/// What a type makes up is empty, and to merge an empty map or list changes nothing. An empty text or a zero stands for a field that has
/// to be there, and would be merged as such. Texts that are not empty are the type's own `apiVersion` and `kind`.
fn required(path: &str, made_up: &Value, faults: &mut Vec<String>) {
    match made_up {
        Value::String(text) if !text.is_empty() => {}
        Value::Object(fields) => fields.iter().for_each(|(key, value)| required(&join(path, key), value, faults)),
        Value::Array(_) => {}
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => faults.push(format!("`{path}` is missing")),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
