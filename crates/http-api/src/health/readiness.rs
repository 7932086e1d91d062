//! `GET /health/readiness`.

use actix_web::web::Data;
use paperclip::actix::api_v2_operation;

use super::{Probe, ProbeWord, Probed};
use crate::app::ApiState;
use crate::error::ApiError;

const READINESS: Probe = Probe {
    good: (ProbeWord::Ready, "the service is ready to handle requests"),
    bad: (ProbeWord::NotReady, "the service cannot handle requests at present; `checks` says why"),
};

/// Ask whether the service can do its work
///
/// 503 with `checks` when the cluster, its releases or the operations cannot be read, or what is known of them is out of date, or when the service
/// is stopping.
#[api_v2_operation(tags(Health), operation_id = "getReadiness")]
pub(crate) async fn readiness(state: Data<ApiState>) -> Result<Probed, ApiError> {
    Ok(READINESS.answer(state.controller.health().await))
}
