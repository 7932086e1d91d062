//! Calling a port from a workflow: passing faults are tried again, the fence and the reasons to stop are heeded.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::faults;
use crate::model::{Failure, Phase};
use crate::operations::{Run, Stop};
use crate::ports::{ClusterError, ConnectionError, InstallerError, StoreError};

/// Why a step did not go through.
#[derive(Debug)]
pub(super) enum Halt {
    /// The operation has to stop where it is.
    Stop(Stop),
    /// It failed.
    Failed(Box<Failure>),
}

impl Halt {
    /// The same, of a failure in this step.
    pub(super) fn at(self, phase: Phase) -> Self {
        match self {
            Self::Failed(failure) => failure.at(phase).into(),
            stop @ Self::Stop(_) => stop,
        }
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Why a call did not go through.
#[derive(Debug)]
pub(super) enum Broken<E> {
    Stop(Stop),
    Error(E),
}

impl<E> Broken<E> {
    /// The halt that this means, with the error in words.
    pub(super) fn or_fail(self, failure: impl FnOnce(E) -> Failure) -> Halt {
        match self {
            Self::Stop(stop) => Halt::Stop(stop),
            Self::Error(error) => failure(error).into(),
        }
    }
}

/// What kind of trouble a port's error is for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// May pass: worth another try, since every write is safe to repeat.
    Passing,
    /// The lock was not renewed in time.
    Fenced,
    /// Will be the same next time.
    Lasting,
}

/// Errors of ports, by kind.
pub(super) trait PortError: std::fmt::Display {
    fn trouble(&self) -> Trouble;
    fn out_of_time() -> Self;
}

const OUT_OF_TIME: &str = "no answer within the time that the operation has left";

impl PortError for InstallerError {
    fn trouble(&self) -> Trouble {
        match self {
            Self::Unavailable(_) => Trouble::Passing,
            Self::Fenced(_) => Trouble::Fenced,
            Self::Changed(_)
            | Self::ForeignObject { .. }
            | Self::Refused { .. }
            | Self::Forbidden(_)
            | Self::NamespaceMissing(_)
            | Self::TooLarge(_)
            | Self::Unreadable(_)
            | Self::Unexpected(_) => Trouble::Lasting,
        }
    }

    fn out_of_time() -> Self {
        Self::Unavailable(OUT_OF_TIME.into())
    }
}

impl PortError for ClusterError {
    fn trouble(&self) -> Trouble {
        match self {
            Self::Unavailable(_) => Trouble::Passing,
            Self::Fenced(_) => Trouble::Fenced,
            Self::NotFound(_) | Self::ForeignObject { .. } | Self::Forbidden(_) | Self::Refused(_) | Self::Unexpected(_) => {
                Trouble::Lasting
            }
        }
    }

    fn out_of_time() -> Self {
        Self::Unavailable(OUT_OF_TIME.into())
    }
}

impl PortError for ConnectionError {
    fn trouble(&self) -> Trouble {
        match self {
            Self::Unavailable(_) | Self::Unreachable(_) => Trouble::Passing,
            Self::Fenced(_) => Trouble::Fenced,
            Self::Refused(_) | Self::Taken(_) | Self::Rejected(_) | Self::Unexpected(_) => Trouble::Lasting,
        }
    }

    fn out_of_time() -> Self {
        Self::Unavailable(OUT_OF_TIME.into())
    }
}

impl PortError for StoreError {
    fn trouble(&self) -> Trouble {
        match self {
            Self::Unavailable(_) => Trouble::Passing,
            Self::Conflict
            | Self::Forbidden(_)
            | Self::NamespaceMissing(_)
            | Self::Refused { .. }
            | Self::TooLarge(_)
            | Self::Unreadable(_)
            | Self::Unexpected(_) => Trouble::Lasting,
        }
    }

    fn out_of_time() -> Self {
        Self::Unavailable(OUT_OF_TIME.into())
    }
}

/// How often a passing fault is tried again in a step that can be undone.
const RETRIES: u32 = 3;
/// The same in a step that must not be given up: until its deadline.
pub(super) const UNTIL_DEADLINE: u32 = u32::MAX;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Calls a port until it answers, fails for good, has failed in passing too often, the deadline passes or the operation has to stop.
///
/// A call that is under way is not cut off by a stop: it ends by its own limit, so that nobody else begins while it may still write.
pub(super) async fn call<T, E, F>(run: &Run, deadline: Instant, port: impl FnMut() -> F) -> Result<T, Broken<E>>
where
    E: PortError,
    F: Future<Output = Result<T, E>>,
{
    call_with(run, deadline, RETRIES, port).await
}

/// Whether a halt leaves the release to others: a lost lock or a stop, not a failure.
pub(super) fn stop_of<T>(result: Result<T, Broken<impl std::fmt::Display>>) -> Result<Result<T, String>, Stop> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Broken::Error(error)) => Ok(Err(error.to_string())),
        Err(Broken::Stop(stop)) => Err(stop),
    }
}

/// Stores what the ledger notes, so that whoever takes over knows of it.
pub(super) async fn store(run: &Run, deadline: Instant) -> Result<(), Halt> {
    let stored = call(run, deadline, || run.record(|_| ())).await;
    stored.map_err(|broken| broken.or_fail(|error| faults::of_store(&error)))
}

/// As [`call`], for what must not be given up because the far side is away for a minute: undo, commit, takeover.
pub(super) async fn insist<T, E, F>(run: &Run, deadline: Instant, port: impl FnMut() -> F) -> Result<T, Broken<E>>
where
    E: PortError,
    F: Future<Output = Result<T, E>>,
{
    call_with(run, deadline, UNTIL_DEADLINE, port).await
}

/// As [`call`], with this many further tries.
pub(super) async fn call_with<T, E, F>(run: &Run, deadline: Instant, retries: u32, mut port: impl FnMut() -> F) -> Result<T, Broken<E>>
where
    E: PortError,
    F: Future<Output = Result<T, E>>,
{
    let mut tries = 0;
    let mut pause = Duration::from_millis(200);
    loop {
        run.checkpoint().map_err(Broken::Stop)?;
        let Ok(result) = tokio::time::timeout_at(deadline, port()).await else {
            return Err(Broken::Error(E::out_of_time()));
        };
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match error.trouble() {
            Trouble::Lasting => return Err(Broken::Error(error)),
            Trouble::Fenced => run.regain().await.map_err(Broken::Stop)?,
            Trouble::Passing if tries >= retries || Instant::now() + pause >= deadline => return Err(Broken::Error(error)),
            Trouble::Passing => {
                tracing::warn!(operation.id = %run.info.id, error = %run.redact(&error.to_string()), "a call is tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                tries += 1;
            }
        }
    }
}
