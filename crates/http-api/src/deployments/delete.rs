//! `DELETE /api/v1/deployments/{name}`.

use actix_web::web::Data;
use paperclip::actix::{api_v2_operation, web};

use super::submission::{Reply, Submission};
use super::success::DeleteAnswer;
use crate::app::ApiState;
use crate::error::ApiError;
use crate::extract::{NamePath, Prefer, RequestCaller, TargetQuery, target};

/// Delete a deployment
///
/// Removes the Airflow connection, the Helm release with all its objects, and the volume claims. A deploy that runs is stopped at its next
/// step. When Airflow cannot be reached, the rest is removed all the same and the connection later.
#[api_v2_operation(tags(Deployments), operation_id = "deleteDeployment")]
pub(crate) async fn delete_deployment(
    state: Data<ApiState>,
    path: web::Path<NamePath>,
    query: web::Query<TargetQuery>,
    caller: RequestCaller,
    prefer: Prefer,
) -> Result<Reply<DeleteAnswer>, ApiError> {
    let target = target(path.into_inner(), &query)?;
    let ticket = state.controller.delete(&target, caller.0).await;
    Submission { state: &state, target: Some(&target), prefer, warnings: Vec::new() }.conclude(ticket).await
}
