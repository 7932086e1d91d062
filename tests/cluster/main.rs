//! Tests against a real control plane. `cargo xtask cluster test` starts one and runs them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]

mod client;
mod helm_contract;
mod support;
