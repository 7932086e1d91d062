//! Where a new operation goes on a release's record. Pure: the engine retries it until the store takes the result.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Failure, FailureCode, FinishedOperation, HolderId, Ledger, OperationId, OperationInfo, OperationKind, OperationRecord, Phase,
    QueuedOperation, RunningOperation, Settings, UndoOutcome,
};

/// What became of a submitted operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placement {
    /// An equal one is under way; this is its id. The claim tells whether the caller has to run the line, whose holder was gone.
    Joined(OperationId, Option<Claim>),
    /// It is on the record; the claim tells whether the caller has to run the line.
    Placed(Option<Claim>),
    /// The line is full.
    Full,
    /// The name is in use by an unfinished operation of another identity.
    Held,
}

/// What placing a submitted operation did to the record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placing {
    pub(crate) placement: Placement,
    /// What waited and has ended, since a delete made it pointless.
    pub(crate) ended: Vec<Arc<FinishedOperation>>,
}

impl Placing {
    /// Whether the record is another one than before, so that it has to be written.
    pub(crate) fn is_change(&self) -> bool {
        match self.placement {
            Placement::Placed(_) | Placement::Joined(_, Some(_)) => true,
            Placement::Joined(_, None) | Placement::Full | Placement::Held => !self.ended.is_empty(),
        }
    }
}

impl From<Placement> for Placing {
    fn from(placement: Placement) -> Self {
        Self { placement, ended: Vec::new() }
    }
}

/// A claimed line: the caller is the holder of `running` now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// `running` has not begun yet.
    Fresh,
    /// `running` was held by somebody who is gone, and nothing says that it begun. What of it needs an undo was not done: that is stored
    /// before. A delete needs none, so it may have been done.
    Reclaimed,
    /// `running` was begun by a holder that is gone.
    TakenOver,
}

/// What placement needs to know beside the record.
#[derive(Debug, Clone)]
pub(crate) struct Scene<'a> {
    pub(crate) now: Timestamp,
    /// The id of this claim, made for it alone.
    pub(crate) holder: &'a HolderId,
    /// Whether the holder of `running` is gone.
    pub(crate) stale: bool,
    /// After how long without a sign of life this holder counts as gone.
    pub(crate) stale_after: Duration,
}

/// What this replica has room for. A delete needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// For an operation that has to wait.
    ToWait,
    /// As many wait as may; for one that can begin at once.
    ToBegin,
    /// As many wait as may, and this one would wait for a place among those that run.
    Full,
}

impl Room {
    fn is_enough(self, record: &OperationRecord) -> bool {
        match self {
            Self::ToWait => true,
            Self::ToBegin => record.unfinished().next().is_none(),
            Self::Full => false,
        }
    }
}

/// Whether a lock may be taken over: given up, or not renewed for S + 1 s (the store's clock has a resolution of 1 s). While a setting is being
/// changed the holder may have another S than we: it renews and stops writing by its own, so the longer one counts.
pub(crate) fn is_stale(record: &OperationRecord, lock_age: Duration, stale_after: Duration) -> bool {
    let is_over = |running: &RunningOperation| lock_age >= stale_after.max(running.stale_after) + Duration::from_secs(1);
    record.running.as_ref().is_some_and(|running| running.released || is_over(running))
}

