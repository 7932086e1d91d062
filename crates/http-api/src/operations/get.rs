//! `GET /api/v1/operations/{id}`.

use actix_web::web::Data;
use paperclip::actix::{api_v2_operation, web};

use super::{OperationAnswer, OperationPath};
use crate::answer::Answer;
use crate::app::ApiState;
use crate::error::ApiError;

/// Read an operation
///
/// Where it stands, what happened so far and, once it has ended, how: `outcome` tells it with the same
/// words as to a caller who waited. An ended operation
/// stays readable for a while, longer as long as something that it had to leave is still open.
#[api_v2_operation(tags(Operations), operation_id = "getOperation")]
pub(crate) async fn get_operation(state: Data<ApiState>, path: web::Path<OperationPath>) -> Result<Answer<OperationAnswer>, ApiError> {
    let view = state.controller.operation(&path.parse()?).await?;
    let view = view.ok_or_else(|| path.unknown())?;
    Ok(Answer::new(OperationAnswer::from(&*view)))
}
