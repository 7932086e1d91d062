//! The program from outside: its command line, its settings, its signals and its API, with everything in memory behind it. And the
//! layers of the workspace.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on says so")]

mod cli;
mod contract;
mod failures;
mod harness;
mod hostile;
mod layers;
mod names;
mod side_by_side;
mod start_and_stop;
#[cfg(target_os = "linux")]
mod tethered;
