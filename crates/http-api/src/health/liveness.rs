//! `GET /health/liveness`.

use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::Answer;
use crate::error::ApiError;

/// The service runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LivenessAnswer {
    /// Always `alive`.
    status: &'static str,
    /// The same in a sentence.
    message: &'static str,
}

/// Ask whether the service runs
///
/// 200 as long as it does, whatever its surroundings do: restarting it would not bring the cluster back.
#[api_v2_operation(tags(Health), operation_id = "getLiveness")]
pub(crate) async fn liveness() -> Result<Answer<LivenessAnswer>, ApiError> {
    Ok(Answer::new(LivenessAnswer { status: "alive", message: "the service runs" }))
}
