//! About how large a record would be in a store that serialises it.

use dbt_controller_domain::model::{
    Autopsy, Failure, FinishedOperation, OperationEvent, OperationInfo, OperationRecord, QueuedOperation, RunningOperation, Success, Task,
};

/// Field names, punctuation, times and short words of one JSON object.
const OBJECT: usize = 120;
/// A request: about thirty fields. Their texts are limited, so they are not counted one by one.
const REQUEST: usize = 4096;

pub(super) fn of(record: &OperationRecord) -> usize {
    let OperationRecord { key: _, running, waiting, finished } = record;
    OBJECT
        + running.iter().map(running_size).sum::<usize>()
        + waiting.iter().map(|QueuedOperation { info, task }| info_size(info) + task_size(task)).sum::<usize>()
        + finished.iter().map(|finished| finished_size(finished)).sum::<usize>()
}

fn running_size(running: &RunningOperation) -> usize {
    // Besides a failure that is being undone, the ledger holds a few names.
    let undoing = running.ledger.undoing.as_deref().map_or(0, failure_size);
    info_size(&running.info) + task_size(&running.task) + 4 * OBJECT + undoing + events_size(&running.events)
}

fn finished_size(finished: &FinishedOperation) -> usize {
    let outcome = match &finished.outcome {
        Ok(success) => success_size(success),
        Err(failure) => failure_size(failure),
    };
    info_size(&finished.info) + outcome + finished.debts.len() * OBJECT + events_size(&finished.events)
}

fn info_size(info: &OperationInfo) -> usize {
    4 * OBJECT + info.caller.request_id.len() + info.caller.actor.len()
}

fn task_size(task: &Task) -> usize {
    match task {
        Task::Deploy(_) => REQUEST,
        Task::Delete | Task::Suspend { .. } | Task::Resume | Task::Settle | Task::FollowDags => OBJECT,
    }
}

fn events_size(events: &[OperationEvent]) -> usize {
    events.iter().map(|event| OBJECT + event.message.len()).sum()
}

fn success_size(success: &Success) -> usize {
    match success {
        Success::Deployed { notes, .. } => 3 * OBJECT + texts(notes),
        Success::Deleted { claims, .. } => 2 * OBJECT + texts(claims),
        Success::Suspended | Success::Resumed | Success::Settled | Success::FollowedDags { .. } => OBJECT,
    }
}

fn failure_size(failure: &Failure) -> usize {
    OBJECT + failure.message.len() + texts(&failure.available) + failure.autopsy.as_deref().map_or(0, autopsy_size)
}

fn autopsy_size(autopsy: &Autopsy) -> usize {
    let Autopsy { containers, events, scheduling, volumes, gaps } = autopsy;
    let containers =
        containers.iter().map(|container| OBJECT + texts(&container.log) + container.message.iter().map(String::len).sum::<usize>());
    let events = events.iter().map(|event| OBJECT + event.message.len());
    let volumes = volumes.iter().map(|volume| OBJECT + volume.message.iter().map(String::len).sum::<usize>());
    containers.sum::<usize>()
        + events.sum::<usize>()
        + volumes.sum::<usize>()
        + texts(gaps)
        + scheduling.iter().map(String::len).sum::<usize>()
}

fn texts(texts: &[String]) -> usize {
    texts.iter().map(|text| text.len() + 3).sum()
}
