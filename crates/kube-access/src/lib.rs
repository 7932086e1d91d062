//! How the cluster adapters reach the Kubernetes API: the client, the limits of a call, what its errors mean, and caches fed by watches.
//!
//! ```text
//!                    ┌─ call, fenced ──► one request with a deadline; its error is a Fault
//! connect ─► Client ─┤
//!                    └─ Cache ─────────► list + watch, folded into what is needed of each object
//! ```
//!
//! # Terms
//! - **Fault**: why a request failed, by what a caller can do about it.
//! - **Cache**: what a watch has shown of one kind, in every namespace that is read. It says since when it is behind.
//! - **Version**: a `resourceVersion`. They grow within a kind ([KEP-5504]), so "has the cache seen what I wrote" is a comparison.
//!
//! [KEP-5504]: https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/5504-comparable-resource-version

mod barrier;
mod cache;
mod call;
mod connect;
mod fault;
mod identity;
mod watch_limit;

pub use barrier::Barrier;
pub use cache::{CHECK_LIMIT, Cache, Changed, ObjectKey, Source};
pub use call::{Denied, READ_LIMIT, call, fenced};
pub use connect::{ConnectError, connect};
pub use fault::Fault;
pub use kube::Client;

pub use identity::{SERVER_LABEL, annotations, helm_release_of, identity_annotations, identity_of};
