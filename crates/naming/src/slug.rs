//! The readable part of names: slugs, and how they are cut.

use crate::{Identity, NameForm};

/// How one kind of name is put together.
pub(crate) struct Layout {
    /// Stands between two words, and before the hash.
    pub(crate) separator: &'static str,
    /// Stands before the slugs, without a separator at its end; may be empty.
    pub(crate) lead: &'static str,
    /// Stands in the place of lead and slugs when both are empty.
    pub(crate) stand_in: &'static str,
    /// The most characters of the name.
    pub(crate) max_length: usize,
}

impl Layout {
    /// The name of an identity: its slugs, and where the form or their shape asks for it the hash.
    pub(crate) fn name(&self, identity: &Identity, form: NameForm) -> String {
        let slugs = identity.parts().map(|part| slug(part, self.separator)).collect::<Vec<_>>();
        // `x` + `проект` must not take the plain name of `x` without a branch.
        let is_complete = slugs.iter().all(|slug| !slug.is_empty());
        let words = std::iter::once(self.lead).chain(slugs.iter().map(String::as_str));
        let readable = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(self.separator);
        match form {
            NameForm::Plain if is_complete && readable.len() <= self.max_length => readable,
            NameForm::Plain | NameForm::Hashed => self.with_hash(&readable, identity.hash().short()),
            NameForm::LongHashed => self.with_hash(&readable, identity.hash().long()),
        }
    }

    fn with_hash(&self, readable: &str, digits: &str) -> String {
        let readable = if readable.is_empty() { self.stand_in } else { readable };
        with_hash(readable, self.separator, digits, self.max_length)
    }
}

/// Lower case; every run of characters outside `[a-z0-9]` becomes one separator, none at the ends.
///
/// Only ASCII letters change their case. Unicode would turn the Kelvin sign into an ASCII `k` and
/// `İ` into an `i` with a loose dot, so that parts of foreign letters survived by chance, and its
/// tables grow with each version of Rust, which would change names of servers that run.
pub(crate) fn slug(text: &str, separator: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|character: char| !character.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(separator)
}

/// `readable`, cut as far as the hash needs it, and the hash at the end. The cut never leaves a
/// `-`, `_` or `.` at its end; if it leaves nothing, the hash stands alone.
///
/// `readable` must be ASCII, so that it can be cut at any place.
pub(crate) fn with_hash(readable: &str, separator: &str, digits: &str, max_length: usize) -> String {
    let room = max_length - separator.len() - digits.len();
    let cut = &readable[..readable.len().min(room)];
    match cut.trim_end_matches(|character: char| !character.is_ascii_alphanumeric()) {
        "" => digits.to_owned(),
        cut => format!("{cut}{separator}{digits}"),
    }
}
