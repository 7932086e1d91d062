//! A line: the operations of one release, run in turn by the replica that holds the lock.

use std::sync::Arc;
use std::time::Duration;

use super::audit;
use super::engine::Operations;
use super::placement::{Claim, Scene, cancelled, claim, promote, prune};
use super::records::{Known, update};
use super::run::{Run, Stop};
use super::{Ending, records::Change};
use crate::model::{
    Debt, Failure, FailureCode, FinishedOperation, HolderId, OperationKind, OperationRecord, OperationView, Success, UndoOutcome,
};
use crate::ports::{Fence, StoreError};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Runs the record's running operation, which this process has just claimed, and then each waiting one.
pub(super) async fn run_line(engine: Arc<Operations>, mut known: Known, mut sent: Instant, mut how: Claim) {
    loop {
        let Some(running) = known.record.running.clone() else { return };
        let fence = Fence::new(engine.limits.lock_stale_after, sent);
        let run = Arc::new(Run::new(Arc::clone(&engine.store), Arc::clone(&engine.clock), known, running, fence));
        let shown = engine.enter(&run);
        if how == Claim::TakenOver && !run.info.kind.is_background() {
            audit::taken_over(&run.info, run.running().phase);
            run.progress("its lock was given up, or not renewed in time; it goes on here with what was left");
        }
        let next = run_one(&engine, &run, how).await;
        drop(shown);
        match next {
            Some((next_known, next_sent)) => (known, sent, how) = (next_known, next_sent, Claim::Fresh),
            None => return,
        }
    }
}

async fn run_one(engine: &Arc<Operations>, run: &Arc<Run>, how: Claim) -> Option<(Known, Instant)> {
    // Whatever becomes of this task, the keeper ends with it: a lock that is renewed for ever could never be taken over.
    let mut keeper = JoinSet::new();
    keeper.spawn(keep(Arc::clone(engine), Arc::clone(run)));
    let ending = execute(engine, run, how).await;
    // It goes on until the end is written: the lock must not go stale under a slow store.
    close(engine, run, ending).await
}

async fn execute(engine: &Arc<Operations>, run: &Arc<Run>, how: Claim) -> Ending {
    let task = run.running().task;
    // What is half done waits for nobody; nor for a place to learn that it is cancelled: what it may owe is its own to say.
    let slot = if how != Claim::TakenOver && run.info.kind.needs_slot() {
        tokio::select! {
            slot = engine.slot() => slot,
            stop = run.stopped() => return stopped(stop),
            () = engine.closing() => return stopped(Stop::ShuttingDown),
        }
    } else {
        None
    };
    if how != Claim::TakenOver {
        // What is stopped before it begins does nothing here, so that whoever goes on can begin it. A place may be got at the same moment.
        if engine.is_closing() {
            run.ask_to_stop(Stop::ShuttingDown);
        }
        if let Err(stop) = run.checkpoint() {
            return stopped(stop);
        }
        run.begin();
    }
    let mut taken_over = match how {
        Claim::Fresh => false,
        Claim::Reclaimed => run.info.kind == OperationKind::Delete,
        Claim::TakenOver => true,
    };
    for attempt in 0..2 {
        let (engine, own, task) = (Arc::clone(engine), Arc::clone(run), task.clone());
        let guarded = tokio::spawn(async move { engine.executor.execute(&own, &task, taken_over).await });
        match guarded.await {
            Ok(ending) => return settle_stop(ending),
            // Not what it panicked with: values are secrets at times. Where it did is in the log.
            Err(_) if attempt == 0 => {
                tracing::error!(operation.id = %run.info.id, "the operation's task panicked; its work is taken over as if its process had died");
                taken_over = true;
            }
            Err(_) => tracing::error!(operation.id = %run.info.id, "the operation's task panicked again; it is ended as it is"),
        }
    }
    drop(slot);
    let failure = Failure {
        undo: UndoOutcome::Failed,
        ..Failure::new(
            FailureCode::Internal,
            "the service met a bug of its own; what the operation had done may still be there, a delete of the deployment removes it",
        )
    };
    // Nothing was taken back. What can be put right later is.
    Ending::Done { outcome: Err(failure), debts: run.ledger().debts(), paid: Vec::new() }
}

fn settle_stop(ending: Ending) -> Ending {
    match ending {
        Ending::Stopped(stop) => stopped(stop),
        done @ Ending::Done { .. } => done,
    }
}

/// A cancelled operation ends; the other reasons leave it to whoever goes on.
fn stopped(stop: Stop) -> Ending {
    match stop {
        Stop::Cancelled(by) => Ending::failure(cancelled(&by)),
        Stop::ShuttingDown | Stop::Later | Stop::Lost => Ending::Stopped(stop),
    }
}

