//! `POST /api/v1/deployments/{name}/resume`.

use actix_web::web::Data;
use paperclip::actix::{api_v2_operation, web};

use super::submission::{Reply, Submission};
use super::success::ScaleAnswer;
use crate::app::ApiState;
use crate::error::ApiError;
use crate::extract::{NamePath, Prefer, RequestCaller, TargetQuery, target};

/// Wake a deployment up
///
/// Scales the server to 1 and waits until it is ready. A server that does not come up stays as it is.
#[api_v2_operation(tags(Deployments), operation_id = "resumeDeployment")]
pub(crate) async fn resume_deployment(
    state: Data<ApiState>,
    path: web::Path<NamePath>,
    query: web::Query<TargetQuery>,
    caller: RequestCaller,
    prefer: Prefer,
) -> Result<Reply<ScaleAnswer>, ApiError> {
    let target = target(path.into_inner(), &query)?;
    let ticket = state.controller.resume(&target, caller.0).await;
    Submission { state: &state, target: Some(&target), prefer, warnings: Vec::new() }.conclude(ticket).await
}
