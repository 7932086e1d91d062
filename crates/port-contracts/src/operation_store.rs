//! The contract of `OperationStore`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::{OperationId, OperationRecord, ReleaseKey};
use dbt_controller_domain::naming::ReleaseName;
use dbt_controller_domain::ports::{OperationStore, StoreError, StoredRecord, Version};
use tokio::sync::watch;

use crate::check::{Outcome, Stopped, ensure, ensure_eq, ensure_err, suite};
use crate::fixtures::{self, RecordBuilder};
use crate::harness::{FarSide, Harness, fresh_identity, until};

/// What the suite of `OperationStore` needs.
#[async_trait]
pub trait OperationHarness: Harness {
    /// The adapter under test.
    fn operations(&self) -> Arc<dyn OperationStore>;

    /// Hook: the adapter of another replica on the same store.
    fn other_replica(&self) -> Option<Arc<dyn OperationStore>> {
        None
    }

    /// How exactly the store's clock can be read.
    fn clock_resolution(&self) -> Duration {
        Duration::ZERO
    }
}

suite! {
    /// Checks every promise of `OperationStore`.
    operation_store(dyn OperationHarness):
        an_unknown_record_is_none,
        a_created_record_is_read_back,
        a_swap_needs_the_present_version,
        a_create_needs_that_there_is_none,
        every_version_is_another,
        of_two_at_once_one_wins,
        a_record_over_its_limit_is_refused,
        a_write_can_be_seen_by_this_replica_at_once,
        a_removed_record_is_gone,
        a_removal_needs_the_present_version,
        every_record_is_listed_once,
        a_watch_shows_the_present_and_each_change,
        a_watch_shows_what_another_replica_wrote,
        the_lock_ages_from_its_last_renewal,
        the_lock_ages_on_when_others_write,
        another_holder_makes_the_lock_young,
        without_a_running_operation_the_age_is_zero,
        another_replica_sees_the_same_age,
        leadership_can_be_watched,
        a_far_side_that_is_down_is_unavailable,
        a_far_side_that_hangs_is_given_up,
}

struct Played {
    store: Arc<dyn OperationStore>,
    key: ReleaseKey,
    operation: OperationId,
}

impl Played {
    fn fresh(harness: &dyn OperationHarness) -> Self {
        let key = fixtures::release_key(&harness.namespace(), &fresh_identity(harness));
        Self { store: harness.operations(), key, operation: fixtures::operation_id() }
    }

    fn release(&self) -> &ReleaseName {
        &self.key.name
    }

    fn empty(&self) -> RecordBuilder {
        fixtures::record(&self.key)
    }

    fn running(&self, renewal: u64) -> RecordBuilder {
        self.empty().running(&self.operation, "holder-1").renewal(renewal)
    }

    async fn swap(&self, expected: Option<&Version>, record: RecordBuilder) -> Result<Version, StoreError> {
        self.store.compare_and_swap(self.release(), expected.cloned(), record.build()).await
    }

    async fn read(&self) -> Outcome<StoredRecord> {
        let read = self.store.read(self.release()).await?;
        read.ok_or_else(|| Stopped::broken("the record is not there"))
    }

    async fn listed(&self) -> Outcome<Option<StoredRecord>> {
        Ok(self.store.list().await?.into_iter().find(|stored| stored.record.key == self.key))
    }
}

fn renewal(record: &OperationRecord) -> Option<u64> {
    record.running.as_ref().map(|running| running.renewal)
}

/// Waits until a watch shows what is wanted.
async fn shown(
    harness: &dyn OperationHarness,
    watch: &mut watch::Receiver<Option<Arc<OperationRecord>>>,
    what: &str,
    wanted: impl Fn(Option<&OperationRecord>) -> bool,
) -> Outcome {
    let seen = watch.wait_for(|record| wanted(record.as_deref()));
    match tokio::time::timeout(harness.patience().change, seen).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Stopped::broken(&format!("the watch ended before it showed {what}"))),
        Err(_) => Err(Stopped::broken(&format!("the watch did not show {what}"))),
    }
}

