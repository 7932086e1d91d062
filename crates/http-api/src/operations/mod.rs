//! `/api/v1/operations`.

mod answers;
mod autopsy;
mod events;
mod get;
mod list;

pub(crate) use answers::{EventAnswer, OperationAnswer, OperationListAnswer};
pub(crate) use autopsy::AutopsyAnswer;
pub(crate) use events::follow_operation;
pub(crate) use get::get_operation;
pub(crate) use list::list_operations;

use dbt_controller_domain::model::OperationId;
use paperclip::actix::Apiv2Schema;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{ApiError, ErrorCode};

/// The operation in the path.
#[derive(Debug, Deserialize, Apiv2Schema, JsonSchema)]
pub(crate) struct OperationPath {
    /// The id of the operation.
    #[schemars(length(min = 1))]
    id: String,
}

impl OperationPath {
    /// The id; a text that cannot be one names no operation.
    fn parse(&self) -> Result<OperationId, ApiError> {
        self.id.parse().map_err(|_| self.unknown())
    }

    fn unknown(&self) -> ApiError {
        ApiError::new(ErrorCode::OperationNotFound, format!("Operation {} not found; ended ones are kept for a while only", self.id))
    }
}
