//! The process of a replica, which can be frozen or killed at any of its calls.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    /// As after SIGSTOP: no call begins and no answer is seen until it goes on.
    Frozen,
    /// As after SIGKILL: nothing more is ever done. Its tasks stay where they are.
    Dead,
}

/// The process of one replica.
#[derive(Debug)]
pub(super) struct Process {
    life: watch::Sender<Life>,
    strike: Mutex<Option<Strike>>,
}

/// What happens to a process at a call that is still to come.
#[derive(Debug, Clone, Copy)]
struct Strike {
    calls: u16,
    /// Whether the call is done before, and only its answer not seen.
    done: bool,
    life: Life,
}

impl Process {
    pub(super) fn new() -> Self {
        Self { life: watch::Sender::new(Life::Running), strike: Mutex::default() }
    }

    pub(super) fn life(&self) -> Life {
        *self.life.borrow()
    }

    /// Changes a process at its call after so many others.
    pub(super) fn strike_at(&self, calls: u16, done: bool, life: Life) {
        *self.strike.lock().unwrap_or_else(PoisonError::into_inner) = Some(Strike { calls, done, life });
    }

    /// Forgets what was to happen at a call.
    pub(super) fn spare(&self) {
        *self.strike.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn set(&self, life: Life) {
        self.life.send_if_modified(|now| {
            let changes = *now != Life::Dead && *now != life;
            if changes {
                *now = life;
            }
            changes
        });
    }

    /// Resolves when the process does not run.
    pub(super) async fn stands_still(&self) {
        // The sender is a field of `self`, so the wait ends by the value only.
        let _ = self.life.subscribe().wait_for(|life| *life != Life::Running).await;
    }

    /// Makes one call of a port.
    pub(super) async fn call<T>(&self, port: impl Future<Output = T>) -> T {
        let strike = self.next();
        if let Some(Strike { done: false, life, .. }) = strike {
            self.set(life);
        }
        self.runs().await;
        let answer = port.await;
        if let Some(Strike { done: true, life, .. }) = strike {
            self.set(life);
        }
        self.runs().await;
        answer
    }

    /// Waits until the process runs; for ever, if it is dead.
    async fn runs(&self) {
        let _ = self.life.subscribe().wait_for(|life| *life == Life::Running).await;
    }

    fn next(&self) -> Option<Strike> {
        let mut planned = self.strike.lock().unwrap_or_else(PoisonError::into_inner);
        let strike = planned.as_mut()?;
        if strike.calls > 0 {
            strike.calls -= 1;
            return None;
        }
        planned.take()
    }
}