/// Renews the lock and watches for cancel and loss until it is aborted.
async fn keep(engine: Arc<Operations>, run: Arc<Run>) {
    let period = engine.limits.lock_stale_after / 6;
    let mut changes = engine.store.watch(&run.info.key.name).await;
    let mut renewal = tokio::time::interval_at(Instant::now() + period, period);
    renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = renewal.tick() => {
                if let Err(error) = run.flush().await {
                    tracing::warn!(operation.id = %run.info.id, %error, "the operation's lock was not renewed");
                }
            }
            change = changes.changed() => match change {
                Ok(()) => {
                    let record = changes.borrow_and_update().clone();
                    if let Err(error) = run.see(record.as_deref()).await {
                        tracing::warn!(operation.id = %run.info.id, %error, "the operation's lock could not be looked at");
                    }
                }
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    changes = engine.store.watch(&run.info.key.name).await;
                }
            },
        }
    }
}

/// Writes how the operation ended and claims the next in line.
async fn close(engine: &Arc<Operations>, run: &Arc<Run>, ending: Ending) -> Option<(Known, Instant)> {
    let closed = match ending {
        Ending::Stopped(Stop::ShuttingDown | Stop::Later) => give_up(run).await,
        Ending::Stopped(Stop::Lost | Stop::Cancelled(_)) => Ok(None),
        Ending::Done { outcome, debts, paid } => {
            let finished = Arc::new(FinishedOperation {
                info: run.info.clone(),
                started_at: Some(run.started_at()),
                finished_at: engine.clock.now(),
                outcome: outcome.map_err(|failure| run.redact_failure(failure)),
                debts,
                events: run.running().events,
            });
            finish(engine, run, &finished, &paid).await
        }
    };
    match closed {
        Ok(next) => next.filter(|(known, _)| known.record.running.is_some()),
        Err(error) => {
            tracing::error!(operation.id = %run.info.id, %error, "the end of the operation could not be written; it is taken over when its lock is stale");
            None
        }
    }
}

