//! The model test on the real control plane: the stories of `dbt_controller_port_contracts::model`, in real time, with Helm and kubectl as
//! the humans. Connections are those of the in-memory Airflow.
//!
//! `cargo xtask prove model --cluster` runs it. It is short: a story takes minutes here. What it finds is told with the story, and is not
//! made shorter. Its seed is kept, and is played first from then on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]
#![allow(clippy::print_stdout, reason = "the developer reads the figures")]

#[path = "../cluster/client.rs"]
mod client;
mod humans;
mod kept;
mod real;

use std::sync::Arc;
use std::time::Instant;

use dbt_controller_port_contracts::model::{Told, on_a_large_stack, run, stories};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestRunner};
use tokio::runtime::Runtime;

use crate::real::Real;

/// Long enough for what one step leaves to meet the next.
const LONGEST_STORY: usize = 8;

#[test]
fn every_story_keeps_the_three_worlds_together() {
    on_a_large_stack(play_stories);
}

fn play_stories() {
    let (operations, first) = (setting("MODEL_OPERATIONS"), setting("MODEL_SEED"));
    for seed in kept::seeds() {
        if let Err(found) = play(seed) {
            panic!("seed {seed}, which failed before: {found}");
        }
    }
    // Of new stories only.
    let (mut sum, begin) = (Told::default(), Instant::now());
    for seed in first.. {
        match play(seed) {
            Ok(told) => sum.count(&told),
            Err(found) => panic!("seed {seed}: {found}\n{}", kept::keep(seed, &found)),
        }
        if sum.answered.0 >= usize::try_from(operations).unwrap() {
            return sum.report(first..=seed, begin.elapsed());
        }
    }
}

/// Plays the story of a seed.
///
/// # Errors
/// What is wrong, with the story and its answers.
fn play(seed: u64) -> Result<Told, String> {
    let config = Config { rng_algorithm: RngAlgorithm::ChaCha, rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    let story = stories(LONGEST_STORY).new_tree(&mut TestRunner::new(config)).unwrap().current();
    println!("seed {seed}: {story:?}");
    // Of its own, so that nothing of one story lives on in the next.
    let told = Runtime::new().unwrap().block_on(async { run(Arc::new(Real::new().await), &story).await });
    println!("  {}", told.log.join("\n  "));
    match &told.wrong {
        None => Ok(told),
        Some(wrong) => Err(format!("{wrong}\n{story:?}\nThe answers were\n  {}", told.log.join("\n  "))),
    }
}

/// A number that `cargo xtask prove model` gives.
#[expect(clippy::disallowed_methods, reason = "the way from a developers' command into a test")]
fn setting(name: &str) -> u64 {
    let text = std::env::var(name).unwrap_or_else(|_| panic!("{name} is missing: run it by `cargo xtask prove model --cluster`"));
    text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not `{text}`"))
}
