//! The seeds of stories that failed, kept next to this file as proptest keeps those of the model in memory.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

/// Committed, so that everybody plays them from then on.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/model/failed-seeds.txt");

/// The seeds that are played before any other.
pub(crate) fn seeds() -> Vec<u64> {
    let text = fs::read_to_string(FILE).unwrap_or_else(|error| panic!("{FILE}: {error}"));
    seeds_of(&text)
}

/// Keeps the seed of a story that failed, with the first line of what is wrong. What comes of it is told with the story: that it cannot be
/// kept must not hide what it found.
pub(crate) fn keep(seed: u64, wrong: &str) -> String {
    let line = line(seed, wrong);
    match OpenOptions::new().append(true).open(FILE).and_then(|mut file| file.write_all(line.as_bytes())) {
        Ok(()) => format!("its seed is kept in {FILE}; commit it"),
        Err(error) => format!("its seed cannot be kept in {FILE}: {error}"),
    }
}

fn line(seed: u64, wrong: &str) -> String {
    format!("{seed} # {}\n", wrong.lines().next().unwrap_or_default())
}

/// A seed a line; what follows a `#` is for people.
fn seeds_of(text: &str) -> Vec<u64> {
    let seed = |line: &str| {
        let seed = line.split('#').next().unwrap_or_default().trim();
        (!seed.is_empty()).then(|| seed.parse().unwrap_or_else(|_| panic!("`{line}` of {FILE} does not begin with a seed")))
    };
    text.lines().filter_map(seed).collect()
}

#[test]
fn a_seed_that_was_kept_is_read_again() {
    let text = format!("# For people.\n\n{}{}", line(7, "after step 2: it has `#`\n  and more"), line(u64::MAX, ""));
    assert_eq!(text, "# For people.\n\n7 # after step 2: it has `#`\n18446744073709551615 # \n");
    assert_eq!(seeds_of(&text), [7, u64::MAX]);
}

#[test]
fn what_is_kept_can_be_read() {
    seeds();
}