async fn finish(
    engine: &Arc<Operations>,
    run: &Arc<Run>,
    finished: &Arc<FinishedOperation>,
    paid: &[(crate::model::ReleaseKey, crate::model::Debt)],
) -> Result<Option<(Known, Instant)>, StoreError> {
    let next = engine.new_holder();
    let silent = !is_worth_telling(finished, paid.is_empty());
    let write = |record: &mut OperationRecord| {
        record.running = None;
        for earlier in &mut record.finished {
            let is_paid = |debt: &Debt| paid.iter().any(|(key, paid)| *key == earlier.info.key && paid == debt);
            // Who fails in the same way again and again owes the same: it is kept once, and the older operations go with time.
            let is_told_again = |debt: &Debt| earlier.info.key == finished.info.key && finished.debts.contains(debt);
            let is_over = |debt: &Debt| is_paid(debt) || is_told_again(debt);
            if earlier.debts.iter().any(is_over) {
                let left = earlier.debts.iter().filter(|debt| !is_over(debt)).cloned().collect();
                Arc::make_mut(earlier).debts = left;
            }
        }
        if !silent {
            // The last one tells it all: should it fail again and again, it must not push out what people look for.
            let is_earlier = |earlier: &FinishedOperation| earlier.info.kind == OperationKind::FollowDags && earlier.debts.is_empty();
            if run.info.kind == OperationKind::FollowDags {
                record.finished.retain(|earlier| !is_earlier(earlier));
            }
            record.finished.push(Arc::clone(finished));
        }
        let now = engine.clock.now();
        prune(record, now, engine.limits.retention);
        let scene = Scene { now, holder: &next, stale: false, stale_after: engine.limits.lock_stale_after };
        if promote(record, &scene)
            && let Some(promoted) = &mut record.running
        {
            // Asked at each try: the service may begin to stop while the store is away.
            promoted.released = engine.is_closing();
        }
    };
    let mut pause = Duration::from_millis(250);
    let closed = loop {
        match run.close(write, |record| found_finished(record, finished, &next, engine.is_closing())).await {
            // Everything but this last note is done. It is worth waiting for the store, as long as the lock may still be ours.
            Err(error) if pause < engine.limits.lock_stale_after => {
                tracing::warn!(operation.id = %run.info.id, %error, "the end of the operation is not written yet");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            other => break other?,
        }
    };
    if closed.is_some() {
        if !silent {
            engine.tell_end(finished);
        }
        run.show_end(OperationView::from(&**finished));
    }
    Ok(closed.filter(|(known, _)| known.record.running.as_ref().is_some_and(|promoted| !promoted.released && promoted.holder == next)))
}

/// The end of background work that changed nothing tells nobody anything; it would push out what does.
fn is_worth_telling(finished: &FinishedOperation, paid_nothing: bool) -> bool {
    match (finished.info.kind, &finished.outcome) {
        (OperationKind::Settle, _) => !paid_nothing,
        (OperationKind::FollowDags, Ok(Success::FollowedDags { state })) => state.is_some(),
        // The server is removed, or was meanwhile.
        (OperationKind::FollowDags, Err(failure)) => !matches!(failure.code, FailureCode::Cancelled | FailureCode::NotFound),
        _ => true,
    }
}

/// After a lost answer: whether this very end is written already, and if so, renews the claim of the next one, or gives it up when the service
/// stops. Whoever took the operation over may have written another, and then it is theirs that counts.
fn found_finished(record: &mut OperationRecord, finished: &FinishedOperation, next: &HolderId, closing: bool) -> Change<bool> {
    // Looked for first: the end of some operations is not kept.
    match record.running.as_mut().filter(|running| running.holder == *next) {
        Some(running) => {
            running.renewal += 1;
            running.released |= closing;
            Change::Write(true)
        }
        None => Change::Leave(record.finished(&finished.info.id).is_some_and(|written| **written == *finished)),
    }
}

/// Marks the lock as given up, so that it can be taken over at once.
async fn give_up(run: &Arc<Run>) -> Result<Option<(Known, Instant)>, StoreError> {
    run.fence.take_down();
    let own = run.running();
    tracing::warn!(
        operation.id = %run.info.id, release.name = %run.info.key.name, request.id = %run.info.caller.request_id, phase = %own.phase,
        "the operation is given up here; whoever takes it over goes on"
    );
    run.close(
        |record| {
            if let Some(running) = &mut record.running {
                let cancelled_by = running.cancelled_by.clone();
                *running = crate::model::RunningOperation { released: true, cancelled_by, ..own.clone() };
            }
        },
        |_| Change::Leave(false),
    )
    .await?;
    Ok(None)
}

/// Claims the line of a record whose holder is gone (or that has none) and runs it. Says whether there was anything to claim.
pub(super) async fn take_over(engine: &Arc<Operations>, stored: &OperationRecord) -> Result<bool, StoreError> {
    let _claiming = engine.claiming();
    if engine.is_closing() {
        return Ok(false);
    }
    let holder = engine.new_holder();
    let changed = update(&*engine.store, &stored.key, None, |record, lock_age| {
        let stale_after = engine.limits.lock_stale_after;
        let stale = super::placement::is_stale(record, lock_age, stale_after);
        let scene = Scene { now: engine.clock.now(), holder: &holder, stale, stale_after };
        match claim(record, &scene) {
            Some(how) => Change::Write(Some(how)),
            None => Change::Leave(None),
        }
    })
    .await?;
    let Some(how) = changed.value else { return Ok(false) };
    engine.spawn_line(changed.known, changed.sent, how);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OperationInfo;
    use crate::test_support::{deploy_task, identity, now, queued};

    fn finished(info: &OperationInfo, outcome: Result<Success, Failure>) -> FinishedOperation {
        FinishedOperation { info: info.clone(), started_at: None, finished_at: now(), outcome, debts: Vec::new(), events: Vec::new() }
    }

    #[test]
    fn an_end_that_somebody_else_wrote_is_not_ours() {
        let info = queued("op-1", &identity(), deploy_task()).info;
        let ours = finished(&info, Ok(Success::Settled));
        let theirs = finished(&info, Err(Failure::new(FailureCode::Interrupted, "taken over")));
        let next = HolderId("next".to_owned());
        for (written, is_ours) in [(&ours, true), (&theirs, false)] {
            let mut record = OperationRecord { finished: vec![Arc::new(written.clone())], ..OperationRecord::empty(info.key.clone()) };
            assert!(matches!(found_finished(&mut record, &ours, &next, false), Change::Leave(found) if found == is_ours), "{written:?}");
        }
    }

    #[test]
    fn the_next_claim_is_found_after_a_lost_answer_and_given_up_when_the_service_stops() {
        let info = queued("op-1", &identity(), deploy_task()).info;
        let ours = finished(&info, Ok(Success::Settled));
        let next = HolderId("next".to_owned());
        for closing in [false, true] {
            let mut record =
                OperationRecord { waiting: vec![queued("op-2", &identity(), deploy_task())], ..OperationRecord::empty(info.key.clone()) };
            let stale_after = Duration::from_secs(30);
            promote(&mut record, &Scene { now: now(), holder: &next, stale: false, stale_after });
            assert!(matches!(found_finished(&mut record, &ours, &next, closing), Change::Write(true)));
            let running = record.running.unwrap();
            assert_eq!((running.renewal, running.released), (1, closing));
        }
    }
}
