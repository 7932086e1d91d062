//! The adapter against real Airflows. `cargo xtask airflow test` starts them and runs these tests, once for each kind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]

mod adapter;
mod connections;
mod contract;
mod dags;
mod life;
mod login;
mod service;
mod tls;
