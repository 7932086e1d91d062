//! Placement is pure and tested here; the engine with two services on one store is tested in `tests/it`.

use std::sync::Arc;
use std::time::Duration;

use super::placement::{self, Claim, MAX_KEPT, Placement, Room, Scene, cancelled, claim, is_stale, prune, retention};
use super::test_support::STALE_AFTER;
use crate::model::*;
use crate::naming::Identity;
use crate::test_support::{deploy_task, identity, key, now, operation, queued, request};

const RETENTION: Duration = Duration::from_secs(3600);

fn holder(name: &str) -> HolderId {
    HolderId(name.to_owned())
}

/// Placement where there is room.
fn place(record: &mut OperationRecord, operation: &QueuedOperation, scene: &Scene<'_>) -> Placement {
    placement::place(record, operation, Room::ToWait, scene).placement
}

fn put(record: &mut OperationRecord, id: &str, task: Task, stale: bool) -> Placement {
    // Each submission claims under an id of its own.
    let me = holder(id);
    place(record, &queued(id, &identity(), task), &Scene { now: now(), holder: &me, stale, stale_after: STALE_AFTER })
}

fn changed_task() -> Task {
    let mut request = request();
    request.image.tag = "v2".to_owned();
    Task::Deploy(Box::new(request))
}

/// A record on which `other` runs a deploy.
fn busy() -> OperationRecord {
    let mut record = OperationRecord::empty(key());
    let other = holder("other");
    let placed = place(
        &mut record,
        &queued("op-1", &identity(), deploy_task()),
        &Scene { now: now(), holder: &other, stale: false, stale_after: STALE_AFTER },
    );
    assert_eq!(placed, Placement::Placed(Some(Claim::Fresh)));
    record.running.as_mut().unwrap().phase = Phase::Apply;
    record
}

fn waiting_ids(record: &OperationRecord) -> Vec<&str> {
    record.waiting.iter().map(|queued| queued.info.id.as_str()).collect()
}

#[test]
fn an_equal_operation_joins_and_a_different_one_waits() {
    let mut record = busy();
    assert_eq!(put(&mut record, "op-2", deploy_task(), false), Placement::Joined(operation("op-1"), None));
    assert_eq!(put(&mut record, "op-3", changed_task(), false), Placement::Placed(None));
    assert_eq!(put(&mut record, "op-4", changed_task(), false), Placement::Joined(operation("op-3"), None));
    assert_eq!(put(&mut record, "op-5", deploy_task(), false), Placement::Placed(None), "what came last is what counts in the end");
    assert_eq!(waiting_ids(&record), ["op-3", "op-5"]);
}

#[test]
fn the_line_of_a_release_is_bounded() {
    let mut record = busy();
    for n in 0..OperationRecord::MAX_WAITING {
        let task = if n % 2 == 0 { changed_task() } else { deploy_task() };
        assert_eq!(put(&mut record, &format!("op-w{n}"), task, false), Placement::Placed(None));
    }
    assert_eq!(put(&mut record, "op-x", changed_task(), false), Placement::Full);
}

#[test]
fn a_delete_cancels_what_runs_and_what_waits_and_takes_its_place() {
    let mut record = busy();
    put(&mut record, "op-2", changed_task(), false);
    assert_eq!(put(&mut record, "op-3", Task::Delete, false), Placement::Placed(None));
    assert_eq!(record.running.as_ref().unwrap().cancelled_by, Some(operation("op-3")));
    assert_eq!(waiting_ids(&record), ["op-3"]);
    assert_eq!(record.finished(&operation("op-2")).unwrap().outcome, Err(cancelled(&operation("op-3"))));
    assert_eq!(put(&mut record, "op-4", Task::Delete, false), Placement::Joined(operation("op-3"), None));
    assert_eq!(put(&mut record, "op-5", deploy_task(), false), Placement::Placed(None), "a deploy after the delete waits for it");
}

