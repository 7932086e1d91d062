//! Operations: the lock, the ledger and the outcome of each mutation, on one record per release.
//!
//! ```text
//! submit ──► place (pure) ──► compare-and-swap ──► line: one task per release and replica that holds its lock
//!                                                    │  runs `running`, then each of `waiting` in turn
//!                                                    ├─ keeper: renews every S/6, sees cancel and loss
//!                                                    └─ Executor (the workflows) with a `Run`
//! wait, follow ◄── watch of the record: on any replica
//! recover ──► takes over what was not renewed for S + 1 s
//! ```
//!
//! The fencing rules are those of [`crate::ports::Fence`].

mod audit;
mod engine;
mod line;
mod placement;
mod reading;
mod records;
mod run;
mod submission;

#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

pub use audit::AUDIT_TARGET;
pub(crate) use engine::store_failure;
pub use engine::{Limits, Operations};
pub(crate) use placement::cancelled;
pub use run::{Run, Stop};
pub use submission::Submission;
pub(crate) use submission::Submitted;

use crate::model::{Debt, Failure, FinishedOperation, ReleaseKey, Success, Task};

/// Does what an operation is for. The workflows implement it; tests of the engine have their own.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Runs a task to its end. With `taken_over` another holder began it and left what the run's ledger says.
    async fn execute(&self, run: &Run, task: &Task, taken_over: bool) -> Ending;

    /// Whether it can be tried to pay this debt of a release. What cannot waits for a service that is set up for it.
    fn may_pay(&self, key: &ReleaseKey, debt: &Debt) -> bool;

    /// Hears of each operation's end, once it is on record. MUST return at once.
    fn ended(&self, finished: &FinishedOperation);
}

/// How an execution ended.
#[derive(Debug)]
pub enum Ending {
    /// It came to an end of its own.
    Done {
        /// The outcome.
        outcome: Result<Success, Failure>,
        /// What it had to leave.
        debts: Vec<Debt>,
        /// Debts of earlier operations that it paid, each with the release that left it.
        paid: Vec<(ReleaseKey, Debt)>,
    },
    /// It was stopped and left everything as it was at that moment.
    Stopped(Stop),
}

impl Ending {
    /// A success without debts.
    pub fn success(success: Success) -> Self {
        Self::Done { outcome: Ok(success), debts: Vec::new(), paid: Vec::new() }
    }

    /// A failure without debts.
    pub fn failure(failure: Failure) -> Self {
        Self::Done { outcome: Err(failure), debts: Vec::new(), paid: Vec::new() }
    }
}
