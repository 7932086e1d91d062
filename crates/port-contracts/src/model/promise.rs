//! What outcomes promise.

use std::collections::BTreeSet;
use std::sync::Arc;

use dbt_controller_domain::model::{FailureCode, FinishedOperation, OperationKind, RequestHash, Success, UndoOutcome};

use super::answer::Answer;
use super::invariants::Part;

/// What there has to be under a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Promise {
    pub(super) shown: Shown,
    /// The replicas, where they are promised.
    pub(super) replicas: Option<u32>,
    /// Whether an operation has made sure that nothing else is there, and nothing is missing.
    pub(super) is_whole: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shown {
    /// The same as before.
    Same,
    /// This request.
    Request(RequestHash),
    /// Nothing.
    Nothing,
    /// Nobody said.
    Unknown,
}

/// Folds outcomes: what they promise, and which parts they say are not in order.
pub(super) fn fold(ended: &[Arc<FinishedOperation>]) -> (Promise, BTreeSet<Part>) {
    let mut promise = Promise { shown: Shown::Same, replicas: None, is_whole: false };
    let mut trouble = BTreeSet::new();
    for operation in ended {
        match (operation.info.kind, &operation.outcome) {
            // What is on record is equal, though it may have been asked for in other words.
            (OperationKind::Deploy, Ok(Success::Deployed { unchanged: true, .. })) => {
                promise = Promise { replicas: Some(1), is_whole: true, ..promise };
                trouble.clear();
            }
            (OperationKind::Deploy, Ok(Success::Deployed { .. })) => {
                promise = Promise { shown: Shown::Request(operation.info.task_hash.clone()), replicas: Some(1), is_whole: true };
                trouble.clear();
            }
            (OperationKind::Delete, Ok(_)) => {
                promise = Promise { shown: Shown::Nothing, replicas: None, is_whole: true };
                trouble.clear();
            }
            (OperationKind::Suspend, Ok(_)) => promise.replicas = Some(0),
            (OperationKind::Resume, Ok(_)) => promise.replicas = Some(1),
            (OperationKind::Suspend | OperationKind::Resume, Err(_)) => {
                // It may have been scaled; that it then runs or sleeps is asked for all the same.
                (promise.shown, promise.is_whole) = (Shown::Unknown, false);
            }
            (OperationKind::Deploy, Err(failure)) => match failure.undo {
                UndoOutcome::NothingToUndo | UndoOutcome::Undone => {}
                UndoOutcome::LeftAsIs if failure.code == FailureCode::PutToSleep => {
                    promise = Promise { shown: Shown::Request(operation.info.task_hash.clone()), replicas: Some(0), is_whole: true };
                    trouble.insert(Part::Server);
                }
                UndoOutcome::LeftAsIs | UndoOutcome::Failed => {
                    (promise.shown, promise.is_whole) = (Shown::Unknown, false);
                    trouble.extend(Part::ALL);
                }
            },
            (OperationKind::Delete, Err(failure)) if failure.code == FailureCode::NotFound => {}
            (OperationKind::Delete, Err(_)) => {
                (promise.shown, promise.is_whole) = (Shown::Unknown, false);
                trouble.extend(Part::ALL);
            }
            // The stories run without `SLEEP_WITH_DAGS`.
            (OperationKind::Settle | OperationKind::FollowDags, _) | (OperationKind::Deploy, Ok(_)) => {}
        }
    }
    (promise, trouble)
}

/// The outcomes in words.
pub(super) fn story(ended: &[Arc<FinishedOperation>]) -> String {
    let outcome = |operation: &FinishedOperation| format!("{:?}", Answer::Given(operation.outcome.clone()));
    let tell = |operation: &Arc<FinishedOperation>| format!("{} {}: {}", operation.info.kind, operation.info.id, outcome(operation));
    if ended.is_empty() { "no operation".to_owned() } else { ended.iter().map(tell).collect::<Vec<_>>().join("; then ") }
}
