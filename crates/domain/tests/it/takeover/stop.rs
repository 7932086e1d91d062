//! A replica that stops: what it has not begun by then is begun by another, at once.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind};
use dbt_controller_domain::model::*;

use super::Pair;
use crate::stage::{NAME, caller, key, main_request, request, revision, settings};

impl Pair {
    /// A deploy that is about to end in the first replica; the one that waits behind it is returned.
    async fn two_deploys_of_which_one_commits(&self) -> Ticket {
        let first = self.frozen.deploy(main_request("v1"), caller()).await.unwrap();
        let second = self.frozen.deploy(main_request("v2"), caller()).await.unwrap();
        let mut views = self.frozen.follow(&first.id).await.unwrap().unwrap();
        views.wait_for(|view| view.phase == Phase::Commit).await.unwrap();
        second
    }

    /// Stops the first replica, whose process ends then.
    fn stop_without_grace(&self) -> tokio::task::JoinHandle<()> {
        let (frozen, store) = (Arc::clone(&self.frozen), Arc::clone(&self.store));
        tokio::spawn(async move {
            frozen.shut_down(Duration::ZERO).await;
            store.freeze(true);
        })
    }

    /// The deploy behind the first one is not begun in the replica that stops, and the other need not wait until its lock is stale.
    async fn assert_handed_over(&self, second: &Ticket) {
        assert_eq!(self.world.releases().history(&key(NAME)).len(), 1, "the second deploy has not begun");
        assert_eq!(self.goes_on_at_once(second).await, 2);
    }

    /// The revision that the survivor makes of it.
    async fn goes_on_at_once(&self, ticket: &Ticket) -> u32 {
        let began = tokio::time::Instant::now();
        let _background = self.survivor_works();
        let ended = self.survivor.wait(ticket).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(15), "it did not have to become stale first: {:?}", began.elapsed());
        revision(ended.outcome.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_an_operation_that_ends_within_the_grace_is_handed_over_at_once() {
    let pair = Pair::new();
    let first = pair.frozen.deploy(main_request("v1"), caller()).await.unwrap();
    let second = pair.frozen.deploy(main_request("v2"), caller()).await.unwrap();
    pair.frozen.shut_down(Duration::from_secs(25)).await;
    assert_eq!(revision(pair.survivor.wait(&first).await.unwrap().outcome.clone()), 1);
    assert_eq!(pair.goes_on_at_once(&second).await, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_promoted_by_an_end_that_was_hard_to_write_is_handed_over_at_once() {
    let pair = Pair::new();
    let second = pair.two_deploys_of_which_one_commits().await;
    pair.world.faults().plan(Fault::new(Call::OperationsCompareAndSwap, 1, FaultKind::Fail).times(1000));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopping = pair.stop_without_grace();
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.world.faults().clear();
    stopping.await.unwrap();
    pair.assert_handed_over(&second).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_promoted_by_an_end_whose_answer_was_lost_is_handed_over_at_once() {
    let pair = Pair::new();
    let second = pair.two_deploys_of_which_one_commits().await;
    pair.world.faults().plan(Fault::new(Call::OperationsCompareAndSwap, 1, FaultKind::LoseAnswer));
    while !pair.world.faults().pending().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    pair.stop_without_grace().await.unwrap();
    pair.assert_handed_over(&second).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_promoted_by_an_end_that_was_on_its_way_when_the_stop_began_is_handed_over_at_once() {
    let pair = Pair::new();
    let second = pair.two_deploys_of_which_one_commits().await;
    pair.store.freeze(true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopping = pair.stop_without_grace();
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.store.freeze(false);
    stopping.await.unwrap();
    pair.assert_handed_over(&second).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_placed_while_the_service_stops_is_handed_over_at_once() {
    let pair = Pair::new();
    pair.world.faults().plan(Fault::new(Call::OperationsCompareAndSwap, 1, FaultKind::Fail));
    let placing = pair.frozen.deploy(main_request("v1"), caller());
    let placed = tokio::time::timeout(Duration::from_secs(60), placing);
    let (placed, ()) = tokio::join!(placed, async {
        while !pair.world.faults().pending().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Its first read would last longer than the process.
        pair.world.faults().plan(Fault::new(Call::InstallerSummary, 1, FaultKind::Hang));
        pair.stop_without_grace().await.unwrap();
    });
    let ticket = placed.expect("the caller is answered").unwrap();
    pair.world.faults().clear();
    assert_eq!(pair.writes(), 0, "nothing is begun any more");
    assert_eq!(pair.goes_on_at_once(&ticket).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_place_when_the_stop_begins_is_handed_over_at_once() {
    let patience = Patience { pull_error_window: Duration::from_secs(900), ..Patience::default() };
    let pair = Pair::with(&Settings { max_concurrent: 1, patience, ..settings() });
    let other = pair.frozen.deploy(request("other", None, "missing-1"), caller()).await.unwrap();
    let mut views = pair.frozen.follow(&other.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Ready).await.unwrap();
    let ticket = pair.frozen.deploy(main_request("v1"), caller()).await.unwrap();
    let frozen = Arc::clone(&pair.frozen);
    let stopping = tokio::spawn(async move { frozen.shut_down(Duration::from_secs(25)).await });
    assert_eq!(pair.goes_on_at_once(&ticket).await, 1);
    assert!(!stopping.is_finished(), "what has begun has its grace");
}
