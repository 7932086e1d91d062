//! Parameters of path and query.
//!
//! Every parameter arrives as text and is checked by hand, so that all that is wrong is said at once, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use dbt_controller_domain::model::{Namespace, Target};
use paperclip::actix::Apiv2Schema;
use paperclip::actix::web::{PathConfig, QueryConfig};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{ApiError, ErrorCode};

/// The deployment in the path.
#[derive(Debug, Deserialize, Apiv2Schema, JsonSchema)]
pub(crate) struct NamePath {
    /// The name of the release. What does not begin with `dbt-server-` may leave that prefix out.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
}

/// Where the deployment is.
#[derive(Debug, Deserialize, Apiv2Schema, JsonSchema)]
pub(crate) struct TargetQuery {
    /// The namespace; needed only when a name is there in several.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub(crate) namespace: Option<String>,
}

/// Collects what is wrong with the parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Problems(BTreeMap<String, Vec<String>>);

impl Problems {
    /// The parsed value of a parameter; a bad one is noted and counts as absent.
    pub(crate) fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, text: Option<&str>) -> Option<T> {
        self.note(name, text?.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// The value; a problem is noted and counts as absent.
    pub(crate) fn note<T>(&mut self, name: &str, value: Result<T, String>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(problem) => {
                self.0.entry(name.to_owned()).or_default().push(problem);
                None
            }
        }
    }

    /// The value, if nothing was wrong.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, ApiError> {
        if self.0.is_empty() { Ok(value) } else { Err(ApiError::invalid(self.0)) }
    }
}

/// The deployment that path and query name.
pub(crate) fn target(path: NamePath, query: &TargetQuery) -> Result<Target, ApiError> {
    let mut problems = Problems::default();
    let namespace = problems.parse::<Namespace>("namespace", query.namespace.as_deref());
    problems.finish(Target { name: path.name, namespace })
}

/// Queries are read as text, so all that can go wrong here is a parameter that comes twice.
pub(crate) fn query_config() -> QueryConfig {
    QueryConfig::default().error_handler(|error, _| ApiError::invalid_parameter("query", error).into())
}

/// Paths are read as text too; this is for what the framework may find some day.
pub(crate) fn path_config() -> PathConfig {
    PathConfig::default().error_handler(|error, _| ApiError::new(ErrorCode::BadRequest, format!("the path cannot be read: {error}")).into())
}
