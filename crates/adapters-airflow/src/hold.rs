//! Leaving Airflow alone for as long as it asks us to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::Fault;

/// The longest time that is kept to. An Airflow that is back sooner must not be left alone for an hour.
const LONGEST: Duration = Duration::from_secs(60);

/// Until when Airflow asked us to wait.
///
/// A call ends when it cannot wait that long, but its callers ask again, and so do other operations.
pub(crate) struct Hold(Mutex<Option<Asked>>);

struct Asked {
    at: Instant,
    until: Instant,
    why: String,
}

impl Hold {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The moment at which a call begins, if it may be made now; if not, the fault with which Airflow asked for the wait.
    pub(crate) fn ask(&self) -> Result<Instant, Fault> {
        let mut asked = self.lock();
        let now = Instant::now();
        if let Some(Asked { until, why, at: _ }) = asked.as_ref().filter(|asked| now < asked.until) {
            return Err(Fault::Later { why: why.clone(), after: Some(until.duration_since(now)), arrived: false });
        }
        *asked = None;
        Ok(now)
    }

    /// Notes how a call went that began then. The success of one that was under way when Airflow asked for the wait says nothing of it.
    pub(crate) fn note<T>(&self, begun: Instant, answer: &Result<T, Fault>) {
        let (mut asked, at) = (self.lock(), Instant::now());
        match answer {
            Ok(_) => *asked = asked.take().filter(|asked| begun < asked.at),
            Err(Fault::Later { why, after: Some(after), .. }) => {
                let until = at + LONGEST.min(*after);
                if asked.as_ref().is_none_or(|asked| asked.until < until) {
                    *asked = Some(Asked { at, until, why: why.clone() });
                }
            }
            Err(_) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Asked>> {
        // Set as a whole; a panic elsewhere leaves nothing half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks_for(seconds: u64) -> Result<(), Fault> {
        Err(Fault::Later { why: "HTTP 429: not now".to_owned(), after: Some(Duration::from_secs(seconds)), arrived: true })
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_asked_for_holds_for_its_time() {
        let hold = Hold::new();
        let begun = hold.ask().unwrap();
        hold.note(begun, &asks_for(30));
        hold.note(begun, &asks_for(5));
        tokio::time::advance(Duration::from_secs(10)).await;
        let Err(Fault::Later { why, after, arrived }) = hold.ask() else { panic!("a call may be made") };
        assert_eq!((why.as_str(), after, arrived), ("HTTP 429: not now", Some(Duration::from_secs(20)), false));
        hold.note::<()>(begun, &Err(Fault::Absent));
        tokio::time::advance(Duration::from_millis(19_999)).await;
        assert!(hold.ask().is_err());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(hold.ask().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_is_not_kept_to() {
        let hold = Hold::new();
        hold.note(Instant::now(), &asks_for(3600));
        tokio::time::advance(LONGEST).await;
        assert!(hold.ask().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_ends_it_unless_it_was_under_way_before() {
        let hold = Hold::new();
        let before = hold.ask().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        hold.note(before, &asks_for(30));
        hold.note(before, &Ok(()));
        assert!(hold.ask().is_err());
        hold.note(Instant::now(), &Ok(()));
        assert!(hold.ask().is_ok());
    }
}