async fn an_unknown_record_is_none(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    ensure!(played.store.read(played.release()).await?.is_none(), "a record that was never made is returned");
    ensure!(played.listed().await?.is_none(), "a record that was never made is listed");
    ensure!(played.store.watch(played.release()).await.borrow().is_none(), "a watch shows a record that was never made");
    Ok(())
}

async fn a_created_record_is_read_back(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let record = played.running(3).event("first").event("second").waiting().build();
    let version = played.store.compare_and_swap(played.release(), None, Arc::clone(&record)).await?;
    let read = played.read().await?;
    ensure_eq!(read.version, version, "the version");
    // Records hold secrets, so they have no comparison; their debug form redacts those and shows all else.
    ensure_eq!(format!("{:?}", read.record), format!("{record:?}"), "the record");
    Ok(())
}

async fn a_swap_needs_the_present_version(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let first = played.swap(None, played.running(0)).await?;
    let second = played.swap(Some(&first), played.running(1)).await?;
    let stale = played.swap(Some(&first), played.running(9)).await;
    ensure_err!(stale, StoreError::Conflict, "a swap with an old version");
    ensure_eq!(renewal(&played.read().await?.record), Some(1), "the renewal");
    played.swap(Some(&second), played.running(2)).await?;
    let missing = Played::fresh(harness);
    let swapped = missing.swap(Some(&second), missing.running(0)).await;
    ensure_err!(swapped, StoreError::Conflict, "a swap of a record that does not exist");
    Ok(())
}

async fn a_create_needs_that_there_is_none(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.swap(None, played.running(0)).await?;
    ensure_err!(played.swap(None, played.running(1)).await, StoreError::Conflict, "a second create");
    ensure_eq!(renewal(&played.read().await?.record), Some(0), "the renewal");
    Ok(())
}

async fn every_version_is_another(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let first = played.swap(None, played.running(0)).await?;
    let second = played.swap(Some(&first), played.running(1)).await?;
    ensure!(first != second, "two writes gave one version");
    played.store.remove(played.release(), second.clone()).await?;
    let third = played.swap(None, played.running(0)).await?;
    ensure!(third != first && third != second, "a record that was made again has an old version");
    ensure_err!(played.swap(Some(&first), played.running(2)).await, StoreError::Conflict, "a swap with a version of the record before");
    Ok(())
}

async fn of_two_at_once_one_wins(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let other = harness.other_replica().unwrap_or_else(|| harness.operations());
    let mut expected = None;
    for round in 0..10 {
        let mine = played.store.compare_and_swap(played.release(), expected.clone(), played.running(2 * round).build());
        let theirs = other.compare_and_swap(played.release(), expected.clone(), played.running(2 * round + 1).build());
        let (mine, theirs) = tokio::join!(mine, theirs);
        let (version, promised) = match (mine, theirs) {
            (Ok(version), Err(StoreError::Conflict)) => (version, 2 * round),
            (Err(StoreError::Conflict), Ok(version)) => (version, 2 * round + 1),
            other => return Err(Stopped::broken(&format!("{other:?} instead of one success and one conflict"))),
        };
        ensure_eq!(renewal(&played.read().await?.record), Some(promised), "the winner's record");
        expected = Some(version);
    }
    Ok(())
}

async fn a_record_over_its_limit_is_refused(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let version = played.swap(None, played.running(0)).await?;
    let line = "x".repeat(64 * 1024);
    let long = (0..15).fold(played.running(1), |record, _| record.event(&line));
    match played.swap(Some(&version), long).await {
        Err(StoreError::TooLarge(bytes)) => ensure!(bytes > 900 * 1024, "{bytes} bytes are called too large"),
        other => return Err(Stopped::broken(&format!("{other:?} instead of TooLarge"))),
    }
    ensure_eq!(played.read().await?.version, version, "the version");
    let long = (0..13).fold(played.running(1), |record, _| record.event(&line));
    played.swap(Some(&version), long).await?;
    Ok(())
}

async fn a_write_can_be_seen_by_this_replica_at_once(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let watch = played.store.watch(played.release()).await;
    let mut version = None;
    for number in 0..5 {
        version = Some(played.swap(version.as_ref(), played.running(number)).await?);
        let watched = watch.borrow().as_deref().and_then(renewal);
        ensure!(watched >= Some(number), "the watch shows renewal {watched:?} after {number} was written");
        let listed = played.listed().await?.and_then(|stored| renewal(&stored.record));
        ensure!(listed >= Some(number), "the list shows renewal {listed:?} after {number} was written");
    }
    Ok(())
}

