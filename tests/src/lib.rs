//! What the tests of the cluster tier are built from. `cargo xtask cluster test` runs them.
//!
//! ```text
//! ControlPlane ── kubectl ──┬── Namespace, a fresh one for each test
//!   (running)               ├── Helm, both versions
//!                           ├── Account, with a Role of its own
//!                           ├── Link, a way to the API server that can be cut
//!                           ├── Proxy, a way to it on which single calls fail, and at which a process ends
//!                           ├── Audit, what somebody asked the API server for
//!                           └── Service, the program under test
//!
//! airflow::Server, the Airflow that a run shares, or one of a test's own
//! replaced::Deployment, what the replaced service left behind
//! ```
//!
//! Everything here speaks to the control plane through `kubectl` and `helm`, never through code of ours: it is the other opinion.
//! What its pods go through is chosen by tags; see `xtask/cluster/README.md`.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on says so")]

mod account;
pub mod airflow;
mod api_server;
mod audit;
mod command;
mod control_plane;
mod helm;
mod kubeconfig;
mod kubectl;
mod link;
mod namespace;
mod objects;
mod proxy;
mod random;
pub mod replaced;
mod service;
mod upstream;
mod wait;

pub use account::{Account, shipped_rules, without};
pub use api_server::ApiServer;
pub use audit::{Audit, Request};
pub use command::Refusal;
pub use control_plane::ControlPlane;
pub use helm::{Helm, HelmVersion};
pub use kubeconfig::Kubeconfig;
pub use kubectl::Kubectl;
pub use link::{Link, Mode};
pub use namespace::Namespace;
pub use objects::{as_new, claim, condition, container_status, stateful_set};
pub use proxy::{Action, At, Call, Fault, Kind, Moment, Plan, Proxy, Script, Seen, Step};
pub use random::Random;
pub use service::{Answer, Service, TOKEN};
pub use upstream::Upstream;
pub use wait::{DEADLINE, until, until_within};
