//! The secrets of a release, and its values without them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dbt_controller_domain::model::{Credentials, REDACTED, Redactor};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::json;
use crate::manifest::Manifest;
use crate::objects::{BASIC_AUTH, BASIC_AUTH_PASSWORD, BASIC_AUTH_USER};

/// Keys of a server's Secret whose values are no secrets: to replace `bigquery` everywhere would shred ordinary text.
const OPEN_KEYS: [&str; 4] = ["DATA_WAREHOUSE_PLATFORM", "DBT_REPO_NAME", "SECRET_PACKAGE_REPO_TOKEN_NAME", BASIC_AUTH_USER];
/// What stands in a server's Secret for a deploy key that there is not.
const NO_DEPLOY_KEY: &str = "EMPTY";

/// A key with one of these in it names a secret, unless it ends in `name`: `secretName` tells where one is.
const SECRET_WORDS: [&str; 9] = ["password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "accesskey", "privatekey"];

pub(super) fn credentials(manifest: &Manifest) -> Option<Credentials> {
    secrets(manifest).find_map(|secret| {
        let user = secret_text(secret, BASIC_AUTH_USER)?;
        let password = secret_text(secret, BASIC_AUTH_PASSWORD)?;
        Some(Credentials { user, password: password.into() })
    })
}

pub(super) fn htpasswd(manifest: &Manifest) -> Option<String> {
    secrets(manifest).find_map(|secret| secret_text(secret, BASIC_AUTH))
}

fn secrets(manifest: &Manifest) -> impl Iterator<Item = &Value> {
    manifest.objects().iter().filter(|object| object.kind() == "Secret").map(|object| object.value())
}

/// The text under a key of a Secret. Kubernetes writes `stringData` over `data`.
fn secret_text(secret: &Value, key: &str) -> Option<String> {
    let plain = json::text_at(secret, &["stringData", key]).map(str::to_owned);
    plain.or_else(|| decode(json::text_at(secret, &["data", key])?))
}

/// Base64 may be folded into lines.
fn decode(base64: &str) -> Option<String> {
    let base64: String = base64.split_ascii_whitespace().collect();
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}

// === redaction ===

pub(super) fn redactor(manifest: &Manifest, values: &Value) -> Redactor {
    let mut found = Vec::new();
    secrets(manifest).for_each(|secret| collect_secret(secret, &mut found));
    collect(values, &mut found);
    Redactor::new(found)
}

/// The secrets of every Secret anywhere in a value.
fn collect(value: &Value, found: &mut Vec<SecretString>) {
    match value {
        Value::Object(fields) => {
            if is_secret(fields) {
                collect_secret(value, found);
            }
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_secret(fields: &Map<String, Value>) -> bool {
    fields.get("kind").and_then(Value::as_str) == Some("Secret")
}

/// The values of a Secret, as they are and as they are written.
fn collect_secret(secret: &Value, found: &mut Vec<SecretString>) {
    let texts = |map: &'static str| {
        let fields = secret.get(map).and_then(Value::as_object).into_iter().flatten();
        fields.filter(|(key, _)| !OPEN_KEYS.contains(&key.as_str())).filter_map(|(_, value)| value.as_str())
    };
    let mut add = |text: &str| {
        if text != NO_DEPLOY_KEY {
            found.extend([SecretString::from(text), SecretString::from(STANDARD.encode(text))]);
        }
    };
    texts("stringData").for_each(&mut add);
    for base64 in texts("data") {
        match decode(base64) {
            Some(text) => add(&text),
            // Bytes that are no text.
            None => add(base64),
        }
    }
}

/// The value without secrets: `***` in the place of a Secret's data and of environment variables with such a name, cut out of texts
/// elsewhere, and with `by_name` also for whatever the name of a field says to be one.
pub(super) fn redacted(value: &Value, redactor: &Redactor, by_name: bool) -> Value {
    match value {
        Value::String(text) => json!(redactor.redact(text)),
        Value::Array(items) => items.iter().map(|item| redacted(item, redactor, by_name)).collect(),
        Value::Object(fields) => {
            let hides_data = is_secret(fields);
            // An environment variable: its name is beside its value.
            let is_named_secret = fields.get("name").and_then(Value::as_str).is_some_and(names_secret);
            let redact_field = |(key, value): (&String, &Value)| {
                let is_data = hides_data && (key == "data" || key == "stringData");
                let is_variable = is_named_secret && key == "value";
                let clean = if is_data || is_variable || (by_name && names_secret(key)) {
                    hidden(value, redactor, by_name, is_data)
                } else {
                    redacted(value, redactor, by_name)
                };
                (key.clone(), clean)
            };
            Value::Object(fields.iter().map(redact_field).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// `***` for every text and number. Maps are looked into: all of it for a Secret's data, else as any other, for what `auth.token` or
/// `secrets` has below it says by itself what it is.
fn hidden(value: &Value, redactor: &Redactor, by_name: bool, deep: bool) -> Value {
    match value {
        Value::String(_) | Value::Number(_) => json!(REDACTED),
        Value::Array(items) => items.iter().map(|item| hidden(item, redactor, by_name, deep)).collect(),
        Value::Object(fields) if deep => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), hidden(value, redactor, by_name, deep))).collect())
        }
        Value::Object(_) => redacted(value, redactor, by_name),
        Value::Null | Value::Bool(_) => value.clone(),
    }
}

fn names_secret(key: &str) -> bool {
    let word: String = key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    !word.ends_with("name") && SECRET_WORDS.iter().any(|secret| word.contains(secret))
}
