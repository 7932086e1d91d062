//! Tests against a real control plane. `cargo xtask cluster test` starts one and runs them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]

mod access;
mod adoption;
mod airflow;
mod client;
mod command_engine;
mod faults;
mod installer;
mod interference;
mod k8s;
mod life;
mod native_helm;
mod nginx;
mod overlay;
mod records;
mod refused;
mod requests;
mod rights;
mod side_by_side;
mod support;
mod template;
mod traps;
