//! `HEAD /`: the question whether anybody is there.

use paperclip::actix::api_v2_operation;

use crate::answer::Empty;

/// Ask whether the service is reachable
///
/// Pipelines ask this before they deploy.
#[api_v2_operation(tags(Service), operation_id = "headRoot")]
pub(crate) async fn head_root() -> Empty {
    Empty
}
