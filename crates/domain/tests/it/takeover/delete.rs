//! Deletes whose holder is gone: they are done again from their first step.

use std::time::Duration;

use dbt_controller_adapters_memory::AirflowLink;
use dbt_controller_domain::model::*;

use super::Pair;
use crate::stage::{NAME, background_for, caller, deploy, key, main_request, replica, revision, settings, target};

/// A delete whose holder was frozen in this phase.
async fn frozen_in(pair: &Pair, phase: Phase) -> Ticket {
    let ticket = pair.frozen.delete(&target(NAME), caller()).await.unwrap();
    pair.freeze_in(&ticket, phase).await;
    ticket
}

#[track_caller]
fn assert_deleted(ended: &FinishedOperation) {
    assert!(matches!(ended.outcome, Ok(Success::Deleted { .. })), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_holder_is_gone_is_finished() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    let _background = pair.survivor_works();
    let ticket = frozen_in(&pair, Phase::Drain).await;
    assert_deleted(&pair.survivor.wait(&ticket).await.unwrap());
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_holder_died_when_all_was_gone_is_told_as_done() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    let ticket = frozen_in(&pair, Phase::Claims).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
    let _background = pair.survivor_works();
    let ended = pair.survivor.wait(&ticket).await.unwrap();
    let Ok(Success::Deleted { claims, .. }) = &ended.outcome else { panic!("not deleted: {ended:?}") };
    assert_eq!(*claims, [format!("{NAME}-{NAME}-0")], "those that the first one deleted");
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_sent_again_takes_over_the_one_whose_holder_is_gone() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    let ticket = frozen_in(&pair, Phase::Drain).await;
    tokio::time::sleep(Duration::from_secs(32)).await;
    let again = pair.survivor.delete(&target(NAME), caller()).await.unwrap();
    assert_eq!((&again.id, again.joined), (&ticket.id, true));
    assert_deleted(&pair.survivor.wait(&again).await.unwrap());
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_delete_without_airflow_that_is_taken_over_remembers_the_connection() {
    let pair = Pair::without_airflow();
    let with = replica(&pair.world, pair.world.operations(), settings());
    revision(deploy(&with, main_request("v1")).await);
    let ticket = frozen_in(&pair, Phase::Drain).await;
    let background = pair.survivor_works();
    assert!(pair.survivor.wait(&ticket).await.unwrap().outcome.is_ok());
    background.abort();
    background_for(with, Duration::from_secs(60)).await;
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_holder_died_after_its_last_step_was_a_delete() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    assert!(pair.world.releases().uninstall(&key(NAME), false));
    let ticket = pair.frozen.delete(&target(NAME), caller()).await.unwrap();
    // So soon that the record does not even say that it began: without a release there is nothing to note.
    pair.store.freeze(true);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
    let _background = pair.survivor_works();
    assert_deleted(&pair.survivor.wait(&ticket).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_taken_over_remembers_what_airflow_owes() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    pair.world.set_airflow_link(AirflowLink::Down);
    let ticket = frozen_in(&pair, Phase::Drain).await;
    let _background = pair.survivor_works();
    assert!(pair.survivor.wait(&ticket).await.unwrap().outcome.is_ok());
    pair.world.set_airflow_link(AirflowLink::Up);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
}
