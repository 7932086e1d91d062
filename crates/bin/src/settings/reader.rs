//! Takes settings one by one and notes every fault on the way, so that all of them are reported at once.

use std::collections::BTreeMap;

use dbt_controller_domain::model::{REDACTED, TextError};
use secrecy::ExposeSecret;

use super::error::{Fault, SettingsError};
use super::source::{self, Environment, Given, variables_of};
use super::table::{Kind, Setting, TABLE};

/// A fault was noted; there is nothing else to say.
#[derive(Debug)]
pub(super) struct Noted;

/// Reads settings and collects what is wrong with them.
#[derive(Debug)]
pub(super) struct Reader {
    embedded: bool,
    given: BTreeMap<&'static str, Given>,
    faults: Vec<Fault>,
}

impl Reader {
    /// A reader of what this environment, and the file that it names, say.
    pub(super) fn new(embedded: bool, environment: Environment<'_>) -> Self {
        let mut faults = Vec::new();
        let given = source::read(environment, &mut faults);
        Self { embedded, given, faults }
    }

    /// Whether the embedded defaults are in force.
    pub(super) fn embedded(&self) -> bool {
        self.embedded
    }

    /// Whether something was set, if only an empty text.
    pub(super) fn is_given(&self, setting: &Setting) -> bool {
        self.given.contains_key(setting.name)
    }

    /// The value that is set, or the default.
    pub(super) fn value<T>(&mut self, setting: &'static Setting, parse: impl Fn(&str) -> Result<T, TextError>) -> Result<T, Noted> {
        match self.optional(setting, parse)? {
            Some(value) => Ok(value),
            // What was set and could not be read has its fault already.
            None if self.is_faulty(setting) => Err(Noted),
            None => Err(match self.given.get(setting.name).map(|given| given.variable.clone()) {
                Some(variable) => self.fault(&variable, "must not be empty"),
                None => self.fault(setting.name, "is required"),
            }),
        }
    }

    /// The value that is set, or the default, or none. An empty text means the default, but for lists, which it empties.
    pub(super) fn optional<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl Fn(&str) -> Result<T, TextError>,
    ) -> Result<Option<T>, Noted> {
        let Some((variable, text)) = self.in_force(setting) else {
            return Ok(None);
        };
        let variable = variable.to_owned();
        parse(text).map(Some).map_err(|error| self.fault(&variable, &error.to_string()))
    }

    /// The value of a setting that was read before, for those who judge another one by it; none where it was wrong.
    pub(super) fn glance<T>(&self, setting: &'static Setting, parse: impl Fn(&str) -> Result<T, TextError>) -> Option<T> {
        if self.is_faulty(setting) {
            return None;
        }
        parse(self.in_force(setting)?.1).ok()
    }

    /// Notes a fault.
    pub(super) fn fault(&mut self, variable: &str, message: &str) -> Noted {
        self.faults.push(Fault::new(variable, message));
        Noted
    }

    /// The values in force by name, as they may be shown: a secret that is set is `***`.
    pub(super) fn shown(&self) -> BTreeMap<String, String> {
        let shown = |setting: &&'static Setting| {
            let (_, text) = self.in_force(setting)?;
            Some((setting.name.to_owned(), if setting.is_secret() { REDACTED } else { text }.to_owned()))
        };
        TABLE.iter().filter_map(shown).collect()
    }

    /// The text that counts, and the variable that errors about it name.
    fn in_force(&self, setting: &'static Setting) -> Option<(&str, &str)> {
        let given = self.given.get(setting.name).map(|given| (given.variable.as_str(), given.text.expose_secret()));
        let given = given.filter(|(_, text)| setting.kind == Kind::List || !text.is_empty());
        given.or_else(|| Some((setting.name, setting.default_for(self.embedded)?)))
    }

    /// Whether what was set could not be used.
    pub(super) fn is_faulty(&self, setting: &Setting) -> bool {
        variables_of(setting).any(|variable| self.faults.iter().any(|fault| fault.variable == variable))
    }

    /// Leaves only the faults of these settings.
    pub(super) fn forget_faults_but_of(&mut self, settings: &[&Setting]) {
        self.faults.retain(|fault| settings.iter().any(|setting| setting.name == fault.variable));
    }

    /// What was read, if nothing was wrong.
    ///
    /// # Errors
    /// All faults.
    pub(super) fn finish<T>(self, settings: Result<T, Noted>) -> Result<T, SettingsError> {
        match settings {
            Ok(settings) if self.faults.is_empty() => Ok(settings),
            _ => Err(SettingsError(self.faults)),
        }
    }
}
