//! `GET /api/v1/operations`.

use actix_web::web::Data;
use paperclip::actix::api_v2_operation;

use super::{OperationAnswer, OperationListAnswer};
use crate::answer::Answer;
use crate::app::ApiState;
use crate::error::ApiError;

/// List operations
///
/// Those that wait, that run, and that ended not long ago, on every replica of the service, oldest submission first.
#[api_v2_operation(tags(Operations), operation_id = "listOperations")]
pub(crate) async fn list_operations(state: Data<ApiState>) -> Result<Answer<OperationListAnswer>, ApiError> {
    let views = state.controller.operations().await?;
    Ok(Answer::new(OperationListAnswer(views.iter().map(|view| OperationAnswer::from(&**view)).collect())))
}
