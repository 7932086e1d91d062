//! What the ports of the domain promise, as checks that run against any adapter of them: the in-memory one, and those of real systems.
//!
//! Each port has a suite: a function that takes a harness, runs one check after the other and returns a [`Report`]. A check is a
//! function whose name is the promise, and each works on names of its own, so the order does not matter and nothing needs to be
//! cleaned up between them. A harness gives the adapter, and plays the rest of the world: a human with helm, a broken connection.
//!
//! # Terms
//! - **Harness**: what a suite needs beyond the port. Everything in it that not every far side can do is a *hook*.
//! - **Hook**: an interference from outside, such as "a human runs helm rollback". A harness that cannot do it says
//!   [`Hook::NotSupported`], and the checks that need it are reported as skipped, with the hook's name.
//! - **Far side**: the system that an adapter talks to.
//!
//! ```text
//! adapter's test:  chart_installer(&harness).await.assert_kept()
//!                        │                          └─ panics, naming every promise that was broken
//!                        ├─ a_begun_revision_is_pending(&harness)
//!                        └─ …
//! ```
//!
//! [`fixtures`] makes requests, releases, records and the like, for these suites and for other tests.

#![allow(clippy::panic, reason = "a test-support crate: a broken promise is a panic of the test that runs the suite")]

mod check;
pub mod fixtures;
mod harness;
pub mod model;
pub mod mortal;

mod cluster;
mod connection_store;
mod installer;
mod operation_store;
mod time;

pub use check::Report;
pub use cluster::{ClusterHarness, cluster};
pub use connection_store::{ConnectionHarness, connection_store};
pub use harness::{FarSide, Harness, Hook, Patience};
pub use installer::{InstallerHarness, chart_installer};
pub use operation_store::{OperationHarness, operation_store};
pub use time::{clock, random};
