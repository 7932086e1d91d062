//! Takes typed values out of a JSON object by the rules of the field table, and gathers what is wrong with them.
//!
//! No message repeats a value: bodies carry secrets, and answers end up in CI logs. Those logs are searched for the words
//! of a breakdown, so no warning may hold one of them; a test reads every warning for that.

use std::collections::BTreeMap;
use std::str::FromStr;

use dbt_controller_domain::model::TextError;

use super::fields::{Boolean, Integer, Text, Word};
use super::json::{Object, Value};

/// How many unknown fields are named, and with how many characters each.
const NAMED_UNKNOWN_FIELDS: usize = 20;
const UNKNOWN_FIELD_LENGTH: usize = 64;

/// The texts that the replaced service (marshmallow) took for a boolean, apart from upper and lower case.
const TRUE_WORDS: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
const FALSE_WORDS: [&str; 6] = ["false", "f", "no", "n", "off", "0"];

/// What is left of a body, and what was found out about it so far.
pub(super) struct Reader {
    members: Object,
    errors: BTreeMap<String, Vec<String>>,
    warnings: Vec<String>,
}

impl Reader {
    pub(super) fn new(members: Object) -> Self {
        Self { members, errors: BTreeMap::new(), warnings: Vec::new() }
    }

    /// The text of a field; none if it is absent or refused.
    pub(super) fn text(&mut self, field: &Text) -> Option<String> {
        let text = self.string(field.name)?;
        match check_text(field, &text) {
            Ok(()) => Some(text),
            Err(message) => self.refuse(field.name, message),
        }
    }

    /// The text of a field that has a default.
    pub(super) fn text_or_default(&mut self, field: &Text) -> String {
        self.text(field).unwrap_or_else(|| field.default.unwrap_or_default().to_owned())
    }

    /// The text of a field as what its form says it is.
    pub(super) fn parsed<T: FromStr<Err = TextError>>(&mut self, field: &Text) -> Option<T> {
        match self.text(field)?.parse() {
            Ok(value) => Some(value),
            Err(TextError(message)) => self.refuse(field.name, message),
        }
    }

    /// The word of a field; none if it is absent, empty where that is allowed, or refused.
    pub(super) fn word<T: FromStr<Err = TextError>>(&mut self, field: &Word) -> Option<T> {
        let word = self.string(field.name).filter(|word| !(word.is_empty() && field.may_be_empty))?;
        match word.parse() {
            Ok(value) => Some(value),
            Err(TextError(message)) if field.may_be_empty => self.refuse(field.name, format!("{message}, or empty")),
            Err(TextError(message)) => self.refuse(field.name, message),
        }
    }

    /// The number of a field, or its default.
    pub(super) fn integer(&mut self, field: &Integer) -> u8 {
        let name = field.name;
        let number = match self.take(name) {
            None => return field.default,
            Some(Value::Integer(number)) => Some(number),
            Some(Value::String(text)) => {
                let number = decimal(&text);
                if number.is_some() {
                    self.warn(format!("`{name}` should be a JSON number, and was read from a text"));
                }
                number
            }
            Some(_) => None,
        };
        let number = number.and_then(|number| u8::try_from(number).ok());
        match number.filter(|number| (field.min..=field.max).contains(number)) {
            Some(number) => number,
            None => {
                let message = format!("must be a whole number from {} to {}", field.min, field.max);
                self.refuse(name, message).unwrap_or(field.default)
            }
        }
    }

    /// Whether a field is true.
    pub(super) fn boolean(&mut self, field: &Boolean) -> bool {
        let name = field.name;
        let value = match self.take(name) {
            None => return false,
            Some(Value::Boolean(value)) => return value,
            Some(Value::Integer(0)) => Some(false),
            Some(Value::Integer(1)) => Some(true),
            Some(Value::String(text)) => boolean_word(&text),
            Some(_) => None,
        };
        match value {
            Some(value) => {
                self.warn(format!("`{name}` should be `true` or `false`, and was read from another spelling"));
                value
            }
            None => self.refuse(name, "must be `true` or `false`").unwrap_or_default(),
        }
    }

    /// Notes that the value of a field is no good, and gives none, so that a reading can end in this.
    pub(super) fn refuse<T>(&mut self, name: &str, message: impl Into<String>) -> Option<T> {
        self.errors.entry(name.to_owned()).or_default().push(message.into());
        None
    }

    /// Whether something of this field was refused.
    pub(super) fn has_refused(&self, name: &str) -> bool {
        self.errors.contains_key(name)
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// The errors and the warnings, after every known field was taken.
    pub(super) fn finish(mut self) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
        if !self.members.is_empty() {
            let warning = ignored(self.members.keys());
            self.warn(warning);
        }
        (self.errors, self.warnings)
    }

    fn string(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => self.refuse(name, "must be a string"),
        }
    }

    /// Takes a member out; `null` is as good as none.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !matches!(value, Value::Null))
    }
}

/// Whether a text keeps the rules of its field.
pub(super) fn check_text(field: &Text, text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length == 0 && field.min > 0 {
        return Err("must not be empty".to_owned());
    }
    if length < field.min {
        return Err(format!("must have at least {} characters", field.min));
    }
    if length > field.max {
        return Err(format!("must have at most {} characters{}", field.max, field.max_reason));
    }
    if field.reserved.contains(&text) {
        return Err("must not be a variable that the service sets itself".to_owned());
    }
    (field.form.check)(text).map_err(|TextError(message)| message)
}

/// Digits, with a minus sign or without. What is beyond `i64` is beyond every field.
fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_decimal.then(|| text.parse().ok())?
}

fn boolean_word(text: &str) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_one_of(&TRUE_WORDS) { Some(true) } else { is_one_of(&FALSE_WORDS).then_some(false) }
}

fn ignored<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = names.len().saturating_sub(NAMED_UNKNOWN_FIELDS);
    let named: Vec<_> = names.take(NAMED_UNKNOWN_FIELDS).map(|name| format!("`{}`", shown(name))).collect();
    let named = named.join(", ");
    match more {
        0 => format!("unknown fields were ignored: {named}"),
        more => format!("unknown fields were ignored: {named} and {more} more"),
    }
}

/// A name as one line of a log can carry it: cut, and with invisible characters and backticks escaped.
fn shown(name: &str) -> String {
    let is_cut = name.chars().nth(UNKNOWN_FIELD_LENGTH).is_some();
    let mut shown = String::new();
    for character in name.chars().take(UNKNOWN_FIELD_LENGTH) {
        match character {
            '`' => shown.push_str("\\u{60}"),
            '\'' | '"' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    if is_cut {
        shown.push('…');
    }
    shown
}
