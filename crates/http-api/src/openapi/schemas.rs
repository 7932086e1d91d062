//! Schemas by schemars, from the types that are really read and written.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::deploy_body::DeployBody;
use crate::deployments::{
    AcceptedAnswer, DeleteAnswer, DeployAnswer, DeploymentAnswer, DeploymentList, ListQuery, ScaleAnswer, SuspendQuery,
};
use crate::error::ErrorBody;
use crate::extract::{NamePath, TargetQuery};
use crate::health::{LivenessAnswer, ProbeAnswer};
use crate::names::{NamesAnswer, NamesQuery};
use crate::operations::{EventAnswer, OperationAnswer, OperationListAnswer, OperationPath};
use crate::projects::{ExistingProject, MissingProject, ProjectList, ReleaseList};
use crate::service::{InfoAnswer, StatusAnswer};

/// The schemas of all bodies, by name.
pub(crate) fn components() -> Map<String, Value> {
    let mut written = SchemaSettings::openapi3().for_serialize().into_generator();
    add::<ErrorBody>(&mut written);
    add::<AcceptedAnswer>(&mut written);
    add::<DeployAnswer>(&mut written);
    add::<DeleteAnswer>(&mut written);
    add::<ScaleAnswer>(&mut written);
    add::<DeploymentList>(&mut written);
    add::<DeploymentAnswer>(&mut written);
    add::<OperationAnswer>(&mut written);
    add::<OperationListAnswer>(&mut written);
    add::<EventAnswer>(&mut written);
    add::<ProjectList>(&mut written);
    add::<ReleaseList>(&mut written);
    add::<ExistingProject>(&mut written);
    add::<MissingProject>(&mut written);
    add::<NamesAnswer>(&mut written);
    add::<StatusAnswer>(&mut written);
    add::<InfoAnswer>(&mut written);
    add::<LivenessAnswer>(&mut written);
    add::<ProbeAnswer>(&mut written);
    let mut read = SchemaSettings::openapi3().for_deserialize().into_generator();
    add::<DeployBody>(&mut read);

    let mut schemas = written.take_definitions(true);
    schemas.append(&mut read.take_definitions(true));
    schemas.insert("StreamEvent".to_owned(), stream_event());
    schemas
}

/// One server-sent event. It is text, not JSON, so no type is written as a whole; its data is.
fn stream_event() -> Value {
    json!({
        "type": "object",
        "description": "A server-sent event of an operation.",
        "required": ["event", "id", "data"],
        "properties": {
            "event": {
                "type": "string",
                "enum": ["phase", "progress", "outcome", "gap"],
                "description": "What it tells: the beginning of a step, progress within it, the end of the operation, or events that are not there any more.",
            },
            "id": { "type": "string", "pattern": "^[0-9]+$", "description": "Its number, for `Last-Event-ID`." },
            "data": {
                "type": "string",
                "description": "JSON: an `OperationEvent` with `phase` and `progress`, an `Operation` with `outcome`, `{\"first\": …, \"last\": …}` with `gap`.",
            },
        },
    })
}

/// The schema of each parameter of the path or query of an operation, and whether it must be given, by name.
pub(crate) fn parameters(operation_id: &str) -> BTreeMap<String, (Value, bool)> {
    match operation_id {
        "listDeployments" => properties_of::<ListQuery>(),
        "getDeployment" | "deleteDeployment" | "resumeDeployment" | "projectExists" => {
            joined(properties_of::<NamePath>(), properties_of::<TargetQuery>())
        }
        "suspendDeployment" => joined(properties_of::<NamePath>(), properties_of::<SuspendQuery>()),
        "getNames" => properties_of::<NamesQuery>(),
        "getOperation" | "followOperation" => properties_of::<OperationPath>(),
        _ => BTreeMap::new(),
    }
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

fn joined(mut left: BTreeMap<String, (Value, bool)>, mut right: BTreeMap<String, (Value, bool)>) -> BTreeMap<String, (Value, bool)> {
    left.append(&mut right);
    left
}

fn properties_of<T: JsonSchema>() -> BTreeMap<String, (Value, bool)> {
    let generator = SchemaSettings::openapi3().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    let required = schema.remove("required").unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|required| required == name));
    let properties = schema.remove("properties").and_then(|properties| properties.as_object().cloned()).unwrap_or_default();
    properties.into_iter().map(|(name, schema)| (name.clone(), (schema, is_required(&name)))).collect()
}
