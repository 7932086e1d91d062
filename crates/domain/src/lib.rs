//! The domain of the dbt API service controller: its model, its four ports and its workflows.
//!
//! A *deployment* is one dbt server of one [`Identity`] (project and git branch). It exists in three worlds that must agree
//! at every moment, also after a crash: the Helm release, the objects in the cluster, and the Airflow connection.
//!
//! ```text
//!            Controller  ── deploy, delete, suspend, resume, inspect, list
//!                │
//!            operations  ── lock + ledger + outcome of each mutation, one record per release
//!                │
//!            workflows   ── sagas: each step that changed something knows its undo
//!                │
//!   ChartInstaller · Cluster · ConnectionStore · OperationStore · Clock · Random   (ports)
//! ```
//!
//! The crate is pure: it knows no Kubernetes client, no HTTP, no wall clock and no environment. Time comes from the [`ports::Clock`]
//! and from tokio's timers (virtual in tests). Adapters implement the ports; `dbt-controller-adapters-memory` does so in memory.
//!
//! With the feature `mocks` each port has a `mockall` mock beside it (`ports::MockCluster`, …) for unit tests of other tools.

mod allocation;
pub mod controller;
pub mod decide;
pub mod model;

pub mod operations;
pub mod ports;
pub mod readiness;
pub mod workflows;

#[cfg(test)]
mod test_support;

pub use controller::{Controller, Ports};
pub use dbt_controller_naming as naming;
pub use dbt_controller_naming::{ConnectionId, GitBranch, Identity, NameForm, ProjectName, ReleaseName};
