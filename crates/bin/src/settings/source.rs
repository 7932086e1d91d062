//! Where settings come from: the environment, and the file of `CONFIG_FILE`. Both become texts spelled as in the environment.

use std::collections::BTreeMap;
use std::env::VarError;

use secrecy::{ExposeSecret, SecretString};

use super::error::Fault;
use super::file;
use super::table::{CONFIG_FILE, Setting, TABLE};

/// How a variable is read: `std::env::var`, or a test's own.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// The texts of one source by variable. All are treated as secrets: anything may stand in the wrong place.
pub(super) type Layer = BTreeMap<String, SecretString>;

/// The text of a setting.
#[derive(Debug)]
pub(super) struct Given {
    /// The variable that errors name: of a secret it may be the one that ends in `_FILE`.
    pub(super) variable: String,
    /// Its text.
    pub(super) text: SecretString,
}

/// Everything that is set, by the setting's name. The environment wins over the file.
pub(super) fn read(environment: Environment<'_>, faults: &mut Vec<Fault>) -> BTreeMap<&'static str, Given> {
    let mut variables = read_environment(environment, faults);
    let mut file = match variables.get(CONFIG_FILE.name) {
        Some(path) if !path.expose_secret().is_empty() => file::read(path.expose_secret().as_ref(), faults),
        _ => Layer::new(),
    };
    let mut given = BTreeMap::new();
    for setting in TABLE {
        let found = take(setting, &mut variables, faults);
        // The file's value is taken out in any case, and so is looked at: an error in it may not wait for the day when the variable goes.
        let found_in_file = take(setting, &mut file, faults);
        given.extend(found.or(found_in_file).map(|found| (setting.name, found)));
    }
    given
}

/// The variables in which a setting can stand.
pub(super) fn variables_of(setting: &Setting) -> impl Iterator<Item = String> {
    std::iter::once(setting.name.to_owned()).chain(setting.file_variable())
}

fn read_environment(environment: Environment<'_>, faults: &mut Vec<Fault>) -> Layer {
    let mut layer = Layer::new();
    for variable in TABLE.iter().flat_map(|setting| variables_of(setting)) {
        match environment(&variable) {
            Ok(text) => drop(layer.insert(variable, text.into())),
            Err(VarError::NotPresent) => {}
            // The error holds the value, so it goes no further.
            Err(VarError::NotUnicode(_)) => faults.push(Fault::new(variable, "must be UTF-8")),
        }
    }
    layer
}

/// Takes a setting out of a layer, and reads the file that a secret names.
fn take(setting: &Setting, layer: &mut Layer, faults: &mut Vec<Fault>) -> Option<Given> {
    let direct = layer.remove(setting.name);
    let Some((variable, path)) = setting.file_variable().and_then(|variable| layer.remove_entry(&variable)) else {
        return direct.map(|text| Given { variable: setting.name.to_owned(), text });
    };
    if direct.is_some() {
        let message = format!("must not be set beside `{}`, of which it is the other spelling", setting.name);
        faults.push(Fault::new(variable, message));
        return None;
    }
    match std::fs::read_to_string(path.expose_secret()) {
        Ok(text) => Some(Given { variable, text: without_line_end(&text).into() }),
        // The path is not shown: it is the secret itself when somebody took the wrong one of the two variables.
        Err(error) => {
            faults.push(Fault::new(variable, format!("names a file that cannot be read: {error}")));
            None
        }
    }
}

/// Editors and `echo` end a file with a line break that is no part of the secret.
fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
