//! The stored form of a record: JSON, with a version of its own.
//!
//! The types here are parallel to the domain's and converted by hand, so a renamed field of the domain changes no stored record. Every
//! conversion takes its source apart without `..`, so a new field of the domain does not compile until it is stored too.
//!
//! **Every change of these types raises [`SCHEMA`]**, an added field too: an older replica that knows it not would drop it at its next
//! write. What a newer one wrote is refused and never overwritten.

mod ledger;
mod operation;
mod outcome;
mod request;
mod text;

use std::sync::Arc;

use dbt_controller_domain::model::OperationRecord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::operation::Record;

/// The version of the stored form. What 2 added (`dag_state_before`, `rebuild`, following DAGs), 3 (`waking`, `owed`), 4 (`stale_after_ms`,
/// `suspending`) and 5 (the debt `remains`) is none in what was written before.
const SCHEMA: u32 = 5;

/// A record as it is stored, with the moment at which its lock was last taken or renewed, by the API server's clock.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) lock_at: Option<Timestamp>,
    pub(crate) record: Arc<OperationRecord>,
}

/// What helps with what is no record of a release's operations.
pub(crate) const BY_HAND: &str = "remove it by hand when no operation of the release is under way";

/// Why a stored record cannot be read. Says nothing of the content, which holds secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// A newer version of the service wrote it.
    #[error("it was written by a newer version of the service (form {0}, this one knows form {SCHEMA}); finish the update of all replicas")]
    Newer(u32),
    /// It is not what we write.
    #[error("it is damaged ({what} at byte {column}); {BY_HAND}")]
    Damaged {
        /// The kind of damage.
        what: &'static str,
        /// Where, as far as known.
        column: usize,
    },
}

#[derive(Serialize)]
struct Writing<'a> {
    schema: u32,
    #[serde(with = "text::optional")]
    lock_at: Option<Timestamp>,
    record: &'a Record,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(with = "text::optional")]
    lock_at: Option<Timestamp>,
    record: Record,
}

#[derive(Deserialize)]
struct Header {
    schema: u32,
}

/// The stored form of a record.
///
/// # Errors
/// Only for what JSON cannot hold, of which the record has nothing.
pub(crate) fn encode(stored: &Stored) -> Result<Vec<u8>, serde_json::Error> {
    let Stored { lock_at, record } = stored;
    serde_json::to_vec(&Writing { schema: SCHEMA, lock_at: *lock_at, record: &Record::from(&**record) })
}

/// A record from its stored form.
///
/// # Errors
/// If it is not what this version of the service, or an older one, writes.
pub(crate) fn decode(json: &[u8]) -> Result<Stored, DecodeError> {
    let Header { schema } = serde_json::from_slice(json).map_err(|error| damaged(&error))?;
    if schema > SCHEMA {
        return Err(DecodeError::Newer(schema));
    }
    let Reading { _schema, lock_at, record } = serde_json::from_slice(json).map_err(|error| damaged(&error))?;
    Ok(Stored { lock_at, record: Arc::new(record.into()) })
}

/// The parser's own words may repeat what it read, so only the place and the kind are told.
fn damaged(error: &serde_json::Error) -> DecodeError {
    let what = match error.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "no JSON",
        serde_json::error::Category::Data => "a field is missing, unknown or of the wrong kind",
        serde_json::error::Category::Eof => "the end is missing",
    };
    DecodeError::Damaged { what, column: error.column() }
}

#[cfg(test)]
mod tests;
