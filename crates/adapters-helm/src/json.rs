//! What is done with JSON values in more than one place.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The value at a path of keys.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// The text at a path of keys.
pub(crate) fn text_at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path)?.as_str()
}

/// The items of the list at a path of keys; none when there is no list.
pub(crate) fn items_at<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// SHA-256 in hex over a form that does not depend on the order of keys. That order is insertion's or the alphabet's, whichever a
/// feature of serde_json in some other crate of the program says.
pub(crate) fn digest(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(value, &mut hasher);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each value begins with a letter for its kind, and what has no fixed length with its length, so no two values feed the same bytes.
fn feed(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Null => hasher.update(b"z"),
        Value::Bool(flag) => hasher.update([b'b', u8::from(*flag)]),
        Value::Number(number) => feed_text(b"n", &number.to_string(), hasher),
        Value::String(text) => feed_text(b"s", text, hasher),
        Value::Array(items) => {
            feed_length(b"a", items.len(), hasher);
            items.iter().for_each(|item| feed(item, hasher));
        }
        Value::Object(fields) => {
            feed_length(b"o", fields.len(), hasher);
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in fields {
                feed_text(b"k", key, hasher);
                feed(value, hasher);
            }
        }
    }
}

fn feed_text(kind: &[u8; 1], text: &str, hasher: &mut Sha256) {
    feed_length(kind, text.len(), hasher);
    hasher.update(text);
}

fn feed_length(kind: &[u8; 1], length: usize, hasher: &mut Sha256) {
    hasher.update(kind);
    hasher.update((length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_keys() {
        let one: Value = serde_json::from_str(r#"{"a": {"x": 1, "y": [2]}, "b": null}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b": null, "a": {"y": [2], "x": 1}}"#).unwrap();
        assert_eq!(digest(&one), digest(&two));
        assert_eq!(digest(&one).len(), 64);
    }

    #[test]
    fn different_values_have_different_digests() {
        let values = [
            json!(null),
            json!(false),
            json!(true),
            json!(0),
            json!("0"),
            json!(""),
            json!([]),
            json!({}),
            json!([[], []]),
            json!([[[]]]),
            json!(["a", "b"]),
            json!(["ab"]),
            json!({"a": "b"}),
            json!({"a": ["b"]}),
            json!(["b", "a"]),
            json!({"b": "a"}),
            json!("null"),
        ];
        let digests: std::collections::BTreeSet<_> = values.iter().map(digest).collect();
        assert_eq!(digests.len(), values.len());
    }
}
