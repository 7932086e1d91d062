//! The settings file. Its keys are the names of the settings; its values become texts spelled as in the environment.

use std::path::Path;

use config::{File, FileFormat, Source as _, Value, ValueKind};

use super::error::Fault;
use super::source::{Layer, variables_of};
use super::table::{CONFIG_FILE, Kind, TABLE};

/// Reads the file.
pub(super) fn read(path: &Path, faults: &mut Vec<Fault>) -> Layer {
    let mut layer = Layer::new();
    match parse(path) {
        Ok(entries) => {
            for (key, value) in entries {
                match entry(&key, value) {
                    Ok(Some(text)) => drop(layer.insert(key, text.into())),
                    Ok(None) => {}
                    Err(message) => faults.push(Fault::new(key, message)),
                }
            }
        }
        Err(message) => faults.push(Fault::new(CONFIG_FILE.name, message)),
    }
    layer
}

/// The file's entries, sorted, so that equal files give equal errors.
fn parse(path: &Path) -> Result<Vec<(String, Value)>, String> {
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => FileFormat::Toml,
        Some("yaml" | "yml") => FileFormat::Yaml,
        _ => return Err("must end in `.toml`, `.yaml` or `.yml`".to_owned()),
    };
    let text = std::fs::read_to_string(path).map_err(|error| format!("names a file that cannot be read: {error}"))?;
    let entries = File::from_str(&text, format).collect().map_err(|error| match position(&error.to_string()) {
        Some(position) => format!("names a file that is not valid at {position}"),
        None => "names a file that is not valid".to_owned(),
    })?;
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(entries)
}

/// The text of an entry; none for `null`.
fn entry(key: &str, value: Value) -> Result<Option<String>, String> {
    if key == CONFIG_FILE.name {
        return Err("cannot stand in the file that it names".to_owned());
    }
    let Some(setting) = TABLE.iter().find(|setting| variables_of(setting).any(|variable| variable == key)) else {
        return Err(match TABLE.iter().find(|setting| setting.name.eq_ignore_ascii_case(key)) {
            Some(setting) => format!("is not known; write it as `{}`", setting.name),
            None => "is not known".to_owned(),
        });
    };
    text_of(setting.kind, value)
}

/// A value spelled as in the environment. Texts are taken for every kind, so that nothing has to be unlearnt.
fn text_of(kind: Kind, value: Value) -> Result<Option<String>, String> {
    let text = match (kind, value.kind) {
        (_, ValueKind::Nil) => return Ok(None),
        (_, ValueKind::String(text)) => text,
        (Kind::Flag, ValueKind::Boolean(flag)) => flag.to_string(),
        (Kind::Number | Kind::Duration, ValueKind::I64(number)) => number.to_string(),
        (Kind::List, ValueKind::Array(items)) => {
            items.into_iter().map(Value::into_string).collect::<Result<Vec<_>, _>>().map_err(|_| wrong(kind))?.join(",")
        }
        (Kind::Json, table @ ValueKind::Table(_)) => {
            let json: serde_json::Value = Value::new(None, table).try_deserialize().map_err(|_| wrong(kind))?;
            json.to_string()
        }
        _ => return Err(wrong(kind)),
    };
    Ok(Some(text))
}

fn wrong(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Secret => "must be a text: put it in quotes",
        Kind::Number => "must be a whole number",
        Kind::Flag => "must be `true` or `false`",
        Kind::Duration => "must be a time such as \"30m\", or a whole number of seconds",
        Kind::List => "must be a list of texts",
        Kind::Json => "must be a table",
    }
    .to_owned()
}

/// `line 3 column 5` out of a parser's message. The rest of the message quotes the file, and the file holds secrets.
fn position(message: &str) -> Option<String> {
    let number_after = |word: &str| {
        let rest = message.split_once(word)?.1;
        let digits = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
        (!digits.is_empty()).then(|| digits.to_owned())
    };
    Some(format!("line {} column {}", number_after("line ")?, number_after("column ")?))
}
