//! The crash matrix and the fault matrix: at every outgoing call of a request, the service is killed, stopped, or its call goes wrong.
//!
//! ```text
//! Scenario ── one undisturbed run ──► its steps (calls) ──► Cases: step × what happens × what is done then
//!                                                             │ each under names of its own, in a namespace in which no other runs
//!                                                             ▼
//!                                             World: records, objects, operations and debts must agree
//! ```
//!
//! `cargo xtask prove matrix` starts a control plane and runs them. The steps are found by running, so a new one is covered by itself.
//! `MATRIX_CASES` is how many cases are drawn of each matrix (a number or `all`), `MATRIX_SEED` what the draw depends on, `MATRIX_PARALLEL`
//! how many run side by side, `MATRIX_PART` which part of a matrix, such as `2/6`. With the variables of `cargo xtask airflow` the services have an Airflow, by a proxy too. `MATRIX_ONLY` draws only
//! from those whose names contain it, such as one that failed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]
#![allow(clippy::print_stdout, reason = "the developer reads the names of the cases and the figures")]

mod airflow;
mod case;
mod crash;
mod discovery;
mod fault;
mod fields;
mod names;
mod record;
mod replica;
mod report;
mod run;
mod scenario;
mod site;
mod verdict;
mod world;

#[tokio::test(flavor = "multi_thread")]
async fn crash_matrix() {
    run::run("crash", case::crashes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_matrix() {
    run::run("fault", case::faults).await;
}
