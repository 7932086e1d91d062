//! The controller over the in-memory adapters, in virtual time: whole lives, races, takeovers and planned faults.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test binary: what is not as expected ends the test")]

mod adoption;
mod audit;
mod claims;
mod dags;
mod debts;
mod faults;
mod freezing;
mod interference;
mod life;
mod model;
mod names;
mod queue;
mod remains;
mod sleep;
mod stage;
mod takeover;
mod without_airflow;
