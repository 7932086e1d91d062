//! `GET /api/v1/status`.

use actix_web::web::Data;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;

use super::SERVICE;
use crate::answer::Answer;
use crate::app::ApiState;
use crate::error::ApiError;

/// What runs here.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServiceStatus")]
pub(crate) struct StatusAnswer {
    /// Always `healthy` (an answer at all is the news; `/health/readiness` tells more).
    status: &'static str,
    /// The service's version.
    version: String,
    /// Operating system and processor.
    platform: String,
    /// The service's name.
    service: &'static str,
}

/// Tell the service's status
///
/// Version and platform of the service. Needs no token.
#[api_v2_operation(tags(Service), operation_id = "getStatus")]
pub(crate) async fn get_status(state: Data<ApiState>) -> Result<Answer<StatusAnswer>, ApiError> {
    Ok(Answer::new(StatusAnswer {
        status: "healthy",
        version: state.info.version.clone(),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        service: SERVICE,
    }))
}
