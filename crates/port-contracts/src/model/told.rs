//! What became of stories.

use std::fs;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What became of a story, or of many.
#[derive(Debug, Default)]
pub struct Told {
    /// How many things happened.
    pub events: usize,
    /// How many calls of the service were answered, and how many of them well.
    pub answered: (usize, usize),
    /// What is wrong, with the number of the step; none when all is well.
    pub wrong: Option<String>,
    /// What was answered.
    pub log: Vec<String>,
}

impl Told {
    /// Counts another story's events and answers too.
    pub fn count(&mut self, other: &Self) {
        self.events += other.events;
        self.answered.0 += other.answered.0;
        self.answered.1 += other.answered.1;
    }

    /// Prints the figures of a run with these seeds that found nothing wrong, and writes them into the file that `MODEL_REPORT` names, if
    /// it names one: the way to `cargo xtask prove model --record`.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[expect(clippy::print_stdout, reason = "the figures of a long run are for the developer who started it")]
    #[expect(clippy::disallowed_methods, reason = "the way from a test to a developers' command")]
    pub fn report(&self, seeds: RangeInclusive<u64>, took: Duration) {
        let Self { events, answered: (answered, well), .. } = self;
        let (first, last, minutes) = (seeds.start(), seeds.end(), took.as_secs_f64() / 60.0);
        let text = format!(
            "{answered} operations answered ({well} well) and {events} events, seeds {first} to {last}, {minutes:.1} minutes, 0 wrong."
        );
        println!("{text}");
        if let Some(path) = std::env::var_os("MODEL_REPORT") {
            fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}
