//! Since when the cluster has not answered, as the checks found it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a check that failed counts. By then a watch whose connection died without a word has noticed it, or all is well again.
const COUNTS_FOR: Duration = Duration::from_secs(65);

/// Watches notice a connection that died without a word after a minute only. A check that was not answered tells earlier.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<Failed>>);

/// Checks that failed in a row: when the first and when the last was begun.
#[derive(Debug, Clone, Copy)]
struct Failed {
    first: Instant,
    last: Instant,
}

impl Silence {
    /// Takes in a check that was begun then.
    pub(super) fn note(&self, begun: Instant, is_answered: bool) {
        let mut failed = self.lock();
        *failed = (!is_answered).then(|| Failed { first: failed.map_or(begun, |failed| failed.first), last: begun });
    }

    /// For how long the cluster has been silent.
    pub(super) fn age(&self) -> Option<Duration> {
        self.lock().filter(|failed| failed.last.elapsed() < COUNTS_FOR).map(|failed| failed.first.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failed>> {
        // A plain value; a panic elsewhere cannot leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_lasts_from_the_first_failed_check_to_the_next_good_one() {
        let silence = Silence::default();
        assert_eq!(silence.age(), None);
        silence.note(Instant::now(), false);
        tokio::time::advance(Duration::from_secs(40)).await;
        silence.note(Instant::now(), false);
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(silence.age(), Some(Duration::from_secs(80)));
        silence.note(Instant::now(), true);
        assert_eq!(silence.age(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_check_does_not_count_for_ever() {
        let silence = Silence::default();
        silence.note(Instant::now(), false);
        tokio::time::advance(COUNTS_FOR).await;
        assert_eq!(silence.age(), None);
    }
}
