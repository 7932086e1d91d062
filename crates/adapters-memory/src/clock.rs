//! The world's time: tokio's, counted from a base moment.

use std::time::Duration;

use dbt_controller_domain::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A moment of the world, as the time since it began. All states are functions of it.
pub(crate) type Moment = Duration;

/// Counts moments by tokio's clock, so that a test with a paused clock owns the time of the whole world.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    origin: Instant,
    base: Timestamp,
}

impl Timeline {
    /// A timeline that begins now and shows `base` at its beginning.
    pub(crate) fn new(base: Timestamp) -> Self {
        Self { origin: Instant::now(), base }
    }

    /// The present moment. Saturates: a world that was made outside a runtime with a paused clock may be younger than that clock.
    pub(crate) fn now(&self) -> Moment {
        Instant::now().saturating_duration_since(self.origin)
    }

    /// What a wall clock shows at a moment.
    pub(crate) fn timestamp(&self, moment: Moment) -> Timestamp {
        let since = SignedDuration::try_from(moment).unwrap_or(SignedDuration::MAX);
        self.base.saturating_add(since).unwrap_or(Timestamp::MAX)
    }

    /// The moment as tokio's timers take it.
    pub(crate) fn instant(&self, moment: Moment) -> Instant {
        self.origin + moment
    }
}

/// The wall clock of a world.
#[derive(Debug, Clone)]
pub struct MemoryClock(pub(crate) Timeline);

impl Clock for MemoryClock {
    fn now(&self) -> Timestamp {
        self.0.timestamp(self.0.now())
    }
}
