//! Tests of the body, by what it is looked at for.

mod bodies;
mod canaries;
mod document;
mod malformed;
mod resources;
mod values;
mod warnings;

use std::collections::BTreeMap;

use dbt_controller_domain::model::{CloudProvider, DeployRequest, HostTemplate};
use serde_json::{Value, json};

use super::{BodyError, ParsedBody, RequestDefaults, SizePreset, parse};

type Errors = BTreeMap<String, Vec<String>>;

/// A service that has a value for every setting.
fn defaults() -> RequestDefaults {
    let large = SizePreset {
        cpu_request: "4".parse().unwrap(),
        cpu_limit: "8".parse().unwrap(),
        memory_request: "8Gi".parse().unwrap(),
        memory_limit: "16Gi".parse().unwrap(),
        storage_size: "20Gi".parse().unwrap(),
    };
    RequestDefaults {
        namespaces: vec!["dbt-server".parse().unwrap(), "dbt-other".parse().unwrap()],
        customer: Some("acme".parse().unwrap()),
        domain: Some("example.com".parse().unwrap()),
        host_template: HostTemplate::default(),
        tag: Some("1.2.3".to_owned()),
        cloud_provider: CloudProvider::Gcp,
        service_account: None,
        sizes: BTreeMap::from([("large".to_owned(), large)]),
    }
}

/// The smallest body, and these members.
fn body_with(members: Value) -> Value {
    let mut body = json!({ "project_name": "test-project" });
    merge(&mut body, members);
    body
}

fn merge(body: &mut Value, members: Value) {
    let (Value::Object(body), Value::Object(members)) = (body, members) else {
        panic!("bodies are objects");
    };
    body.extend(members);
}

fn read_with(defaults: &RequestDefaults, body: &Value) -> Result<ParsedBody, BodyError> {
    parse(body.to_string().as_bytes(), defaults)
}

fn read(body: &Value) -> Result<ParsedBody, BodyError> {
    read_with(&defaults(), body)
}

/// The request of the smallest body with these members, which must be right and give no warning.
#[track_caller]
fn accepted(members: Value) -> DeployRequest {
    let ParsedBody { request, warnings } = read(&body_with(members)).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    request
}

/// The request and the one warning of the smallest body with these members.
#[track_caller]
fn warned(members: Value) -> (DeployRequest, String) {
    let ParsedBody { request, warnings } = read(&body_with(members)).unwrap();
    let [warning] = warnings.try_into().unwrap();
    (request, warning)
}

/// The errors of a body.
#[track_caller]
fn errors_of(result: Result<ParsedBody, BodyError>) -> Errors {
    match result {
        Err(BodyError::Invalid(errors)) => errors,
        other => panic!("{other:?}"),
    }
}

/// The smallest body with this one field more has this one error more.
#[track_caller]
fn refused(field: &str, value: impl Into<Value>, message: &str) {
    let errors = errors_of(read(&body_with(json!({ field: value.into() }))));
    assert_eq!(errors, Errors::from([(field.to_owned(), vec![message.to_owned()])]));
}
