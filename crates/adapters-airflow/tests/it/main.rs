//! The adapter against a local server that plays Airflow, and against one that does what real servers do not do on demand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]

mod airflow;
mod contract;
mod counts;
mod faults;
mod harness;
mod logs;
mod put;
mod stub;
mod tokens;
mod upgrade;
