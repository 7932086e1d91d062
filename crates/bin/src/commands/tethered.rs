//! `tethered`: runs a program that does not outlive the process that started it.
//!
//! A service that is killed cannot stop the helm that it has started, and that helm would go on writing a release which another replica
//! has meanwhile taken over. So the service starts it through itself: this asks the system to kill it then, and becomes the program.

/// What a program is started through by this process. Only Linux can be asked for it.
pub(crate) fn starter() -> Vec<String> {
    if cfg!(target_os = "linux") {
        // Not its path, under which there may be another version by now.
        vec!["/proc/self/exe".to_owned(), "tethered".to_owned(), std::process::id().to_string()]
    } else {
        Vec::new()
    }
}

/// Becomes the program.
///
/// # Errors
/// If it cannot be started, or if the process that started this one is gone already.
#[cfg(target_os = "linux")]
pub(crate) fn run(parent: i32, program: &[std::ffi::OsString]) -> anyhow::Result<std::convert::Infallible> {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use anyhow::{Context as _, bail};
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    let [name, arguments @ ..] = program else { bail!("no program was named") };
    set_parent_process_death_signal(Some(Signal::KILL)).context("the end of the parent process cannot be watched")?;
    // It may have ended before it was watched.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        bail!("the process {parent} that started this one has ended");
    }
    let error = Command::new(name).args(arguments).exec();
    Err(error).with_context(|| format!("`{}` cannot be started", name.display()))
}
