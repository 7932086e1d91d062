//! `GET /api/v1/projects`.

use std::sync::Arc;

use actix_web::web::Data;
use dbt_controller_domain::model::{DeploymentFilter, Failure, FailureCode, ReleaseSummary};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::all::ReleaseItem;
use crate::answer::Answer;
use crate::app::ApiState;
use crate::error::ApiError;

/// Values are read release by release; so many at a time.
const PARALLEL_READS: usize = 16;

/// Deployments with their values, by namespace and name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProjectList(Vec<ProjectItem>);

/// A deployment with its values.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Project")]
pub(crate) struct ProjectItem {
    #[serde(flatten)]
    release: ReleaseItem,
    /// The values of the release, secrets as `***`; null when its record cannot be read.
    values: Option<Value>,
}

/// List projects
///
/// Every deployment with the values of its Helm release. Secrets in the values are shown as `***`.
#[api_v2_operation(tags(Projects), operation_id = "listProjects")]
pub(crate) async fn list_projects(state: Data<ApiState>) -> Result<Answer<ProjectList>, ApiError> {
    let releases = state.controller.list(&DeploymentFilter::default()).await?;
    let projects: Vec<Option<ProjectItem>> =
        stream::iter(releases).map(|release| project(&state, release)).buffered(PARALLEL_READS).try_collect().await?;
    Ok(Answer::new(ProjectList(projects.into_iter().flatten().collect())))
}

/// The deployment with its values; none when it went away in the meantime.
async fn project(state: &ApiState, release: Arc<ReleaseSummary>) -> Result<Option<ProjectItem>, Failure> {
    let values = match state.controller.release(&release.key, release.revision).await {
        Ok(None) => return Ok(None),
        Ok(Some(whole)) => Some(whole.values),
        Err(failure) if failure.code == FailureCode::ReleaseUnreadable => None,
        Err(failure) => return Err(failure),
    };
    Ok(Some(ProjectItem { release: ReleaseItem::from(&*release), values }))
}
