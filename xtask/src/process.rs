//! Processes that outlive the command, found again by the log that they write to; and those that the command waits for.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal};

use crate::interrupt::Interrupt;

#[cfg(test)]
mod tests;

/// How long a process may take to end by itself.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How often is looked whether something has happened.
const POLL: Duration = Duration::from_millis(20);

/// How often a command that takes long says that it is still at work.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// How many lines of a program's log are shown when it ends where it should run.
const LAST_LINES: usize = 15;

/// Starts a program that writes to `<folder>/logs/<name>.log`. That file is also how it is found again, with all that it starts itself: no
/// moment passes between the start and a note of it, and the id of a process that has ended says nothing about another one.
pub(crate) fn start(command: &mut Command, folder: &Path, name: &str) -> anyhow::Result<()> {
    let log = File::create(log(folder, name)).context("cannot write a log")?;
    // A group of its own: Ctrl-C is for the command, which then stops the programs in their order.
    command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let own: Vec<(OsString, OsString)> =
        command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    // What is set around here, such as a proxy, must not change what they do.
    command.env_clear().env("HOME", folder).env("PATH", "/usr/bin:/bin").envs(own);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    // The kernel lets the parent go on before it has noted the child's command line, which `start_again` reads.
    let line = Path::new("/proc").join(child.id().to_string()).join("cmdline");
    while fs::read(&line).is_ok_and(|line| line.is_empty()) && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A command that begins again when its program ends by itself, as whoever runs it elsewhere sees to. One that ends in its first seconds is
/// not begun again: what is wrong there is wrong the next time too.
pub(crate) fn kept(command: &Command) -> Command {
    const AGAIN: &str = r#"
while begin=$(date +%s); "$@"; code=$?; [ $(($(date +%s) - begin)) -ge 3 ]; do echo "it ended with $code and begins again"; done
exit $code"#;
    let mut kept = Command::new("/bin/sh");
    kept.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        kept.current_dir(folder);
    }
    kept.args(["-c", AGAIN, "sh"]).arg(command.get_program()).args(command.get_args());
    kept
}

/// Whether it was started in this folder since the folder was made.
pub(crate) fn was_started(folder: &Path, name: &str) -> bool {
    log(folder, name).exists()
}

/// Whether it runs, or something that it started.
pub(crate) fn runs(folder: &Path, name: &str) -> bool {
    !writers(folder, name).is_empty()
}

/// Stops the program, and starts it again as it was started.
pub(crate) fn start_again(folder: &Path, name: &str) -> anyhow::Result<()> {
    let process = *writers(folder, name).first().with_context(|| format!("{name} does not run"))?;
    let about = Path::new("/proc").join(process.as_raw_nonzero().to_string());
    let line = fs::read_to_string(about.join("cmdline")).with_context(|| format!("{name} is gone"))?;
    let mut words = line.trim_end_matches('\0').split('\0');
    let mut command = Command::new(words.next().with_context(|| format!("{name} is gone"))?);
    command.args(words).current_dir(fs::read_link(about.join("cwd"))?);
    stop(folder, name, GRACE)?;
    start(&mut command, folder, name)
}

/// Stops the program and what it started, and waits for their end. What has not ended by itself after this time is killed. False if there was
/// none.
pub(crate) fn stop(folder: &Path, name: &str, grace: Duration) -> anyhow::Result<bool> {
    let begin = Instant::now();
    for (signal, patience) in [(Signal::TERM, grace), (Signal::KILL, GRACE)] {
        let found = writers(folder, name);
        if found.is_empty() {
            return Ok(signal == Signal::KILL);
        }
        for process in found {
            // It may end just now.
            let _ = rustix::process::kill_process(process, signal);
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !runs(folder, name) {
                return Ok(true);
            }
            std::thread::sleep(POLL);
        }
    }
    bail!("{name} (processes {:?}) does not end, not even after {} s", writers(folder, name), begin.elapsed().as_secs());
}

/// The end of a program's log.
pub(crate) fn last_lines(folder: &Path, name: &str) -> String {
    let log = fs::read(log(folder, name)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Runs a command to its end, and says every now and then that it is still at work. When the command is interrupted, so is it, with all that
/// it started.
#[expect(clippy::print_stdout, reason = "the developer reads it")]
pub(crate) fn run(command: &mut Command, what: &str, interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
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

fn log(folder: &Path, name: &str) -> PathBuf {
    folder.join("logs").join(format!("{name}.log"))
}

/// The processes whose standard output or error is the log of a program. One that has ended has neither, collected or not.
fn writers(folder: &Path, name: &str) -> Vec<Pid> {
    let Ok(log) = fs::metadata(log(folder, name)) else { return Vec::new() };
    let is_log = |file: Metadata| (file.dev(), file.ino()) == (log.dev(), log.ino());
    // Of somebody else's process this is not to be seen.
    let writes = |process: &Path| ["fd/1", "fd/2"].iter().any(|output| fs::metadata(process.join(output)).is_ok_and(is_log));
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        let id = entry.file_name().to_str()?.parse().ok()?;
        writes(&entry.path()).then_some(id)
    });
    processes.filter_map(Pid::from_raw).collect()
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
