//! The in-memory adapters: the contracts of all ports, and what is special to memory.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests may do what tests may do")]

mod contracts;
mod faults;
mod harness;
mod humans;
mod images;
mod many;
mod sharing;
mod starting;
mod world;
