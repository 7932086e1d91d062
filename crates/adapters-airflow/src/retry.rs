//! Trying again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use crate::fault::Fault;
use crate::leave::Leave;

/// How often a step is tried again. Whoever calls the port does so too, with longer pauses.
const TIMES: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The pauses of one step.
pub(crate) struct Pauses(ExponentialBackoff);

impl Pauses {
    pub(crate) fn new() -> Self {
        let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_factor(3.0).with_max_times(TIMES).with_jitter();
        Self(pauses.build())
    }

    /// Waits until the step may be tried again: at least as long as Airflow asks for. Gives the fault back when that is not possible, or
    /// no use.
    pub(crate) async fn after(&mut self, fault: Fault, leave: &Leave<'_>) -> Result<(), Fault> {
        let pause = fault.is_passing().then(|| self.0.next()).flatten().map(|pause| pause.max(fault.wait().unwrap_or_default()));
        match pause {
            Some(pause) if pause < leave.deadline().saturating_duration_since(Instant::now()) => {
                tracing::debug!(?fault, ?pause, "a call to Airflow is tried again");
                sleep(pause).await;
                Ok(())
            }
            Some(_) | None => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(after: Option<Duration>) -> Fault {
        Fault::Later { why: "HTTP 429".to_owned(), after, arrived: false }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        let leave = Leave::to_read();
        let mut pauses = Pauses::new();
        assert!(pauses.after(later(None), &leave).await.is_ok());
        assert!(pauses.after(Fault::NoAnswer { why: String::new(), arrived: true }, &leave).await.is_ok());
        assert!(pauses.after(later(None), &leave).await.is_err());
        assert!(Pauses::new().after(Fault::Absent, &leave).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_airflow_asks_for_is_waited_if_the_time_allows() {
        let leave = Leave::to_read();
        let begin = Instant::now();
        assert!(Pauses::new().after(later(Some(Duration::from_secs(3))), &leave).await.is_ok());
        assert!(begin.elapsed() >= Duration::from_secs(3));
        let begin = Instant::now();
        assert!(Pauses::new().after(later(Some(Duration::from_secs(3600))), &leave).await.is_err());
        assert_eq!(begin.elapsed(), Duration::ZERO, "waiting for what cannot come in time");
    }
}
