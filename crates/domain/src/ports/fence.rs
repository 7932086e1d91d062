//! The fence: no writer goes on after it may have lost its lock.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// The right to write, as long as the operation's lock was renewed lately.
///
/// With S = `LOCK_STALE_AFTER`: the holder renews every S/6; no call begins later than S/2 after the last renewal was *sent*; no
/// call lasts longer than S/3; others take over after S + 1 s. So a writer that was stopped, or whose renewals are lost, has ended
/// its last call before anybody else begins.
#[derive(Debug, Clone)]
pub struct Fence {
    state: Arc<Mutex<State>>,
    stale_after: Duration,
}

#[derive(Debug)]
struct State {
    renewed: Instant,
    down: bool,
}

/// The lock may be somebody else's: nothing more may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operation's lock was not renewed in time or was lost")]
pub struct FenceDown;

impl Fence {
    /// A fence whose lock was just taken by a call sent at `renewed`.
    pub fn new(stale_after: Duration, renewed: Instant) -> Self {
        Self { state: Arc::new(Mutex::new(State { renewed, down: false })), stale_after }
    }

    /// Asks for leave to make one outgoing call.
    ///
    /// # Errors
    /// [`FenceDown`] when the last renewal is S/2 old or the lock was lost.
    pub fn check(&self) -> Result<(), FenceDown> {
        let state = self.lock();
        if state.down || state.renewed.elapsed() >= self.stale_after / 2 {
            return Err(FenceDown);
        }
        Ok(())
    }

    /// The longest that one outgoing call may last: S/3.
    pub fn call_limit(&self) -> Duration {
        self.stale_after / 3
    }

    /// The lock was renewed by a call sent at this moment.
    pub fn renewed(&self, sent: Instant) {
        let mut state = self.lock();
        state.renewed = state.renewed.max(sent);
    }

    /// Takes the fence down for good: the lock is lost or given up.
    pub fn take_down(&self) {
        self.lock().down = true;
    }

    /// Whether it was taken down for good.
    pub fn is_down(&self) -> bool {
        self.lock().down
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is two plain values; a panic elsewhere cannot leave it half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a call that ends by a moment; none when its time is over.
///
/// It gets not one step further after that. A plain time-out lets a call go on once more before it looks at the clock: that of a process
/// which was frozen while it waited for a connection would be sent when it wakes, long after others have taken over.
pub async fn before<T>(deadline: Instant, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let in_time = poll_fn(|context| if Instant::now() < deadline { call.as_mut().poll(context).map(Some) } else { Poll::Ready(None) });
    timeout_at(deadline, in_time).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const S: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn no_call_begins_later_than_half_the_stale_time_after_a_renewal_was_sent() {
        let fence = Fence::new(S, Instant::now());
        tokio::time::advance(Duration::from_millis(14_999)).await;
        assert_eq!(fence.check(), Ok(()));
        let sent = Instant::now();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(fence.check(), Err(FenceDown));
        fence.renewed(sent);
        assert_eq!(fence.check(), Ok(()));
        tokio::time::advance(S / 2 - Duration::from_millis(1)).await;
        assert_eq!(fence.check(), Err(FenceDown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fence_that_was_taken_down_stays_down() {
        let fence = Fence::new(S, Instant::now());
        fence.take_down();
        fence.renewed(Instant::now());
        assert_eq!(fence.check(), Err(FenceDown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_frozen_for_its_time_gets_no_step_further() {
        let sent = AtomicBool::new(false);
        let connected = Notify::new();
        let call = async {
            connected.notified().await;
            sent.store(true, Ordering::Relaxed);
        };
        let wakes = async {
            // Nobody is asked in between, so both come at once: the connection and the end of the time.
            connected.notify_one();
            tokio::time::advance(S).await;
        };
        let (answer, ()) = tokio::join!(biased; before(Instant::now() + S / 3, call), wakes);
        assert_eq!((answer, sent.load(Ordering::Relaxed)), (None, false));
        assert_eq!(before(Instant::now() + S / 3, async { 1 }).await, Some(1));
    }

    #[test]
    fn the_last_call_ends_before_anybody_takes_over() {
        for seconds in [6, 30, 300] {
            let s = Duration::from_secs(seconds);
            assert!(s / 2 + s / 3 < s + Duration::from_secs(1));
        }
    }
}
