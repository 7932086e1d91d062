//! `POST /api/v1/deployments/{name}/suspend`.

use actix_web::web::Data;
use paperclip::actix::{Apiv2Schema, api_v2_operation, web};
use schemars::JsonSchema;
use serde::Deserialize;

use super::submission::{Reply, Submission};
use super::success::ScaleAnswer;
use crate::app::ApiState;
use crate::error::ApiError;
use crate::extract::{NamePath, Prefer, Problems, RequestCaller, TargetQuery, target};

/// How to put it to sleep.
#[derive(Debug, Deserialize, Apiv2Schema, JsonSchema)]
pub(crate) struct SuspendQuery {
    /// The namespace; needed only when a name is there in several.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    namespace: Option<String>,
    /// Also while an unpaused DAG uses the server.
    #[schemars(with = "Option<bool>")]
    force: Option<String>,
}

/// Put a deployment to sleep
///
/// Scales the server to 0 and answers when its pods are gone; nothing is deleted. Refused while an unpaused DAG names the release, unless
/// `force=true`.
#[api_v2_operation(tags(Deployments), operation_id = "suspendDeployment")]
pub(crate) async fn suspend_deployment(
    state: Data<ApiState>,
    path: web::Path<NamePath>,
    query: web::Query<SuspendQuery>,
    caller: RequestCaller,
    prefer: Prefer,
) -> Result<Reply<ScaleAnswer>, ApiError> {
    let SuspendQuery { namespace, force } = query.into_inner();
    let mut problems = Problems::default();
    let force = problems.note("force", parse_flag(force.as_deref()));
    let force = problems.finish(force.unwrap_or_default())?;
    let target = target(path.into_inner(), &TargetQuery { namespace })?;
    let ticket = state.controller.suspend(&target, force, caller.0).await;
    Submission { state: &state, target: Some(&target), prefer, warnings: Vec::new() }.conclude(ticket).await
}

fn parse_flag(text: Option<&str>) -> Result<bool, String> {
    match text {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err("must be `true` or `false`".to_owned()),
    }
}
