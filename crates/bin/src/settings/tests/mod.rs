//! What operators can set, and what they are told when it is wrong.

mod airflow;
mod effects;
mod faults;
mod files;
mod readme;
mod secrets;

use std::collections::BTreeMap;
use std::env::VarError;
use std::path::PathBuf;

use super::*;

/// An environment made of these variables.
fn environment(variables: &[(&str, &str)]) -> impl Fn(&str) -> Result<String, VarError> + use<> {
    let variables: BTreeMap<String, String> = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    move |name| variables.get(name).cloned().ok_or(VarError::NotPresent)
}

/// Settings for a real cluster.
fn load_with(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    load(false, &environment(variables))
}

/// Settings for `--embedded`.
fn load_embedded(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    load(true, &environment(variables))
}

/// The variables that errors name, with the messages.
fn faults(result: Result<Settings, SettingsError>) -> Vec<(String, String)> {
    result.expect_err("the settings are wrong").0.into_iter().map(|fault| (fault.variable, fault.message)).collect()
}

/// A file that goes away with the test.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(ending: &str, text: &str) -> Self {
        let name = format!("dbt-api-service-controller-{}{ending}", uuid::Uuid::now_v7());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
