//! Slows down callers who send too many requests. Each token has its own allowance, so a runaway pipeline does not take
//! another's. Requests without a token read public paths only, which call nobody else, and are not counted.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::auth::Actor;
use super::gate::{Gate, Gated};
use crate::error::{ApiError, ErrorCode};

/// Answers 429 to requests above the limit. Clones share one count, so that all threads of a server keep one limit: it must
/// be made once, not once per thread.
pub(crate) type RateLimit = Gated<Limiter>;

/// What each token has used of its allowance. Its keys are names of tokens, of which there are two, so none are ever dropped.
#[derive(Clone)]
pub(crate) struct Limiter {
    used: Arc<DefaultKeyedRateLimiter<Actor>>,
    clock: DefaultClock,
}

impl RateLimit {
    /// So many requests per second and token, and as many at once. 0 would shut everybody out and counts as 1.
    pub(crate) fn new(requests_per_second: u32) -> Self {
        let requests = NonZeroU32::new(requests_per_second).unwrap_or(NonZeroU32::MIN);
        Self::with_quota(Quota::per_second(requests))
    }

    pub(super) fn with_quota(quota: Quota) -> Self {
        Self(Limiter { used: Arc::new(RateLimiter::keyed(quota)), clock: DefaultClock::default() })
    }
}

impl Gate for Limiter {
    fn admit(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        let Some(actor) = request.extensions().get::<Actor>().copied() else {
            return Ok(());
        };
        self.used.check_key(&actor).map_err(|not_yet| {
            let wait = not_yet.wait_time_from(self.clock.now());
            ApiError::new(
                ErrorCode::RateLimited,
                "too many requests with this token: wait as long as `Retry-After` says, or raise `REQUESTS_PER_SECOND`",
            )
            .with_retry_after(whole_seconds(wait))
        })
    }
}

/// `Retry-After` knows whole seconds only, and 0 would invite a caller to try at once.
pub(super) fn whole_seconds(wait: Duration) -> u32 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    u32::try_from(wait.as_secs().saturating_add(begun)).unwrap_or(u32::MAX).max(1)
}
