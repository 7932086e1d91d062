//! `GET /health/startup`.

use actix_web::web::Data;
use paperclip::actix::api_v2_operation;

use super::{Probe, ProbeWord, Probed};
use crate::app::ApiState;
use crate::error::ApiError;

const STARTUP: Probe = Probe {
    good: (ProbeWord::Started, "the service has started"),
    bad: (ProbeWord::NotStarted, "the service has not started yet; `checks` says why"),
};

/// Ask whether the service has started
///
/// 503 with `checks` while the cluster, its releases or the operations were not read yet, or what is known of them is out of date.
#[api_v2_operation(tags(Health), operation_id = "getStartup")]
pub(crate) async fn startup(state: Data<ApiState>) -> Result<Probed, ApiError> {
    Ok(STARTUP.answer(state.controller.health().await))
}