#[test]
fn a_delete_that_waits_is_joined_by_the_next_and_what_came_between_is_pointless() {
    let mut record = busy();
    put(&mut record, "op-2", Task::Delete, false);
    put(&mut record, "op-3", deploy_task(), false);
    assert_eq!(put(&mut record, "op-4", Task::Delete, false), Placement::Joined(operation("op-2"), None));
    assert_eq!(waiting_ids(&record), ["op-2"]);
    assert_eq!(record.finished(&operation("op-3")).unwrap().outcome, Err(cancelled(&operation("op-2"))));
    assert!(record.finished(&operation("op-2")).is_none());
}

#[test]
fn what_a_delete_ends_is_a_change_of_the_record_even_when_it_joins() {
    let mut record = busy();
    put(&mut record, "op-2", Task::Delete, false);
    put(&mut record, "op-3", deploy_task(), false);
    let me = holder("me");
    let scene = Scene { now: now(), holder: &me, stale: false, stale_after: STALE_AFTER };
    let joined = placement::place(&mut record, &queued("op-4", &identity(), Task::Delete), Room::Full, &scene);
    let ended: Vec<_> = joined.ended.iter().map(|ended| ended.info.id.as_str()).collect();
    assert!(ended == ["op-3"] && joined.is_change());
    let again = placement::place(&mut record, &queued("op-5", &identity(), Task::Delete), Room::Full, &scene);
    assert!(again.ended.is_empty() && !again.is_change());
}

#[test]
fn a_delete_drops_background_work_that_waits_and_tells_nobody() {
    let mut record = busy();
    put(&mut record, "op-2", Task::Settle, false);
    put(&mut record, "op-3", Task::FollowDags, false);
    put(&mut record, "op-4", Task::Delete, false);
    assert_eq!(waiting_ids(&record), ["op-4"]);
    assert_eq!(record.finished, []);
}

#[test]
fn only_what_would_wait_needs_room_to_wait() {
    let me = holder("me");
    let scene = Scene { now: now(), holder: &me, stale: false, stale_after: STALE_AFTER };
    let fits = |mut record: OperationRecord, room| {
        placement::place(&mut record, &queued("op-2", &identity(), changed_task()), room, &scene).placement != Placement::Full
    };
    let idle = || OperationRecord::empty(key());
    assert_eq!([Room::ToWait, Room::ToBegin, Room::Full].map(|room| fits(idle(), room)), [true, true, false]);
    assert_eq!([Room::ToWait, Room::ToBegin, Room::Full].map(|room| fits(busy(), room)), [true, false, false]);
}

#[test]
fn nobody_joins_an_operation_that_is_being_cancelled() {
    let mut record = busy();
    record.running.as_mut().unwrap().cancelled_by = Some(operation("op-9"));
    assert_eq!(put(&mut record, "op-2", deploy_task(), false), Placement::Placed(None));
}

#[test]
fn a_delete_does_not_cancel_a_delete_or_a_settling() {
    for task in [Task::Delete, Task::Settle] {
        let mut record = OperationRecord::empty(key());
        put(&mut record, "op-1", task, false);
        put(&mut record, "op-2", deploy_task(), false);
        put(&mut record, "op-3", Task::Delete, false);
        assert_eq!(record.running.as_ref().unwrap().cancelled_by, None);
        assert_eq!(waiting_ids(&record), ["op-3"]);
    }
}

#[test]
fn a_name_in_use_by_another_identity_is_held() {
    let other = Identity::parse("test", Some("project-main")).unwrap();
    let mut record = busy();
    let me = holder("me");
    let placed = place(
        &mut record,
        &queued("op-2", &other, deploy_task()),
        &Scene { now: now(), holder: &me, stale: false, stale_after: STALE_AFTER },
    );
    assert_eq!(placed, Placement::Held);
    record.running.as_mut().unwrap().info.identity = None;
    let placed = place(
        &mut record,
        &queued("op-2", &other, changed_task()),
        &Scene { now: now(), holder: &me, stale: false, stale_after: STALE_AFTER },
    );
    assert_eq!(placed, Placement::Placed(None), "a clean-up by name holds nothing; the newcomer waits for it");
}

