//! The process of a replica, which can be frozen or killed at any of its calls.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It does what it has to do.
    Running,
    /// As after SIGSTOP: no call begins and no answer is seen until it goes on.
    Frozen,
    /// As after SIGKILL: nothing more is ever done. Its tasks stay where they are.
    Dead,
}

/// The process of one replica, as far as its calls show it.
#[derive(Debug)]
pub struct Process {
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

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

impl Process {
    /// One that runs.
    pub fn new() -> Self {
        Self { life: watch::Sender::new(Life::Running), strike: Mutex::default() }
    }

    /// How it is.
    pub fn life(&self) -> Life {
        *self.life.borrow()
    }

    /// Changes it at its call after so many others, which is done before that or not.
    pub fn strike_at(&self, calls: u16, done: bool, life: Life) {
        *self.strike.lock().unwrap_or_else(PoisonError::into_inner) = Some(Strike { calls, done, life });
    }

    /// Forgets what was to happen at a call.
    pub fn spare(&self) {
        *self.strike.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Changes it now. What is dead stays so.
    pub fn set(&self, life: Life) {
        self.life.send_if_modified(|now| {
            let changes = *now != Life::Dead && *now != life;
            if changes {
                *now = life;
            }
            changes
        });
    }

    /// Resolves when the process does not run.
    pub async fn stands_still(&self) {
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
