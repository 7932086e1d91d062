//! What is logged, and how.

use dbt_controller_domain::model::TextError;

use super::reader::{Noted, Reader};
use super::table::{DEBUG, FLASK_ENV, LOG_LEVEL};
use super::values;

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// From which level on.
    pub(crate) level: LogLevel,
    /// For people, rather than JSON.
    pub(crate) readable: bool,
}

/// The level of a log line.
pub(crate) type LogLevel = tracing::Level;

impl LogSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, Noted> {
        let debug = reader.value(DEBUG, values::flag);
        let level = reader.value(LOG_LEVEL, level);
        let readable = reader.value(FLASK_ENV, |text| Ok(text.eq_ignore_ascii_case("development")));
        let raised = debug? && !reader.is_given(LOG_LEVEL);
        Ok(Self { level: if raised { LogLevel::DEBUG } else { level? }, readable: readable? })
    }
}

/// The replaced service took Python's words, so those are taken too.
fn level(text: &str) -> Result<LogLevel, TextError> {
    match text.to_ascii_lowercase().as_str() {
        "trace" => Ok(LogLevel::TRACE),
        "debug" => Ok(LogLevel::DEBUG),
        "info" => Ok(LogLevel::INFO),
        "warning" | "warn" => Ok(LogLevel::WARN),
        "error" | "critical" => Ok(LogLevel::ERROR),
        _ => Err(TextError::new("must be `trace`, `debug`, `info`, `warning` or `error`")),
    }
}