async fn a_removed_record_is_gone(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let version = played.swap(None, played.running(0)).await?;
    let mut watch = played.store.watch(played.release()).await;
    played.store.remove(played.release(), version.clone()).await?;
    ensure!(played.store.read(played.release()).await?.is_none(), "the record is still there");
    until(harness, "the removal in the list", || async { Ok(played.listed().await?.is_none()) }).await?;
    shown(harness, &mut watch, "the removal", |record| record.is_none()).await?;
    played.store.remove(played.release(), version).await?;
    Ok(())
}

async fn a_removal_needs_the_present_version(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let first = played.swap(None, played.running(0)).await?;
    played.swap(Some(&first), played.running(1)).await?;
    ensure_err!(played.store.remove(played.release(), first).await, StoreError::Conflict, "a removal with an old version");
    played.read().await?;
    Ok(())
}

async fn every_record_is_listed_once(harness: &dyn OperationHarness) -> Outcome {
    let (one, two) = (Played::fresh(harness), Played::fresh(harness));
    let version = one.swap(None, one.running(0)).await?;
    two.swap(None, two.empty()).await?;
    let second = one.swap(Some(&version), one.running(1)).await?;
    let list = one.store.list().await?;
    for played in [&one, &two] {
        ensure_eq!(list.iter().filter(|stored| stored.record.key == played.key).count(), 1, "entries of {}", played.key);
    }
    let listed = one.listed().await?.map(|stored| stored.version);
    ensure_eq!(listed, Some(second), "the listed version");
    Ok(())
}

async fn a_watch_shows_the_present_and_each_change(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let mut early = played.store.watch(played.release()).await;
    let version = played.swap(None, played.running(1)).await?;
    shown(harness, &mut early, "the new record", |record| record.and_then(renewal) == Some(1)).await?;
    let mut late = played.store.watch(played.release()).await;
    ensure_eq!(late.borrow().as_deref().and_then(renewal), Some(1), "what a new watch shows");
    let version = played.swap(Some(&version), played.running(2)).await?;
    for watch in [&mut early, &mut late] {
        shown(harness, watch, "the change", |record| record.and_then(renewal) == Some(2)).await?;
    }
    played.store.remove(played.release(), version).await?;
    played.swap(None, played.running(3)).await?;
    shown(harness, &mut early, "the record that was made again", |record| record.and_then(renewal) == Some(3)).await
}

async fn a_watch_shows_what_another_replica_wrote(harness: &dyn OperationHarness) -> Outcome {
    let Some(other) = harness.other_replica() else { return Err(Stopped::Skipped("other_replica")) };
    let played = Played::fresh(harness);
    let mut watch = played.store.watch(played.release()).await;
    other.compare_and_swap(played.release(), None, played.running(7).build()).await?;
    shown(harness, &mut watch, "the other replica's record", |record| record.and_then(renewal) == Some(7)).await?;
    until(harness, "the other replica's record in the list", || async { Ok(played.listed().await?.is_some()) }).await
}

/// Long enough to be told apart with any clock, and how far the age may be off.
fn times(harness: &dyn OperationHarness) -> (Duration, Duration) {
    let resolution = harness.clock_resolution();
    let step = (resolution * 4).max(Duration::from_secs(1));
    (step, resolution + step / 4)
}

fn ensure_age(age: Duration, promised: Duration, slack: Duration) -> Outcome {
    ensure!(age.abs_diff(promised) <= slack, "the lock is {age:?} old instead of {promised:?} (± {slack:?})");
    Ok(())
}

async fn the_lock_ages_from_its_last_renewal(harness: &dyn OperationHarness) -> Outcome {
    let (played, (step, slack)) = (Played::fresh(harness), times(harness));
    let version = played.swap(None, played.running(0)).await?;
    tokio::time::sleep(step).await;
    ensure_age(played.read().await?.lock_age, step, slack)?;
    played.swap(Some(&version), played.running(1)).await?;
    ensure_age(played.read().await?.lock_age, Duration::ZERO, slack)?;
    tokio::time::sleep(step).await;
    ensure_age(played.read().await?.lock_age, step, slack)?;
    let listed = played.listed().await?.map(|stored| stored.lock_age).unwrap_or_default();
    ensure_age(listed, step, slack)
}