/// Puts an operation on the record: joins an equal one, starts at once, or waits. Safe to repeat after a lost answer.
pub(crate) fn place(record: &mut OperationRecord, operation: &QueuedOperation, room: Room, scene: &Scene<'_>) -> Placing {
    let info = &operation.info;
    if record.finished(&info.id).is_some() {
        // An earlier try was written, its answer lost, and somebody else has run it to its end by now.
        return Placement::Joined(info.id.clone(), None).into();
    }
    if is_held_by_another(record, info) {
        return Placement::Held.into();
    }
    if record.unfinished().any(|(other, _)| other.id == info.id) {
        // An earlier try was written and its answer lost; the holder id tells whether it also claimed the line.
        return Placement::Placed(own_claim(record, scene)).into();
    }
    // A delete always gets through: one that waits is joined, and does not end as cancelled by the next.
    let waits = |queued: &QueuedOperation| queued.info.kind == OperationKind::Delete && queued.info.key == info.key;
    if info.kind == OperationKind::Delete
        && let Some(first) = record.waiting.iter().position(waits)
    {
        let delete = record.waiting[first].info.clone();
        let ended = cancel_waiting(record, &delete, first + 1, scene.now);
        return Placing { placement: Placement::Joined(delete.id, claim(record, scene)), ended };
    }
    // A name can be used in two namespaces: by leftovers in one of them, or by releases that we did not make.
    if let Some(equal) = joinable(record, info, scene).filter(|last| last.task_hash == info.task_hash) {
        let id = equal.id.clone();
        return Placement::Joined(id, claim(record, scene)).into();
    }
    let mut ended = Vec::new();
    if info.kind == OperationKind::Delete {
        ended = cancel_all(record, info, scene.now);
    } else if record.waiting.len() >= OperationRecord::MAX_WAITING || !room.is_enough(record) {
        return Placement::Full.into();
    }
    record.waiting.push(operation.clone());
    Placing { placement: Placement::Placed(claim(record, scene)), ended }
}

/// Takes the line of a record whose holder is gone, or that has none. Says how; none when somebody holds it. Safe to repeat.
pub(crate) fn claim(record: &mut OperationRecord, scene: &Scene<'_>) -> Option<Claim> {
    match &mut record.running {
        Some(running) if scene.stale => {
            running.holder = scene.holder.clone();
            running.stale_after = scene.stale_after;
            running.released = false;
            own_claim(record, scene).map(|claim| if claim == Claim::Fresh { Claim::Reclaimed } else { claim })
        }
        Some(_) => own_claim(record, scene),
        None => promote(record, scene).then_some(Claim::Fresh),
    }
}

/// The claim that stands on the record under this holder id. It counts as renewed by the write that follows.
fn own_claim(record: &mut OperationRecord, scene: &Scene<'_>) -> Option<Claim> {
    let running = record.running.as_mut().filter(|running| running.holder == *scene.holder)?;
    // Our own promotion is not renewed yet when its answer is lost.
    let is_new = running.renewal == 0;
    running.renewal += 1;
    let has_begun = running.phase != Phase::Queued || running.ledger != Ledger::default();
    Some(match (has_begun, is_new) {
        (true, _) => Claim::TakenOver,
        (false, true) => Claim::Fresh,
        (false, false) => Claim::Reclaimed,
    })
}

/// Makes the first of the waiting operations the running one.
pub(crate) fn promote(record: &mut OperationRecord, scene: &Scene<'_>) -> bool {
    if record.waiting.is_empty() {
        return false;
    }
    let next = record.waiting.remove(0);
    record.key = next.info.key.clone();
    record.running = Some(RunningOperation {
        info: next.info,
        task: next.task,
        holder: scene.holder.clone(),
        stale_after: scene.stale_after,
        renewal: 0,
        released: false,
        cancelled_by: None,
        started_at: scene.now,
        phase: Phase::Queued,
        ledger: Ledger::default(),
        events: Vec::new(),
    });
    true
}

/// Drops ended operations that are past their retention or too many; one with an open debt is kept.
pub(crate) fn prune(record: &mut OperationRecord, now: Timestamp, retention: Duration) {
    let is_old = |finished: &FinishedOperation| {
        let age = now.duration_since(finished.finished_at);
        Duration::try_from(age).is_ok_and(|age| age >= retention)
    };
    record.finished.retain(|finished| !finished.debts.is_empty() || !is_old(finished));
    let without_debts = record.finished.iter().filter(|finished| finished.debts.is_empty()).count();
    let mut surplus = without_debts.saturating_sub(OperationRecord::MAX_FINISHED);
    record.finished.retain(|finished| {
        let drop = surplus > 0 && finished.debts.is_empty();
        surplus -= usize::from(drop);
        !drop
    });
}

