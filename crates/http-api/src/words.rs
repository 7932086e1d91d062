//! Small pieces of answers: words of closed sets and moments, with their schemas.

use std::borrow::Cow;

use dbt_controller_domain::model::{
    ConnectionOutcome, ConnectionPresence, OperationKind, OperationState, Phase, ReleaseStatus, ServerPhase, UndoOutcome,
};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::error::ErrorCode;

/// A closed set of words on the wire.
pub(crate) trait WordSet: Copy {
    /// The word of this value.
    fn word(self) -> &'static str;
    /// Every word, in the order of the definition.
    fn all() -> Vec<&'static str>;
}

/// A value that is written as its word and documented with all words of its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<T>(pub(crate) T);

/// A point in time, RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

macro_rules! word_sets {
    ($($name:ident),+) => {
        $(impl WordSet for $name {
            fn word(self) -> &'static str {
                self.as_str()
            }

            fn all() -> Vec<&'static str> {
                $name::ALL.iter().map(|value| value.as_str()).collect()
            }
        })+
    };
}

word_sets!(ConnectionOutcome, ConnectionPresence, OperationKind, OperationState, Phase, ReleaseStatus, ServerPhase, UndoOutcome);

impl WordSet for ErrorCode {
    fn word(self) -> &'static str {
        self.as_str()
    }

    fn all() -> Vec<&'static str> {
        // `internal` is a word of both the domain and HTTP.
        let mut words: Vec<_> = ErrorCode::all().map(ErrorCode::as_str).collect();
        words.sort_unstable();
        words.dedup();
        words
    }
}

// === impl Word ===

impl<T: WordSet> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl<T: WordSet> JsonSchema for Word<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        std::any::type_name::<T>().into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": T::all() })
    }
}

// === impl Moment ===

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}