async fn the_lock_ages_on_when_others_write(harness: &dyn OperationHarness) -> Outcome {
    let (played, (step, slack)) = (Played::fresh(harness), times(harness));
    let version = played.swap(None, played.running(5)).await?;
    tokio::time::sleep(step).await;
    // Somebody queues up behind it, and thereby writes the record.
    played.swap(Some(&version), played.running(5).waiting()).await?;
    ensure_age(played.read().await?.lock_age, step, slack)
}

async fn another_holder_makes_the_lock_young(harness: &dyn OperationHarness) -> Outcome {
    let (played, (step, slack)) = (Played::fresh(harness), times(harness));
    let version = played.swap(None, played.running(5)).await?;
    tokio::time::sleep(step).await;
    let taken_over = played.empty().running(&played.operation, "holder-2").renewal(5);
    let version = played.swap(Some(&version), taken_over).await?;
    ensure_age(played.read().await?.lock_age, Duration::ZERO, slack)?;
    tokio::time::sleep(step).await;
    let next = played.empty().running(&fixtures::operation_id(), "holder-2").renewal(5);
    played.swap(Some(&version), next).await?;
    ensure_age(played.read().await?.lock_age, Duration::ZERO, slack)
}

async fn without_a_running_operation_the_age_is_zero(harness: &dyn OperationHarness) -> Outcome {
    let (played, (step, _)) = (Played::fresh(harness), times(harness));
    played.swap(None, played.empty().waiting()).await?;
    tokio::time::sleep(step).await;
    ensure_eq!(played.read().await?.lock_age, Duration::ZERO, "the age");
    Ok(())
}

async fn another_replica_sees_the_same_age(harness: &dyn OperationHarness) -> Outcome {
    let Some(other) = harness.other_replica() else { return Err(Stopped::Skipped("other_replica")) };
    let (played, (step, slack)) = (Played::fresh(harness), times(harness));
    played.swap(None, played.running(0)).await?;
    tokio::time::sleep(step).await;
    // A replica that has only just begun to look must not take the lock for fresh.
    let Some(read) = other.read(played.release()).await? else { return Err(Stopped::broken("the record is not there")) };
    ensure_age(read.lock_age, step, slack)
}

async fn leadership_can_be_watched(harness: &dyn OperationHarness) -> Outcome {
    let store = harness.operations();
    let leads = store.leadership();
    ensure!(leads.has_changed().is_ok(), "nobody tells the leadership");
    Ok(())
}

async fn a_far_side_that_is_down_is_unavailable(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    let version = played.swap(None, played.running(0)).await?;
    harness.set_far_side(FarSide::Down).await.or_skip("set_far_side")?;
    let answers = [
        ("read", played.store.read(played.release()).await.map(drop)),
        ("compare_and_swap", played.swap(Some(&version), played.running(1)).await.map(drop)),
        ("remove", played.store.remove(played.release(), version).await),
    ];
    let mended = harness.set_far_side(FarSide::Answers).await;
    mended.or_skip("set_far_side")?;
    for (method, answer) in answers {
        ensure_err!(answer, StoreError::Unavailable(_), "`{method}`");
    }
    played.read().await?;
    Ok(())
}

async fn a_far_side_that_hangs_is_given_up(harness: &dyn OperationHarness) -> Outcome {
    let played = Played::fresh(harness);
    // No method of this port takes a fence, so the limit of reads is the limit of all.
    let limit = Duration::from_secs(11);
    harness.set_far_side(FarSide::Hangs).await.or_skip("set_far_side")?;
    let read = tokio::time::timeout(limit, played.store.read(played.release())).await;
    let write = tokio::time::timeout(limit, played.swap(None, played.running(0))).await;
    let mended = harness.set_far_side(FarSide::Answers).await;
    mended.or_skip("set_far_side")?;
    ensure_err!(read?, StoreError::Unavailable(_), "a read that hangs");
    ensure_err!(write?, StoreError::Unavailable(_), "a write that hangs");
    Ok(())
}
