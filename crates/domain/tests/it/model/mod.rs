//! The model test: see `dbt_controller_port_contracts::model`. Here it runs on the in-memory world.
//!
//! `cargo test` plays the same stories each time, so that nobody's change fails by somebody else's bad luck; `cargo xtask prove model` plays
//! new ones. What either finds is kept in `proptest-regressions` and played first from then on. A seed is worth nothing any more when the
//! strategy changes, so what taught something is told in `found` as well.

mod found;
mod memory;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use dbt_controller_port_contracts::model::{Story, Told, on_a_large_stack, run, stories};
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, RngSeed, TestCaseError, TestRunner};

use self::memory::Memory;

/// Some 20 seconds of a debug build on two cores.
const OPERATIONS: usize = 2_000;
/// The stories that `cargo test` plays.
const SEED: u64 = 1;
/// Long enough for a history to be cut and a record to be full.
const LONGEST_STORY: usize = 30;

/// Plays a story on a world of its own, in virtual time.
fn told(story: &Story) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run(Arc::new(Memory(crate::stage::world())), story))
}

fn play(story: &Story, sum: &RefCell<Told>) -> Result<(), TestCaseError> {
    let told = told(story);
    sum.borrow_mut().count(&told);
    match told.wrong {
        None => Ok(()),
        Some(wrong) => Err(TestCaseError::fail(format!("{wrong}\nThe answers were\n  {}", told.log.join("\n  ")))),
    }
}

/// A number that `cargo xtask prove model` gives.
#[expect(clippy::disallowed_methods, reason = "the way from a developers' command into a test")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not `{text}`")))
}

#[test]
fn every_story_keeps_the_three_worlds_together() {
    on_a_large_stack(play_stories);
}

fn play_stories() {
    let operations = setting("MODEL_OPERATIONS").map_or(OPERATIONS, |operations| operations as usize);
    let first = setting("MODEL_SEED").unwrap_or(SEED);
    let (sum, began) = (RefCell::new(Told::default()), Instant::now());
    for seed in first.. {
        let config = Config {
            cases: 10,
            rng_algorithm: RngAlgorithm::ChaCha,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/model.txt"))),
            source_file: Some(file!()),
            max_shrink_iters: 4_000,
            ..Config::default()
        };
        if let Err(found) = TestRunner::new(config).run(&stories(LONGEST_STORY), |story| play(&story, &sum)) {
            panic!("seed {seed}: {found}");
        }
        if sum.borrow().answered.0 >= operations {
            return sum.borrow().report(first..=seed, began.elapsed());
        }
    }
}
