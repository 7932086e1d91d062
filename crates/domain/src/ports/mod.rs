//! The ports: what the domain needs from the outside, each method's contract in its doc comment.
//!
//! Adapters translate and nothing else. The crate `port-contracts` holds one test suite per large port, run against every adapter.
//!
//! Rules for every method of every port:
//! - It ends: an adapter MUST give up a single outgoing call after [`Fence::call_limit`] (reads: 10 s) and return `Unavailable`.
//! - A method that writes takes a [`Fence`] and MUST ask it before each outgoing call; when the fence is down it returns
//!   `Fenced` and touches nothing more.
//! - `Unavailable` says nothing about whether a write happened. Every write MUST therefore be safe to repeat with the same arguments.
//! - A read that follows a write of this replica shows it or something later, across ports too: after `ChartInstaller::apply`
//!   returned, `Cluster::watch` and `Cluster::claims` never show the server as it was before. What is answered from memory waits for it.
//! - The operation store is the lock itself, so its writes take no fence; a single call of it MUST end within S/3 all the same.
//! - Errors and their messages hold no secret.

mod chart_installer;
mod clock;
mod cluster;
mod connection_store;
mod event_recorder;
mod fence;
mod operation_store;

pub use chart_installer::*;
pub use clock::*;
pub use cluster::*;
pub use connection_store::*;
pub use event_recorder::*;
pub use fence::*;
pub use operation_store::*;

/// A boxed source of an unexpected error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