#[test]
fn a_newcomer_takes_a_stale_line_over_and_waits_for_its_turn_in_it() {
    let mut record = busy();
    assert_eq!(put(&mut record, "op-2", deploy_task(), true), Placement::Placed(Some(Claim::TakenOver)));
    let running = record.running.as_ref().unwrap();
    assert_eq!((running.info.id.as_str(), &running.holder), ("op-1", &holder("op-2")));
    assert_eq!(waiting_ids(&record), ["op-2"]);
}

#[test]
fn a_stale_delete_is_joined_and_run_again_by_whoever_joins_it() {
    let mut record = OperationRecord::empty(key());
    put(&mut record, "op-1", Task::Delete, false);
    record.running.as_mut().unwrap().phase = Phase::Drain;
    for answer in ["lost", "seen"] {
        let placed = put(&mut record, "op-2", Task::Delete, answer == "lost");
        assert_eq!(placed, Placement::Joined(operation("op-1"), Some(Claim::TakenOver)), "{answer}");
    }
    assert_eq!(record.running.as_ref().unwrap().holder, holder("op-2"));
    assert_eq!(put(&mut record, "op-3", Task::Delete, false), Placement::Joined(operation("op-1"), None));
}

#[test]
fn placing_twice_after_a_lost_answer_changes_nothing() {
    let mut record = OperationRecord::empty(key());
    assert_eq!(put(&mut record, "op-1", deploy_task(), false), Placement::Placed(Some(Claim::Fresh)));
    assert_eq!(put(&mut record, "op-1", deploy_task(), false), Placement::Placed(Some(Claim::Fresh)));
    assert_eq!(record.unfinished().count(), 1);
    assert_eq!(put(&mut record, "op-2", changed_task(), false), Placement::Placed(None));
    assert_eq!(put(&mut record, "op-2", changed_task(), false), Placement::Placed(None));
    assert_eq!(record.unfinished().count(), 2);
}

#[test]
fn an_operation_that_ended_before_its_submitter_saw_an_answer_is_not_run_again() {
    let mut record = OperationRecord::empty(key());
    put(&mut record, "op-1", deploy_task(), false);
    record.running = None;
    record.finished.push(finished("op-1", 0, Vec::new()));
    assert_eq!(put(&mut record, "op-1", deploy_task(), false), Placement::Joined(operation("op-1"), None));
    assert_eq!(record.unfinished().count(), 0);
}

#[test]
fn an_orphaned_line_is_claimed_and_a_held_one_is_not() {
    let me = holder("me");
    let mut record = busy();
    assert_eq!(claim(&mut record, &Scene { now: now(), holder: &me, stale: false, stale_after: STALE_AFTER }), None);
    put(&mut record, "op-2", changed_task(), false);
    record.running = None;
    assert_eq!(claim(&mut record, &Scene { now: now(), holder: &me, stale: false, stale_after: STALE_AFTER }), Some(Claim::Fresh));
    assert_eq!(record.running.as_ref().unwrap().info.id.as_str(), "op-2");
    assert_eq!(claim(&mut OperationRecord::empty(key()), &Scene { now: now(), holder: &me, stale: false, stale_after: STALE_AFTER }), None);
}

#[test]
fn a_lock_is_stale_one_second_after_s_or_at_once_when_given_up() {
    let s = STALE_AFTER;
    let mut record = busy();
    assert!(!is_stale(&record, Duration::from_millis(30_999), s));
    assert!(is_stale(&record, Duration::from_secs(31), s));
    // A replica with another setting waits for as long as the holder may still write, and no shorter than itself would.
    assert!(!is_stale(&record, Duration::from_millis(30_999), s / 5));
    assert!(is_stale(&record, Duration::from_secs(31), s / 5));
    assert!(!is_stale(&record, Duration::from_secs(31), s * 2));
    record.running.as_mut().unwrap().released = true;
    assert!(is_stale(&record, Duration::ZERO, s));
    assert!(!is_stale(&OperationRecord::empty(key()), Duration::from_secs(99), s));
}

