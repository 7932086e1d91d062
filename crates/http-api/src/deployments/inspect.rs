//! `GET /api/v1/deployments/{name}`.

use actix_web::web::Data;
use paperclip::actix::{api_v2_operation, web};

use super::view::DeploymentAnswer;
use crate::answer::Answer;
use crate::app::ApiState;
use crate::error::ApiError;
use crate::extract::{NamePath, TargetQuery, target};

/// Read a deployment
///
/// All that is known of one deployment: its release, its server, its last health probe, its volumes, its Airflow connection, the DAGs that
/// use it, and the operation that runs or waits for it now.
#[api_v2_operation(tags(Deployments), operation_id = "getDeployment")]
pub(crate) async fn get_deployment(
    state: Data<ApiState>,
    path: web::Path<NamePath>,
    query: web::Query<TargetQuery>,
) -> Result<Answer<DeploymentAnswer>, ApiError> {
    let target = target(path.into_inner(), &query)?;
    let deployment = state.controller.inspect(&target).await;
    let deployment = deployment.map_err(|failure| ApiError::about(&target, state.controller.settings().home(), failure))?;
    Ok(Answer::new(DeploymentAnswer::of(&deployment, state.clock.now())))
}
