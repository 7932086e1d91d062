//! Reads a body as JSON, more strictly than `serde_json::Value` does: a key that appears twice is refused, because readers
//! disagree on which of the two counts, and so is deep nesting. No message repeats anything of a value.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::fields;

/// The deepest nesting that is read. Nothing that this service understands is deeper than 1.
pub(super) const MAX_DEPTH: usize = 32;

/// The members of a JSON object.
pub(super) type Object = BTreeMap<String, Value>;

/// A JSON value, as far as this service has a use for it.
pub(super) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    /// A number with a fraction or an exponent, or too large to be any of our integers.
    OtherNumber,
    String(String),
    Array,
    Object(Object),
}

/// The members of the one object that a body is.
///
/// # Errors
/// A sentence about what is wrong and where, without any value.
pub(super) fn read_object(bytes: &[u8]) -> Result<Object, String> {
    // RFC 8259 lets a reader ignore a byte order mark, and the replaced service did.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("malformed body: it is empty, but must be a JSON object".to_owned());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Nested { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| format!("malformed body: {error}"))?;
    match value {
        Value::Object(object) => Ok(object),
        other => Err(format!("malformed body: it must be a JSON object, but is {}", other.kind())),
    }
}

// === impl Value ===

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::OtherNumber => "a number",
            Self::String(_) => "a string",
            Self::Array => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Reads a value that is inside of `depth` arrays and objects.
#[derive(Clone, Copy)]
struct Nested {
    depth: usize,
}

impl Nested {
    /// Reads the values in this one, which is an array or object.
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("more than {MAX_DEPTH} levels of nesting")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::OtherNumber, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::OtherNumber)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        // What is inside an array is of no use, but its keys are checked too.
        while items.next_element_seed(inner)?.is_some() {}
        Ok(Value::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Object::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(duplicate(&key)));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Names the key only when it is one of ours: any other may be a secret in the wrong place.
fn duplicate(key: &str) -> String {
    if fields::ALL.iter().any(|field| field.name() == key) {
        format!("the key `{key}` appears twice")
    } else {
        "a key appears twice in one object".to_owned()
    }
}
