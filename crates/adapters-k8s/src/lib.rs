//! The real Kubernetes behind two ports of the domain: [`KubeCluster`] is its `Cluster`, [`KubeOperationStore`] its `OperationStore`.
//! [`KubeEvents`] tells by Events how operations ended, and [`missing_rights`] at start what the account of the service may not do.
//!
//! ```text
//! StatefulSets ─┐                             ┌─ server, claims: answered from memory
//! pods ─────────┼─ watches ─► folded ─► table ┼─ watch: one tokio watch per server
//! claims ───────┘                             └─ waits: a write returns once the table shows it
//!
//! Secrets `dbt-controller-op.<release>` ─ watch ─► decoded ─► list, watch     read, compare-and-swap ─► API server
//! ```
//!
//! # Terms
//! - **Server**: a StatefulSet with its pods and claims. They belong together by their names, which Kubernetes gives them: pod
//!   `<server>-<ordinal>`, claim `<template>-<server>-<ordinal>` with the server's own name as template.
//! - **Orphan**: a pod whose StatefulSet was deleted and that was left. It still counts as its server's.
//! - **Fold**: what is kept of an object. It happens as soon as the object comes in, so thousands of servers stay small.

mod cluster;
mod events;
mod operations;
mod rights;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub use cluster::KubeCluster;
pub use events::KubeEvents;
pub use operations::{KubeOperationStore, StoreSettings};
pub use rights::{HTTP_ROUTES, INGRESS_ROUTES, MissingRight, Right, missing_rights, needed_rights};

/// Under this name our writes to objects stand in `metadata.managedFields`.
const FIELD_MANAGER: &str = "dbt-controller";
