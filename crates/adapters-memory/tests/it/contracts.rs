//! The contract suites, in virtual time, none of their checks skipped.

use std::time::Duration;

use dbt_controller_adapters_memory::{MemoryWorld, WorldOptions};
use dbt_controller_port_contracts as contracts;

use crate::harness::{MemoryHarness, world};

fn harness() -> MemoryHarness {
    MemoryHarness { world: world(), hangs: true }
}

#[tokio::test(start_paused = true)]
async fn the_installer_keeps_its_contract() {
    contracts::chart_installer(&harness()).await.assert_kept_and_complete();
}

#[tokio::test(start_paused = true)]
async fn the_cluster_keeps_its_contract() {
    contracts::cluster(&harness()).await.assert_kept_and_complete();
}

#[tokio::test(start_paused = true)]
async fn the_connection_store_keeps_its_contract() {
    contracts::connection_store(&harness()).await.assert_kept_and_complete();
}

#[tokio::test(start_paused = true)]
async fn the_operation_store_keeps_its_contract() {
    contracts::operation_store(&harness()).await.assert_kept_and_complete();
}

#[tokio::test(start_paused = true)]
async fn the_clock_keeps_its_contract() {
    contracts::clock(&*world().clock()).await.assert_kept_and_complete();
}

#[tokio::test(start_paused = true)]
async fn the_random_sequence_keeps_its_contract() {
    contracts::random(&*world().random()).await.assert_kept_and_complete();
}

/// Real time and several threads: the simulation does not depend on a paused clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_keeps_its_contract_in_real_time() {
    let world = MemoryWorld::new(WorldOptions { ready_after: Duration::from_millis(20), ..WorldOptions::default() });
    contracts::cluster(&MemoryHarness { world, hangs: false }).await.assert_kept();
}
