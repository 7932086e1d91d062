//! How much memory the bodies of all requests may take together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ApiError, ErrorCode};

/// What all bodies together may hold beyond their free parts: 32 of the largest.
const SHARED_BYTES: usize = 32 << 20;

/// So much of each body is free, so that those who send large ones slowly cannot keep a usual one out. There are at most as many of
/// these as there are connections.
const FREE_BYTES: usize = 16 << 10;

/// What bodies may take together. Clones share it.
#[derive(Clone)]
pub(crate) struct BodyBudget(Arc<Semaphore>);

/// What one body has taken. It is given back when this is dropped.
pub(crate) struct BodyShare {
    budget: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(SHARED_BYTES)))
    }

    /// The share of a body of which nothing has come yet.
    pub(crate) fn share(&self) -> BodyShare {
        BodyShare { budget: Arc::clone(&self.0), taken: None }
    }
}

impl BodyShare {
    /// Takes what a body of this length needs beyond what it has. It is taken as bytes arrive, not as they are announced, for an
    /// announcement costs nothing.
    ///
    /// # Errors
    /// If others have taken it. Who waited for it here would keep what it has from them.
    pub(crate) fn grow(&mut self, length: usize) -> Result<(), ApiError> {
        let taken = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = length.saturating_sub(FREE_BYTES).saturating_sub(taken);
        // No body is as long as 4 GiB; one that were would be refused.
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.budget).try_acquire_many_owned(missing).map_err(|_| {
            ApiError::new(ErrorCode::Overloaded, "too many large bodies arrive at once: wait as long as `Retry-After` says")
        })?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
