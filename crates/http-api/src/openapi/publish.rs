//! From paperclip's document to the published one. A pure function, so that paperclip could be replaced in one place.

use serde_json::{Map, Value, json};

use super::catalogue::{ANYWHERE, Operation};
use super::{examples, schemas};
use crate::error::ErrorCode;

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The published document. What it takes from `raw`: paths, methods, operation ids, tags, texts, parameters, and the schema of each answer.
pub(crate) fn publish(mut raw: Value) -> Value {
    let mut paths = raw.get_mut("paths").map(Value::take).unwrap_or_default();
    for item in values_mut(&mut paths) {
        for operation in values_mut(item) {
            complete(operation);
        }
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "dbt API service controller",
            "version": env!("CARGO_PKG_VERSION"),
            "description": description(),
            "license": { "name": "MIT", "url": "https://opensource.org/license/mit" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas::components(),
            "headers": headers(),
            "securitySchemes": {
                BEARER: { "type": "http", "scheme": "bearer", "description": "The service's `SECRET_KEY`, or its `SECRET_KEY_PREVIOUS` while keys are changed." },
            },
        },
    })
}

fn values_mut(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object.as_object_mut().into_iter().flat_map(Map::values_mut)
}

/// Completes one operation. One that the catalogue does not know stays as it is; a test finds it.
fn complete(operation: &mut Value) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    let Some(entry) = Operation::find(&id) else { return };
    complete_parameters(&id, &mut operation["parameters"]);
    if operation.get("requestBody").is_some() {
        operation["requestBody"]["content"]["application/json"]["examples"] = examples::deploy_requests();
    }
    if let Some(text) = operation["description"].as_str() {
        // paperclip takes doc comments line by line, each with the blank that follows `///`.
        operation["description"] = text.lines().map(str::trim).collect::<Vec<_>>().join("\n").into();
    }
    operation["security"] = if entry.needs_token { json!([{ BEARER: [] }]) } else { json!([]) };
    operation["responses"] = responses(entry, &operation["responses"]);
}

/// Gives each parameter of path and query its true schema.
fn complete_parameters(operation_id: &str, parameters: &mut Value) {
    let Some(list) = parameters.as_array_mut() else {
        *parameters = json!([]);
        return;
    };
    let mut known = schemas::parameters(operation_id);
    for parameter in list {
        let Some((mut schema, required)) = parameter["name"].as_str().and_then(|name| known.remove(name)) else { continue };
        if required {
            parameter["required"] = true.into();
        }
        if let Some(fields) = schema.as_object_mut() {
            // A parameter is there or it is not; there is no null in a URL.
            fields.remove("nullable");
            if let Some(words) = fields.get_mut("enum").and_then(Value::as_array_mut) {
                words.retain(|word| !word.is_null());
            }
            if let Some(text) = fields.remove("description") {
                parameter["description"] = text;
            }
        }
        parameter["schema"] = schema;
    }
}

fn responses(entry: &Operation, typed: &Value) -> Value {
    let mut responses = Map::new();
    for (status, description) in entry.answers {
        let status = status.to_string();
        let mut response = json!({ "description": description, "headers": headers_of(entry.id, &status) });
        if let Some(content) = content(entry.id, &status, typed) {
            response["content"] = content;
        }
        responses.insert(status, response);
    }
    let mut errors: Vec<ErrorCode> = entry.errors().collect();
    errors.sort_by_key(|code| code.as_str());
    errors.dedup_by_key(|code| code.as_str());
    for code in errors {
        let status = code.status().as_str().to_owned();
        let schema = schema_of(typed, &status).unwrap_or_else(|| json!({ "$ref": "#/components/schemas/ErrorBody" }));
        let response = responses.entry(status.clone()).or_insert_with(|| error_response(&status, schema));
        add_error(response, code);
    }
    Value::Object(responses)
}

/// The content of an answer that is not an error; none for one without a body.
fn content(operation_id: &str, status: &str, typed: &Value) -> Option<Value> {
    if (operation_id, status) == ("followOperation", "200") {
        return Some(json!({ "text/event-stream": { "schema": { "$ref": "#/components/schemas/StreamEvent" } } }));
    }
    let mut media = json!({ "schema": schema_of(typed, status)? });
    if let Some(example) = examples::answer(operation_id, status) {
        media["example"] = example;
    }
    Some(json!({ "application/json": media }))
}

/// The schema that the handler's type gives an answer of this status.
fn schema_of(typed: &Value, status: &str) -> Option<Value> {
    typed.get(status)?.get("content")?.get("application/json")?.get("schema").cloned()
}

fn error_response(status: &str, schema: Value) -> Value {
    json!({
        "description": "",
        "headers": headers_of("", status),
        "content": { "application/json": { "schema": schema } },
    })
}

/// Adds a code to the answer of its status: to its description, and as an example if the answer is a plain error.
fn add_error(response: &mut Value, code: ErrorCode) {
    let line = format!("- `{}`: {}", code.as_str(), code.row().title);
    let before = response["description"].as_str().unwrap_or_default();
    response["description"] = if before.is_empty() { line.into() } else { format!("{before}\n{line}").into() };
    let media = &mut response["content"]["application/json"];
    if media["schema"]["$ref"] == "#/components/schemas/ErrorBody" {
        media["examples"][code.as_str()] = json!({ "summary": code.row().title, "value": examples::error(code) });
    }
}

fn headers_of(operation_id: &str, status: &str) -> Value {
    let names: &[&str] = match (operation_id, status) {
        ("listDeployments", "200") => &["X-Request-Id", "Link"],
        (_, "202") => &["X-Request-Id", "Location", "Preference-Applied"],
        (_, "401") => &["X-Request-Id", "WWW-Authenticate"],
        (_, "429" | "503") => &["X-Request-Id", "Retry-After"],
        _ => &["X-Request-Id"],
    };
    names.iter().map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))).collect::<Map<_, _>>().into()
}

fn headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "X-Request-Id": text("The id of the request, from the request's own `X-Request-Id` if it had a usable one. Log lines carry it."),
        "Link": text("`<…>; rel=\"next\"`: the next page. Not there on the last one."),
        "Location": text("Where the operation can be read."),
        "Preference-Applied": text("The preference of the request that was followed."),
        "WWW-Authenticate": text("`Bearer`."),
        "Retry-After": { "description": "After so many seconds it is worth another try.", "schema": { "type": "integer", "minimum": 0 } },
    })
}

fn tags() -> Value {
    json!([
        { "name": "Deployments", "description": "dbt servers, one per project and git branch." },
        { "name": "Operations", "description": "Deploys, deletes, suspends and resumes from their submission to their end." },
        { "name": "Names", "description": "From a project and branch to the names of its server." },
        { "name": "Projects", "description": "Deployments with their values, and other Helm releases." },
        { "name": "Service", "description": "The service itself." },
        { "name": "Health", "description": "What the kubelet asks." },
    ])
}

fn description() -> String {
    let line = |code: &ErrorCode| format!("- {} `{}`: {}", code.status().as_u16(), code.as_str(), code.row().title);
    let anywhere: Vec<_> = ANYWHERE.iter().map(line).collect();
    format!(
        "Owns the dbt servers that Airflow tasks call: one per dbt project and git branch, each with a Helm release and an Airflow connection.\n\n\
         Answers have `status`, `message` and `details`; errors carry a stable word in `details.code`. Every answer carries `X-Request-Id`.\n\n\
         Every `GET` can be asked as `HEAD`. Requests that no operation takes are answered with\n\n{}",
        anywhere.join("\n")
    )
}
