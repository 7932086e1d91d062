//! The time of the token check tells nothing about a token: counted in instructions, which are the same in every run, and not in time.
//!
//! The test starts itself as another program, which checks one token after the other and says by a system call when each check begins and
//! ends. In between, it is let go one instruction at a time. That is done for Linux on x86-64 only: the registers and the instruction are its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]
#![allow(clippy::print_stdout, reason = "there is no harness that says how it went")]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "timing/counted.rs"]
mod counted;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() {
    counted::main();
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    println!("NOT RUN: instructions are counted on Linux on x86-64 only");
}
