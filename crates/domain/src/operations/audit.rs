//! The audit: one line when an operation is taken in, when another caller joins it, when it is taken over, and when it has ended, under a log
//! target of their own.

use crate::model::{FinishedOperation, OperationId, OperationInfo, Phase};

/// The log target of these lines. Whatever level is written of others, they are.
pub const AUDIT_TARGET: &str = "audit";

pub(super) fn accepted(info: &OperationInfo) {
    tracing::info!(
        target: AUDIT_TARGET,
        actor = %info.caller.actor, kind = %info.kind, release.namespace = %info.key.namespace, release.name = %info.key.name,
        request.id = %info.caller.request_id, operation.id = %info.id, result = "accepted",
        "operation accepted"
    );
}

/// A caller who asked for what is under way already.
pub(super) fn joined(info: &OperationInfo, operation: &OperationId) {
    tracing::info!(
        target: AUDIT_TARGET,
        actor = %info.caller.actor, kind = %info.kind, release.namespace = %info.key.namespace, release.name = %info.key.name,
        request.id = %info.caller.request_id, operation.id = %operation, result = "joined",
        "operation joined"
    );
}

/// The holder of a begun operation is gone, and this process goes on with it.
pub(super) fn taken_over(info: &OperationInfo, phase: Phase) {
    tracing::warn!(
        target: AUDIT_TARGET,
        actor = %info.caller.actor, kind = %info.kind, release.namespace = %info.key.namespace, release.name = %info.key.name,
        request.id = %info.caller.request_id, operation.id = %info.id, result = "taken_over", %phase,
        "operation taken over"
    );
}

pub(super) fn ended(finished: &FinishedOperation) {
    let info = &finished.info;
    match &finished.outcome {
        Ok(_) => tracing::info!(
            target: AUDIT_TARGET,
            actor = %info.caller.actor, kind = %info.kind, release.namespace = %info.key.namespace, release.name = %info.key.name,
            request.id = %info.caller.request_id, operation.id = %info.id, result = "succeeded",
            "operation succeeded"
        ),
        Err(failure) => tracing::warn!(
            target: AUDIT_TARGET,
            actor = %info.caller.actor, kind = %info.kind, release.namespace = %info.key.namespace, release.name = %info.key.name,
            request.id = %info.caller.request_id, operation.id = %info.id, result = "failed", code = %failure.code, undo = %failure.undo,
            "operation failed: {}", failure.message
        ),
    }
}
