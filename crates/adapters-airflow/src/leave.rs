//! Leave to make calls: until when, and under which fence.

use std::time::Duration;

use dbt_controller_domain::ports::Fence;
use tokio::time::Instant;

use crate::fault::Fault;

/// How long a call that only reads may take, its repetitions included. Of a list this is one page; all of them together have a limit of
/// their own, in `pages`.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Leave to make the calls of one step, or to read one page of a list.
///
/// All calls under one leave, their repetitions and the pauses between them end by its deadline; so no single call lasts longer than
/// the fence allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leave<'a> {
    fence: Option<&'a Fence>,
    deadline: Instant,
}

impl<'a> Leave<'a> {
    /// To read.
    pub(crate) fn to_read() -> Self {
        Self { fence: None, deadline: Instant::now() + READ_LIMIT }
    }

    /// To read one page of a list, which has to be read to its end by this moment.
    pub(crate) fn to_read_by(end: Instant) -> Self {
        let Self { fence, deadline } = Self::to_read();
        Self { fence, deadline: deadline.min(end) }
    }

    /// To write, and to read on the way to it.
    pub(crate) fn to_write(fence: &'a Fence) -> Self {
        Self { fence: Some(fence), deadline: Instant::now() + fence.call_limit() }
    }

    /// The same leave with half of the time that it has left: for what may fail without harm to the step.
    pub(crate) fn half(self) -> Self {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Self { deadline: self.deadline - left / 2, ..self }
    }

    /// Whether it is that of a step that changes something.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fence.is_some()
    }

    /// When every call must have ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether no call can be made any more.
    pub(crate) fn is_over(&self) -> bool {
        self.deadline <= Instant::now()
    }

    /// Asks for leave to make one call now.
    pub(crate) fn ask(&self) -> Result<(), Fault> {
        self.fence.map_or(Ok(()), Fence::check).map_err(Fault::Fenced)
    }
}
