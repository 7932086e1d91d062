//! `POST /api/v1/deployments`.

use actix_web::web::Data;
use paperclip::actix::api_v2_operation;

use super::submission::{Reply, Submission};
use super::success::DeployAnswer;
use crate::app::ApiState;
use crate::deploy_body::{BodyError, parse};
use crate::error::{ApiError, ErrorCode};
use crate::extract::{JsonBody, Prefer, RequestCaller};

/// Create or update a deployment
///
/// Makes the dbt server of a project and git branch, or changes it to what the body asks for, waits until it is ready and registers it as
/// an Airflow connection. Only `project_name` must be in the body; the rest comes from configuration.
///
/// When something goes wrong, everything is as it was before, and `details.autopsy` tells what the server looked like. An equal request
/// that arrives while the first still runs joins it and gets the same answer. A caller who hangs up cancels nothing.
#[api_v2_operation(tags(Deployments), operation_id = "createDeployment")]
pub(crate) async fn create_deployment(
    state: Data<ApiState>,
    caller: RequestCaller,
    prefer: Prefer,
    body: JsonBody,
) -> Result<Reply<DeployAnswer>, ApiError> {
    let body = body.read(|bytes| parse(bytes, &state.defaults))?;
    let ticket = state.controller.deploy(body.request, caller.0).await;
    let submission = Submission { state: &state, target: None, prefer, warnings: body.warnings };
    submission.conclude(ticket).await
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Malformed(problem) => Self::new(ErrorCode::MalformedBody, problem),
            BodyError::Invalid(problems) => Self::invalid(problems),
        }
    }
}
