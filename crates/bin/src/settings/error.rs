//! What is wrong with the settings, all of it at once.

use std::fmt;

/// Every fault that was found, each with the variable it is about. Never repeats a value: it may be a secret that stands in the wrong place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SettingsError(pub(crate) Vec<Fault>);

/// One fault.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The variable, or the key in the file.
    pub(crate) variable: String,
    /// What is wrong; reads well after the variable and a colon.
    pub(crate) message: String,
}

// === impl Fault ===

impl Fault {
    /// A fault of this variable.
    pub(crate) fn new(variable: impl Into<String>, message: impl Into<String>) -> Self {
        Self { variable: variable.into(), message: message.into() }
    }
}

// === impl SettingsError ===

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("one setting is not usable:")?,
            count => write!(f, "{count} settings are not usable:")?,
        }
        for Fault { variable, message } in &self.0 {
            write!(f, "\n  {variable}: {message}")?;
        }
        f.write_str("\n`dbt-api-service-controller serve --help` lists all settings")
    }
}

impl std::error::Error for SettingsError {}
