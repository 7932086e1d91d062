//! `GET /info`.

use std::collections::BTreeMap;

use actix_web::web::Data;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;

use super::SERVICE;
use crate::answer::Answer;
use crate::app::ApiState;
use crate::error::ApiError;
use crate::settings::ServiceInfo;

/// How the service was built and set up.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServiceInfo")]
pub(crate) struct InfoAnswer {
    /// The service's name.
    service: &'static str,
    /// Its version.
    version: String,
    /// Which build it is.
    build: String,
    /// The settings in force, by name, without secrets.
    settings: BTreeMap<String, String>,
}

/// Tell how the service is set up
///
/// Version, build and the settings in force. Secrets are left out.
#[api_v2_operation(tags(Service), operation_id = "getInfo")]
pub(crate) async fn get_info(state: Data<ApiState>) -> Result<Answer<InfoAnswer>, ApiError> {
    let ServiceInfo { version, build, settings } = state.info.clone();
    Ok(Answer::new(InfoAnswer { service: SERVICE, version, build, settings }))
}