/// How many ended operations of all releases are kept, beside those with debts and those that ended just now.
pub(crate) const MAX_KEPT: usize = 5_000;

/// The age from which on ended operations are dropped, so that [`MAX_KEPT`] are left. The setting, if that is shorter.
pub(crate) fn retention(mut ended: Vec<Timestamp>, now: Timestamp, setting: Duration) -> Duration {
    if ended.len() <= MAX_KEPT {
        return setting;
    }
    let (_, first_to_go, _) = ended.select_nth_unstable_by(MAX_KEPT, |a, b| b.cmp(a));
    let age = Duration::try_from(now.duration_since(*first_to_go)).unwrap_or_default();
    setting.min(age.max(Settings::SHORTEST_RETENTION))
}

/// The last operation of its release in line, when a newcomer with the same task may share its outcome. One that is being cancelled is not, nor a deploy
/// whose holder is gone: its outcome would not be what the newcomer asked for. The other kinds are run again by whoever takes over.
fn joinable<'a>(record: &'a OperationRecord, newcomer: &OperationInfo, scene: &Scene<'_>) -> Option<&'a OperationInfo> {
    if let Some(last) = record.waiting.iter().rfind(|queued| queued.info.key == newcomer.key) {
        return Some(&last.info);
    }
    let is_run_again = |kind| !scene.stale || kind != OperationKind::Deploy;
    let running = record.running.as_ref().filter(|running| running.cancelled_by.is_none() && is_run_again(running.info.kind));
    running.map(|running| &running.info).filter(|running| running.key == newcomer.key)
}

/// Whether the name is in use by an operation of another identity, or of the same one in another namespace.
fn is_held_by_another(record: &OperationRecord, info: &OperationInfo) -> bool {
    let Some(identity) = &info.identity else { return false };
    let others = |other: &OperationInfo| match &other.identity {
        Some(held) => held != identity || other.key != info.key,
        None => false,
    };
    record.unfinished().any(|(other, _)| others(other))
}

/// A delete makes everything pointless that came before it for the same release: the running operation is asked to stop, those that wait end as
/// cancelled. Returns these.
fn cancel_all(record: &mut OperationRecord, delete: &OperationInfo, now: Timestamp) -> Vec<Arc<FinishedOperation>> {
    if let Some(running) = &mut record.running
        && running.info.key == delete.key
        && running.info.kind != OperationKind::Delete
        && running.info.kind != OperationKind::Settle
    {
        running.cancelled_by.get_or_insert_with(|| delete.id.clone());
    }
    cancel_waiting(record, delete, 0, now)
}

/// Ends what waits for the same release, from this place in the line on. Returns what it ended; nobody waits for the background work, which
/// comes again by itself when there is something left to do.
fn cancel_waiting(record: &mut OperationRecord, delete: &OperationInfo, from: usize, now: Timestamp) -> Vec<Arc<FinishedOperation>> {
    let (pointless, others): (Vec<_>, Vec<_>) = record.waiting.drain(from..).partition(|queued| queued.info.key == delete.key);
    record.waiting.extend(others);
    let end = |QueuedOperation { info, task: _ }| {
        Arc::new(FinishedOperation {
            info,
            started_at: None,
            finished_at: now,
            outcome: Err(cancelled(&delete.id)),
            debts: Vec::new(),
            events: Vec::new(),
        })
    };
    let ended: Vec<_> = pointless.into_iter().filter(|queued| !queued.info.kind.is_background()).map(end).collect();
    record.finished.extend(ended.iter().cloned());
    ended
}

/// The failure of an operation that a delete stopped.
pub(crate) fn cancelled(by: &OperationId) -> Failure {
    Failure {
        undo: UndoOutcome::LeftAsIs,
        ..Failure::new(
            FailureCode::Cancelled,
            format!("cancelled: a delete of this deployment (operation `{by}`) came in; post the deployment again if it is still wanted"),
        )
    }
}
