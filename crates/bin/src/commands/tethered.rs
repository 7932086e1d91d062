//! `tethered`: runs a program that does not outlive the process that started it.
//!
//! A service that is killed cannot stop the helm that it has started, and that helm would go on writing a release which another replica
//! has meanwhile taken over. So the service starts it through itself: this asks the system to kill it then, and becomes the program.

/// What a program is started through by this process. Only Linux can be asked for it.
///
/// The system goes by the thread that started it, so that has to be one that lives as long as the program may: a worker of the runtime or the
/// main thread, and not one of those that run what blocks.
pub(crate) fn starter() -> Vec<String> {
    if cfg!(target_os = "linux") {
        // Not its path, under which there may be another version by now.
        vec!["/proc/self/exe".to_owned(), "tethered".to_owned(), std::process::id().to_string()]
    } else {
        Vec::new()
    }
}

/// The program was not started; the exit code says so.
#[cfg(target_os = "linux")]
#[derive(Debug, thiserror::Error)]
#[error("`{0}` cannot be started")]
pub(crate) struct NotStarted(String);

#[cfg(target_os = "linux")]
impl NotStarted {
    /// That of shells for a command that is not found.
    pub(crate) const EXIT_CODE: u8 = 127;
}

/// Becomes the program.
///
/// # Errors
/// [`NotStarted`], also if the process that started this one is gone already.
#[cfg(target_os = "linux")]
pub(crate) fn run(parent: i32, program: &[std::ffi::OsString]) -> anyhow::Result<std::convert::Infallible> {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use anyhow::Context as _;
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    let [name, arguments @ ..] = program else { anyhow::bail!("no program was named") };
    let become_it = || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended before it was watched.
        if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
            anyhow::bail!("the process {parent} that started this one has ended");
        }
        Err(Command::new(name).args(arguments).exec().into())
    };
    become_it().with_context(|| NotStarted(name.display().to_string()))
}
