//! YAML that Go reads as we do. Helm and Kubernetes read YAML 1.1, where `on` is true and `0755` is 493.

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy};
use serde_saphyr::{Budget, DoubleQuoted, Options};

/// The schemas of custom resources, which nest deepest, stay below this; the parser recurses, and a thread of 2 MiB has room for it.
const MAX_DEPTH: usize = 64;
/// A release record has at most 1 MiB of compressed JSON; the largest charts in use have manifests of 50,000 nodes.
const MAX_NODES: usize = 1_000_000;
/// Anchors are rare in manifests, for templates repeat themselves instead. This stops aliases of aliases of aliases.
const MAX_REPLAYED: usize = 100_000;

/// All texts together, those included that aliases repeat: no record unpacks to more. The number of events does not bound it, since a few
/// bytes of alias stand for a text of any length.
const MAX_TEXT_BYTES: usize = 32 << 20;

/// Why a text is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlError {
    /// The parser's sentence. It may quote the text, which may be a secret.
    pub(crate) reason: String,
    /// Line and column from 1, where they are known.
    pub(crate) place: Option<(u64, u64)>,
}

/// The documents of a text, without the empty ones, as Helm reads them: the last of two equal keys counts.
pub(crate) fn read(text: &str) -> Result<Vec<Value>, YamlError> {
    read_with(text, DuplicateKeyPolicy::LastWins)
}

/// The same for a text that somebody wrote by hand: two equal keys are a mistake.
pub(crate) fn read_strictly(text: &str) -> Result<Vec<Value>, YamlError> {
    read_with(text, DuplicateKeyPolicy::Error)
}

fn read_with(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Vec<Value>, YamlError> {
    serde_saphyr::from_multiple_with_options(text, options(duplicate_keys)).map_err(|error| YamlError {
        place: error.location().map(|location| (location.line(), location.column())),
        reason: error.without_snippet().to_string(),
    })
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.max_nodes = MAX_NODES;
    budget.max_events = 2 * MAX_NODES;
    budget.max_documents = MAX_NODES;
    budget.max_recorded_anchor_events = MAX_REPLAYED;
    budget.max_total_scalar_bytes = MAX_TEXT_BYTES;
    let mut aliases = AliasLimits::default();
    aliases.max_total_replayed_events = MAX_REPLAYED;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.alias_limits = aliases;
    options.duplicate_keys = duplicate_keys;
    // `defaultMode: 0644` is 420.
    options.legacy_octal_numbers = true;
    // A snippet would show what stands around the fault: passwords.
    options.with_snippet = false;
    options
}

/// One document, ending with a line break, without a separator.
pub(crate) fn write(value: &Value) -> String {
    let mut options = serde_saphyr::SerializerOptions::default();
    // Folded text is harder to read than a long line, and easily read wrong.
    options.folded_wrap_chars = usize::MAX;
    serde_saphyr::to_string_with_options(&Document(value), options)
        .expect("JSON values have text keys and finite numbers, so each of them has a YAML form")
}

/// A value, its keys in the alphabet's order (serde_json's own depends on features of other crates) and quoted where YAML 1.1 would read
/// something else than a text.
struct Document<'a>(&'a Value);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_unstable_by_key(|(key, _)| *key);
                for (key, value) in fields {
                    if is_plain_key(key) {
                        map.serialize_entry(key, &Self(value))?;
                    } else {
                        map.serialize_entry(&DoubleQuoted(key), &Self(value))?;
                    }
                }
                map.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Self(item))?;
                }
                list.end()
            }
            Value::String(text) if begins_a_line_with_a_tab(text) => DoubleQuoted(text).serialize(serializer),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => self.0.serialize(serializer),
        }
    }
}

/// libyaml, and Go's port of it, refuse a block that begins so: "found a tab character where an indentation space is expected".
fn begins_a_line_with_a_tab(text: &str) -> bool {
    text.lines().any(|line| line.trim_start_matches(' ').starts_with('\t'))
}

/// Whether a key is a text without quotes too, in YAML 1.1 and 1.2.
fn is_plain_key(key: &str) -> bool {
    let is_word = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
    let is_other_word = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"].iter().any(|word| key.eq_ignore_ascii_case(word));
    is_word && !is_other_word
}
