//! The table of fields in the documentation.

use std::fmt::Write as _;
use std::path::Path;

use dbt_controller_http_api::openapi_document;
use serde_json::Value;

const BEGIN: &str = "<!-- fields: begin -->\n";
const END: &str = "<!-- fields: end -->";

/// The fields of a POST as the published document describes them.
fn markdown() -> String {
    let document = serde_json::to_value(openapi_document()).unwrap();
    let fields = document["components"]["schemas"]["DeployBody"]["properties"].as_object().unwrap();
    let mut text = "| Field | Value | Default | Meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, field) in fields {
        let default = field.get("default").map(|default| format!("`{}`", plain(default))).unwrap_or_default();
        let meaning = field["description"].as_str().unwrap().replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(text, "| `{name}` | {} |{}| {meaning} |", value(field), padded(&default));
    }
    text
}

/// A cell: with spaces only around something.
fn padded(cell: &str) -> String {
    if cell.is_empty() { " ".to_owned() } else { format!(" {cell} ") }
}

fn value(field: &Value) -> String {
    if let Some(words) = field["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str).filter(|word| !word.is_empty());
        return words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    match field["type"].as_str().unwrap() {
        "integer" => format!("{} to {}", field["minimum"], field["maximum"]),
        "boolean" => "true or false".to_owned(),
        _ => format!("text, at most {} characters", field["maxLength"]),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn the_table_of_the_documentation_is_that_of_the_api() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deployments.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let between = page.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table.trim());
    let expected = markdown();
    assert!(between == Some(expected.trim()), "docs/deployments.md must hold this between its markers:\n{BEGIN}{expected}{END}");
}
