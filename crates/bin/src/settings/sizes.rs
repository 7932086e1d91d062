//! `SERVER_SIZES`: named sets of the five resource fields.

use std::collections::BTreeMap;

use dbt_controller_domain::model::{Resources, TextError};
use serde_json::{Map, Value};

/// Sizes by name, from JSON.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Resources>, TextError> {
    let sizes: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        TextError::new(format!("must be a JSON object of sizes by name (line {} column {})", error.line(), error.column()))
    })?;
    sizes.into_iter().map(|(name, size)| Ok((checked_name(&name)?, parse_size(&name, size)?))).collect()
}

/// A name as people write it into a request and operators into a file.
fn checked_name(name: &str) -> Result<String, TextError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if (1..=63).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err(TextError::new("a size must have a name of 1 to 63 letters, digits, `_`, `.` and `-`"))
    }
}

fn parse_size(name: &str, size: Value) -> Result<Resources, TextError> {
    let Value::Object(mut fields) = size else {
        return Err(TextError::new(format!("size `{name}` must be an object of resource fields")));
    };
    let resources = Resources {
        cpu_request: take(name, "cpu_request", &mut fields)?,
        cpu_limit: take(name, "cpu_limit", &mut fields)?,
        memory_request: take(name, "memory_request", &mut fields)?,
        memory_limit: take(name, "memory_limit", &mut fields)?,
        storage_size: take(name, "storage_size", &mut fields)?,
    };
    if !fields.is_empty() {
        return Err(TextError::new(format!(
            "size `{name}` has a field beside `cpu_request`, `cpu_limit`, `memory_request`, `memory_limit` and `storage_size`"
        )));
    }
    check_limit(name, "cpu", resources.cpu_request.millicores(), resources.cpu_limit.millicores())?;
    check_limit(name, "memory", resources.memory_request.bytes(), resources.memory_limit.bytes())?;
    Ok(resources)
}

fn take<T>(size: &str, field: &str, fields: &mut Map<String, Value>) -> Result<T, TextError>
where
    T: std::str::FromStr<Err = TextError>,
{
    let text = match fields.remove(field) {
        None => return Err(TextError::new(format!("size `{size}` lacks `{field}`"))),
        Some(Value::String(text)) => text,
        // `cpu_limit = 2`, as one would write it in a file.
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(TextError::new(format!("`{field}` of size `{size}` must be a text"))),
    };
    text.parse().map_err(|error| TextError::new(format!("`{field}` of size `{size}` {error}")))
}

fn check_limit(size: &str, resource: &str, request: u64, limit: u64) -> Result<(), TextError> {
    if request > limit {
        return Err(TextError::new(format!("`{resource}_request` of size `{size}` must not be above its `{resource}_limit`")));
    }
    Ok(())
}
