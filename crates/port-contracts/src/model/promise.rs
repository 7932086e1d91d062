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
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shown {
    /// The same as before.
    Same,
    /// This request.
    Request(RequestHash),
    /// What this request asks for, on record perhaps in other words: a login that is there can be asked for by name or not at all.
    Equal(RequestHash),
    /// Nothing.
    Nothing,
    /// Nobody said.
    Unknown,
}

/// Folds outcomes: what they promise, and which parts they say are not in order. Before them there was a release or not.
pub(super) fn fold(ended: &[Arc<FinishedOperation>], was_there: bool) -> (Promise, BTreeSet<Part>) {
    let mut promise = Promise { shown: Shown::Same, replicas: None };
    let mut trouble = BTreeSet::new();
    for operation in ended {
        match (operation.info.kind, &operation.outcome) {
            (OperationKind::Deploy, Ok(Success::Deployed { unchanged, .. })) => {
                let shown = if *unchanged { Shown::Equal } else { Shown::Request };
                promise = Promise { shown: shown(operation.info.task_hash.clone()), replicas: Some(1) };
                trouble.clear();
            }
            (OperationKind::Delete, Ok(_)) => {
                promise = Promise { shown: Shown::Nothing, replicas: None };
                trouble.clear();
            }
            (OperationKind::Suspend, Ok(_)) => promise.replicas = Some(0),
            (OperationKind::Resume, Ok(_)) => promise.replicas = Some(1),
            (OperationKind::Suspend | OperationKind::Resume, Err(_)) => {
                // It may have been scaled; that it then runs or sleeps is asked for all the same.
                promise.shown = Shown::Unknown;
            }
            (OperationKind::Deploy, Err(failure)) => match failure.undo {
                UndoOutcome::NothingToUndo | UndoOutcome::Undone => {}
                UndoOutcome::LeftAsIs if failure.code == FailureCode::PutToSleep => {
                    promise = Promise { shown: Shown::Equal(operation.info.task_hash.clone()), replicas: Some(0) };
                    trouble.insert(Part::Server);
                }
                // What the undo of a first deployment cannot remove is removed by itself.
                UndoOutcome::Failed if promise.shown == Shown::Nothing || promise.shown == Shown::Same && !was_there => {}
                UndoOutcome::LeftAsIs | UndoOutcome::Failed => {
                    promise.shown = Shown::Unknown;
                    trouble.extend(Part::ALL);
                }
            },
            (OperationKind::Delete, Err(failure)) if failure.code == FailureCode::NotFound => {}
            (OperationKind::Delete, Err(_)) => {
                promise.shown = Shown::Unknown;
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
