//! Processes that outlive the command, found again by a file with their id; and those that the command waits for.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal};

use super::interrupt::Interrupt;

#[cfg(test)]
mod tests;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// How often is looked whether something has happened.
const POLL: Duration = Duration::from_millis(20);

/// How often a command that takes long says that it is still at work.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Starts a program of a control plane. It writes to `<folder>/logs/<name>.log`, and `<folder>/pids/<name>` names it.
pub(super) fn start(command: &mut Command, folder: &Path, name: &str) -> anyhow::Result<()> {
    let log = File::create(folder.join("logs").join(format!("{name}.log"))).context("cannot write a log")?;
    // A group of its own: Ctrl-C is for the command, which then stops the programs in their order.
    command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // What is set around here, such as a proxy, must not change what they do.
    command.env_clear().env("HOME", folder).env("PATH", "/usr/bin:/bin");
    let process = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let id = i32::try_from(process.id())?;
    let (_, begin) = state(id).with_context(|| format!("{name} is gone"))?;
    fs::write(folder.join("pids").join(name), format!("{id} {begin}")).context("cannot write a process id")
}

/// The process with this name, if it runs.
pub(super) fn find(folder: &Path, name: &str) -> Option<Pid> {
    let text = fs::read_to_string(folder.join("pids").join(name)).ok()?;
    let (id, noted) = text.split_once(' ')?;
    let id = id.parse().ok()?;
    let (state, begin) = state(id)?;
    // One that has ended stays there until its parent collects it.
    Pid::from_raw(id).filter(|_| begin == noted && state != "Z" && state != "X")
}

/// A process's state and when it began, which tells it from another one that got its id later.
fn state(id: i32) -> Option<(String, String)> {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is a name in parentheses, which may hold anything.
    let mut fields = line[line.rfind(')')? + 1..].split_whitespace().map(str::to_owned);
    Some((fields.next()?, fields.nth(18)?))
}

/// Stops the process with this name, and waits for its end. False if there was none.
pub(super) fn stop(folder: &Path, name: &str) -> anyhow::Result<bool> {
    let Some(process) = find(folder, name) else { return Ok(false) };
    let begin = Instant::now();
    for signal in [Signal::TERM, Signal::KILL] {
        // It may end just now.
        let _ = rustix::process::kill_process(process, signal);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if find(folder, name) != Some(process) {
                return Ok(true);
            }
            std::thread::sleep(POLL);
        }
    }
    bail!("{name} (process {process:?}) does not end, not even after {} s", begin.elapsed().as_secs());
}

/// Runs a command to its end, and says every now and then that it is still at work. When the command is interrupted, so is it, with all that
/// it started.
#[expect(clippy::print_stdout, reason = "the developer reads it")]
pub(super) fn run(command: &mut Command, what: &str, interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
    let begin = Instant::now();
    let mut child = command.process_group(0).stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {what}"))?;
    let mut signs = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupt.came() {
            end_group(&mut child)?;
            bail!("interrupted: {what}");
        }
        if begin.elapsed() >= SIGN_OF_LIFE * (signs + 1) {
            signs += 1;
            println!("{what}: still at work after {} s", begin.elapsed().as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// Ends a child and everything in its process group.
fn end_group(child: &mut Child) -> anyhow::Result<()> {
    let group = Pid::from_child(child);
    // They may end just now.
    let _ = rustix::process::kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while child.try_wait()?.is_none() && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
    // What the child has left behind.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    child.wait()?;
    Ok(())
}