/// The same release name in another namespace, as leftovers or a release that we did not make can have it: it is of nobody known.
fn elsewhere(id: &str, task: Task) -> QueuedOperation {
    let mut queued = queued(id, &identity(), task);
    queued.info.key.namespace = "elsewhere".parse().unwrap();
    queued.info.identity = None;
    queued
}

#[test]
fn a_delete_of_the_same_name_in_another_namespace_waits_and_cancels_nothing() {
    let mut record = busy();
    put(&mut record, "op-2", changed_task(), false);
    let me = holder("me");
    let scene = Scene { now: now(), holder: &me, stale: false, stale_after: STALE_AFTER };
    assert_eq!(place(&mut record, &elsewhere("op-3", Task::Delete), &scene), Placement::Placed(None));
    assert_eq!(record.running.as_ref().unwrap().cancelled_by, None);
    assert_eq!(waiting_ids(&record), ["op-2", "op-3"]);
    assert_eq!(
        put(&mut record, "op-4", Task::Delete, false),
        Placement::Placed(None),
        "an equal task of another release is no equal operation"
    );
    assert_eq!(record.running.as_ref().unwrap().cancelled_by, Some(operation("op-4")));
    assert_eq!(waiting_ids(&record), ["op-3", "op-4"]);

    let again = place(&mut record, &elsewhere("op-5", Task::Delete), &scene);
    assert_eq!(again, Placement::Joined(operation("op-3"), None), "whatever waits behind it");
    assert_eq!(waiting_ids(&record), ["op-3", "op-4"]);

    record.running = None;
    assert_eq!(claim(&mut record, &scene), Some(Claim::Fresh));
    assert_eq!(record.key, elsewhere("op-3", Task::Delete).info.key, "the record is about what runs");
}

fn finished(id: &str, at: i64, debts: Vec<Debt>) -> Arc<FinishedOperation> {
    Arc::new(FinishedOperation {
        info: queued(id, &identity(), Task::Delete).info,
        started_at: None,
        finished_at: now() + jiff::SignedDuration::from_secs(at),
        outcome: Ok(Success::Settled),
        debts,
        events: Vec::new(),
    })
}

#[test]
fn ended_operations_are_dropped_by_age_and_number_but_never_with_a_debt() {
    let mut record = OperationRecord::empty(key());
    let debt = vec![Debt::Claim { server: "server".parse().unwrap(), name: "claim-0".to_owned() }];
    record.finished.push(finished("old-debt", 0, debt));
    record.finished.push(finished("old", 0, Vec::new()));
    for n in 0..OperationRecord::MAX_FINISHED + 3 {
        record.finished.push(finished(&format!("op-{n}"), 3000, Vec::new()));
    }
    prune(&mut record, now() + jiff::SignedDuration::from_secs(3600), RETENTION);
    let ids: Vec<_> = record.finished.iter().map(|finished| finished.info.id.as_str()).collect();
    let kept: Vec<_> = (3..OperationRecord::MAX_FINISHED + 3).map(|n| format!("op-{n}")).collect();
    assert_eq!(ids[0], "old-debt");
    assert_eq!(ids[1..], kept);
}

#[test]
fn of_too_many_ended_operations_the_newest_are_kept() {
    let ended = |count: usize, second: i64| {
        (0..count).map(|nth| now() - jiff::SignedDuration::from_secs(second * i64::try_from(nth).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(retention(ended(MAX_KEPT, 1), now(), RETENTION), RETENTION);
    let one_each_second = retention(ended(MAX_KEPT * 3, 1), now(), RETENTION * 100);
    assert_eq!(one_each_second.as_secs(), MAX_KEPT as u64, "the {MAX_KEPT}th is the first to go");
    assert_eq!(retention(ended(MAX_KEPT + 1, 0), now(), RETENTION), Duration::from_secs(60), "who waits for an end finds it");
    assert_eq!(retention(ended(MAX_KEPT + 1, 1), now(), RETENTION), RETENTION, "none is kept for longer than the setting says");
}
