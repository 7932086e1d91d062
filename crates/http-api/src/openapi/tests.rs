use std::collections::BTreeSet;

use serde_json::Value;

use super::catalogue::{ANYWHERE, OPERATIONS, Operation};
use super::{openapi_document, raw_document};
use crate::error::ErrorCode;
use crate::routes::ROUTES;

/// Every operation of a document: method, path, operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    all
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn document_is_as_recorded() {
    insta::assert_json_snapshot!(openapi_document());
}

#[test]
fn every_route_is_documented_and_nothing_else() {
    let documented: BTreeSet<_> = operations(&openapi_document()).into_iter().map(|(method, path, _)| (path, method)).collect();
    let routed: BTreeSet<_> =
        ROUTES.iter().flat_map(|(path, methods)| methods.iter().map(|method| ((*path).to_owned(), (*method).to_owned()))).collect();
    assert_eq!(documented, routed);
}

#[test]
fn every_operation_is_in_the_catalogue_once() {
    let mut documented: Vec<_> = operations(&openapi_document())
        .into_iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    let mut known: Vec<_> = OPERATIONS.iter().map(|operation| operation.id.to_owned()).collect();
    documented.sort();
    known.sort();
    assert_eq!(documented, known);
}

#[test]
fn every_operation_has_texts_a_tag_and_its_types_answers() {
    for (method, path, operation) in operations(&openapi_document()) {
        for field in ["summary", "description"] {
            assert!(operation[field].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} has no {field}");
        }
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{method} {path}");
    }
    // What a handler's type says it answers must be in the catalogue too.
    for (method, path, operation) in operations(&raw_document()) {
        let entry = Operation::find(operation["operationId"].as_str().unwrap()).unwrap();
        for status in operation["responses"].as_object().unwrap().keys() {
            let status: u16 = status.parse().unwrap();
            let is_known = entry.answers.iter().any(|(known, _)| *known == status) || entry.errors().any(|code| code.status() == status);
            assert!(is_known, "{method} {path} answers {status}");
        }
    }
}

#[test]
fn every_error_code_is_documented_at_some_operation() {
    let told: BTreeSet<_> = OPERATIONS.iter().flat_map(Operation::errors).chain(ANYWHERE.iter().copied()).map(ErrorCode::as_str).collect();
    let all: BTreeSet<_> = ErrorCode::all().map(ErrorCode::as_str).collect();
    assert_eq!(told, all);
}

#[test]
fn every_error_of_an_operation_has_its_status_and_is_named_there() {
    for (method, path, operation) in operations(&openapi_document()) {
        for code in Operation::find(operation["operationId"].as_str().unwrap()).unwrap().errors() {
            let description = &operation["responses"][code.status().as_str()]["description"];
            let word = format!("`{}`", code.as_str());
            assert!(description.as_str().is_some_and(|text| text.contains(&word)), "{method} {path} does not tell of {word}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = openapi_document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        // The data of server-sent events is text; `StreamEvent` tells its schema in words.
        let is_used = name == "OperationEvent" || found.contains(&format!("#/components/schemas/{name}"));
        assert!(is_used, "{name} is not used");
    }
}

#[test]
fn only_what_needs_no_token_says_so() {
    let open: Vec<_> = operations(&openapi_document())
        .into_iter()
        .filter(|(_, _, operation)| operation["security"].as_array().unwrap().is_empty())
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(open, ["head /", "get /api/v1/status", "get /health/liveness", "get /health/readiness", "get /health/startup"]);
}
