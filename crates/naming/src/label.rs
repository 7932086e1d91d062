//! Values of Kubernetes labels.

use crate::hash::{SHORT, hex_digits};
use crate::slug::with_hash;
use crate::text::text;

/// A valid value of a Kubernetes label: at most 63 of `[A-Za-z0-9_.-]`, with a letter or digit at
/// both ends.
///
/// Labels are for finding and grouping. Who must know exactly whose an object is reads its
/// annotations, which hold the exact strings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelValue(String);

impl LabelValue {
    /// The most characters of a value.
    ///
    /// See
    /// [labels](https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set).
    pub const MAX_LENGTH: usize = 63;

    const SEPARATOR: &str = "-";

    /// The text itself if it is valid already (an empty one is). Else what can be kept of it, each
    /// run of other characters as one dash, cut to size, and at the end the first 8 hexadecimal
    /// digits of the text's SHA-256, so that two texts do not become one by it.
    ///
    /// It depends on the text alone, so that all branches of a project have one project label.
    #[must_use]
    pub fn sanitise(text: &str) -> Self {
        if is_valid(text) {
            return Self(text.to_owned());
        }
        let words = text.split(|character| !is_allowed(character)).filter(|word| !word.is_empty());
        let readable = words.collect::<Vec<_>>().join(Self::SEPARATOR);
        let readable = readable.trim_start_matches(|character: char| !character.is_ascii_alphanumeric());
        Self(with_hash(readable, Self::SEPARATOR, &hex_digits(text.as_bytes())[..SHORT], Self::MAX_LENGTH))
    }
}

text!(LabelValue);

fn is_valid(text: &str) -> bool {
    let is_edge_valid = |edge: Option<char>| edge.is_none_or(|edge| edge.is_ascii_alphanumeric());
    text.len() <= LabelValue::MAX_LENGTH
        && text.chars().all(is_allowed)
        && is_edge_valid(text.chars().next())
        && is_edge_valid(text.chars().next_back())
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}

// A hash fits, and something before it.
const _: () = assert!(LabelValue::MAX_LENGTH > LabelValue::SEPARATOR.len() + SHORT);
