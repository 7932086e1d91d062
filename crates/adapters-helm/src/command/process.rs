//! A program that is run to its end, or killed with its children.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use dbt_controller_domain::ports::{Fence, FenceDown};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How much is kept of what it writes: the end, where the error is.
pub(super) const KEPT_OUTPUT: usize = 16 << 10;
/// How often is looked whether the fence still stands.
const LOOK: Duration = Duration::from_millis(50);

/// What a program wrote, the last of it.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Output {
    /// Whether it was started through another program that could not run it. That one says so with an exit code, as shells do: 127 where
    /// there is no such program, 126 where it cannot be run.
    pub(super) fn was_not_started(&self) -> bool {
        matches!(self.status.code(), Some(126 | 127))
    }
}

/// Why a program did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("`{0}` cannot be started: {1}")]
    Start(String, #[source] io::Error),
    #[error(transparent)]
    Fenced(#[from] FenceDown),
    #[error("it was stopped after {0:?}")]
    TooLong(Duration),
    #[error("its output cannot be read: {0}")]
    Output(#[source] io::Error),
}

/// A running program and its children, which are killed when this is dropped before its end was seen.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    fn start(mut command: Command) -> Result<Self, Broken> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // In a group of its own, with its number, so that programs that it starts for credentials can be killed with it.
        let started = command.process_group(0).kill_on_drop(true).spawn();
        let child = started.map_err(|error| Broken::Start(command.as_std().get_program().display().to_string(), error))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    async fn end(&mut self, input: &str) -> io::Result<Output> {
        let (stdin, stdout, stderr) = (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read it to its end says why by itself.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let ((), stdout, stderr) = tokio::join!(write, last_of(stdout), last_of(stderr));
        let status = self.child.wait().await?;
        self.group = None;
        Ok(Output { status, stdout: stdout?, stderr: stderr? })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended by itself just now.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a program while the fence stands, if there is one, and for so long at most.
pub(super) async fn run(command: Command, input: &str, limit: Duration, fence: Option<&Fence>) -> Result<Output, Broken> {
    if let Some(fence) = fence {
        fence.check()?;
    }
    let mut running = Running::start(command)?;
    tokio::select! {
        ended = timeout(limit, running.end(input)) => match ended {
            Ok(output) => output.map_err(Broken::Output),
            Err(_) => Err(Broken::TooLong(limit)),
        },
        down = fallen(fence) => Err(down.into()),
    }
}

/// Waits until the fence is down.
async fn fallen(fence: Option<&Fence>) -> FenceDown {
    let Some(fence) = fence else { return std::future::pending().await };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Err(down) = fence.check() {
            return down;
        }
    }
}

/// Reads a stream to its end and keeps the last of it.
async fn last_of(stream: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let Some(mut stream) = stream else { return Ok(String::new()) };
    let mut kept = Vec::new();
    let mut is_cut = false;
    let mut part = vec![0; KEPT_OUTPUT];
    loop {
        let read = stream.read(&mut part).await?;
        if read == 0 {
            let text = String::from_utf8_lossy(&kept).into_owned();
            // The line that was cut may begin in the middle of a value, and nobody could tell that it is one.
            let whole =
                |text: String| text.split_once('\n').map_or_else(|| "its words were too long".to_owned(), |(_, rest)| rest.to_owned());
            return Ok(if is_cut { whole(text) } else { text });
        }
        kept.extend_from_slice(&part[..read]);
        let surplus = kept.len().saturating_sub(KEPT_OUTPUT);
        is_cut |= surplus > 0;
        kept.drain(..surplus);
    }
}
