//! The API server's clock, as far as it can be told from its answers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The `Date` header counts whole seconds: the clock was up to this much further.
const RESOLUTION: SignedDuration = SignedDuration::from_secs(1);
/// For how long an answer is good enough to date a lock by.
const FRESH: Duration = Duration::from_secs(60);

/// Tells the time of the API server between its answers.
///
/// Each answer says: when it was sent, the server's clock showed this second. That was not before our request left and not after the
/// answer came. What two answers allow is narrower than what one does, so the estimate gets better than a second after a few of them.
#[derive(Debug)]
pub(super) struct ServerClock {
    /// The moment of our own monotonic clock at which `bounds` hold.
    anchor: Instant,
    bounds: Mutex<Option<Bounds>>,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    at_anchor: Estimate,
    learned: Instant,
}

/// The server's clock shows a time between these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Estimate {
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
}

impl ServerClock {
    pub(super) fn new() -> Self {
        Self { anchor: Instant::now(), bounds: Mutex::default() }
    }

    /// Takes in the `Date` header of an answer to a request sent and received at these moments.
    pub(super) fn learn(&self, date: &str, sent: Instant, received: Instant) {
        let Some(told) = parse(date).and_then(|date| self.estimate(date, sent, received)) else { return };
        let mut bounds = self.bounds();
        let narrower = bounds
            .map(|known| known.at_anchor)
            .map(|known| Estimate { earliest: known.earliest.max(told.earliest), latest: known.latest.min(told.latest) });
        // Clocks drift and are set, and the next answer may come from another server: what contradicts the past replaces it.
        let at_anchor = narrower.filter(|both| both.earliest <= both.latest).unwrap_or(told);
        *bounds = Some(Bounds { at_anchor, learned: received });
    }

    /// What the server's clock shows now; none before the first answer.
    pub(super) fn now(&self) -> Option<Estimate> {
        let Estimate { earliest, latest } = (*self.bounds())?.at_anchor;
        let passed = signed(self.anchor.elapsed());
        Some(Estimate { earliest: earliest.checked_add(passed).ok()?, latest: latest.checked_add(passed).ok()? })
    }

    /// The same, where an answer of the last minute told it.
    pub(super) fn fresh(&self) -> Option<Estimate> {
        let learned = (*self.bounds())?.learned;
        if learned.elapsed() <= FRESH { self.now() } else { None }
    }

    /// How long ago the server's clock showed this time, at least.
    pub(super) fn age(&self, since: Timestamp) -> Option<Duration> {
        let age = self.now()?.earliest.duration_since(since);
        Some(Duration::try_from(age).unwrap_or_default())
    }

    fn estimate(&self, date: Timestamp, sent: Instant, received: Instant) -> Option<Estimate> {
        let before = |moment: Instant| signed(moment.saturating_duration_since(self.anchor));
        Some(Estimate {
            earliest: date.checked_sub(before(received)).ok()?,
            latest: date.checked_add(RESOLUTION).ok()?.checked_sub(before(sent)).ok()?,
        })
    }

    fn bounds(&self) -> std::sync::MutexGuard<'_, Option<Bounds>> {
        // A plain value; a panic elsewhere cannot leave it half written.
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7, which also is a date of RFC 2822).
fn parse(date: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// A server whose clock showed this when the test began.
    struct Server {
        clock: ServerClock,
        begun: Instant,
        shown: Timestamp,
    }

    impl Server {
        fn new(shown: &str) -> Self {
            Self { clock: ServerClock::new(), begun: Instant::now(), shown: shown.parse().unwrap() }
        }

        fn true_time(&self) -> Timestamp {
            self.shown + signed(self.begun.elapsed())
        }

        /// One request and its answer, each this long under way.
        async fn answer(&self, way: Duration) {
            let sent = Instant::now();
            advance(way).await;
            let second = self.true_time().as_second();
            advance(way).await;
            let date = jiff::fmt::rfc2822::DateTimePrinter::new();
            let date = date.timestamp_to_rfc9110_string(&Timestamp::from_second(second).unwrap()).unwrap();
            self.clock.learn(&date, sent, Instant::now());
        }

        fn check(&self) -> SignedDuration {
            let Estimate { earliest, latest } = self.clock.now().unwrap();
            assert!(earliest <= self.true_time() && self.true_time() <= latest, "{earliest} {latest} {}", self.true_time());
            latest.duration_since(earliest)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_between_the_bounds_and_they_narrow() {
        let server = Server::new("2026-11-21T10:00:00.75Z");
        assert_eq!(server.clock.now(), None);
        server.answer(5 * MILLISECOND).await;
        let first = server.check();
        assert!(first <= SignedDuration::from_millis(1010), "{first:?}");
        for _ in 0..20 {
            advance(137 * MILLISECOND).await;
            server.answer(5 * MILLISECOND).await;
            server.check();
        }
        assert!(server.check() < SignedDuration::from_millis(200), "{:?}", server.check());
        advance(Duration::from_secs(3600)).await;
        server.check();
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_is_followed() {
        for set_to in ["2026-11-21T09:00:00.1Z", "2026-11-21T11:00:00.1Z"] {
            let mut server = Server::new("2026-11-21T10:00:00.5Z");
            server.answer(MILLISECOND).await;
            server.begun = Instant::now();
            server.shown = set_to.parse().unwrap();
            server.answer(MILLISECOND).await;
            server.check();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_age_grows_and_is_never_negative() {
        let server = Server::new("2026-11-21T10:00:00Z");
        assert_eq!(server.clock.age(server.shown), None);
        server.answer(MILLISECOND).await;
        let written = server.clock.now().unwrap().latest;
        assert_eq!(server.clock.age(written), Some(Duration::ZERO));
        advance(Duration::from_secs(31)).await;
        let age = server.clock.age(written).unwrap();
        assert!((Duration::from_millis(29_990)..=Duration::from_secs(31)).contains(&age), "{age:?}");
        assert_eq!(server.clock.age(written + SignedDuration::from_hours(1)), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_date_is_ignored() {
        let server = Server::new("2026-11-21T10:00:00Z");
        for date in ["", "yesterday", "2026-11-21T10:00:00Z", "Sun, 99 Nov 2026 08:49:37 GMT"] {
            server.clock.learn(date, Instant::now(), Instant::now());
            assert_eq!(server.clock.now(), None, "{date}");
        }
        server.clock.learn("Sat, 21 Nov 2026 10:00:00 GMT", Instant::now(), Instant::now());
        assert_eq!(server.clock.now().map(|now| now.earliest), Some(server.shown));
        advance(FRESH + Duration::from_secs(1)).await;
        assert!(server.clock.fresh().is_none() && server.clock.now().is_some());
    }
}
