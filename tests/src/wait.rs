//! Waiting for what comes by itself.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Far longer than needed: it shows that something never comes, not that it is slow.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often is looked.
const POLL: Duration = Duration::from_millis(50);

/// Waits until a condition gives a value.
///
/// # Panics
///
/// When it gives none within [`DEADLINE`].
pub async fn until<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, condition).await
}

/// Waits until a condition gives a value.
///
/// # Panics
///
/// When it gives none in this time.
pub async fn until_within<T>(time: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begin.elapsed() < time, "never came within {} s: {what}", time.as_secs());
        tokio::time::sleep(POLL).await;
    }
}
