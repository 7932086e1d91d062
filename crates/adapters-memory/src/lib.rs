//! The ports of the domain in memory: a cluster with Helm, and an Airflow, that live as long as the process.
//!
//! It is what `serve --embedded` runs on, and what tests use in place of the real systems. It behaves like them where it matters: a
//! server needs time to become ready, an image may be missing, a pod may crash, claims outlive their server, Helm keeps revisions, and
//! humans interfere. Calls can be made to go wrong by plan.
//!
//! # Terms
//! - **World**: all the state there is, [`MemoryWorld`]. Clones are the same world. What two instances of the service share in a test
//!   (cluster, releases, connections, operations) is one world.
//! - **Moment**: the time since the world began. The state of a server is a function of it: nothing happens but what somebody who looks
//!   can compute, so time may stand still and jump. It is measured by tokio's clock, never by the machine's.
//!
//! ```text
//!     installer() cluster() connections() operations() clock()       for the service: adapters of the ports
//!         └───────────┴──────────┴─────────────┘
//!                        gate                                        counts calls, asks the fence, lets planned faults strike
//!                         │
//!     releases ─ objects ─ servers ─ airflow ─ operation records     the state, behind one lock
//!                         │
//!     releases() servers() claims() airflow() faults() calls()       for tests: to look through and to interfere
//! ```
//!
//! # Image tags with a meaning
//! - `missing…`: the image cannot be pulled: `ErrImagePull`, then `ImagePullBackOff`.
//! - `crash…`: the server ends again and again with exit code 1: `CrashLoopBackOff`.
//!
//! # Example
//! ```
//! use dbt_controller_adapters_memory::{Call, Fault, FaultKind, MemoryWorld, WorldOptions};
//! use dbt_controller_domain::ports::ChartInstaller;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let world = MemoryWorld::new(WorldOptions::default());
//! world.faults().plan(Fault::new(Call::InstallerList, 2, FaultKind::Fail));
//!
//! let installer = world.installer();
//! assert!(installer.list().await.is_ok());
//! assert!(installer.list().await.is_err());
//! assert_eq!(world.calls().count(Call::InstallerList), 2);
//! # }
//! ```

mod airflow;
mod clock;
mod faults;
mod gate;
mod operations;
mod random;
mod releases;
mod servers;
mod world;

pub use airflow::{Airflow, ForeignConnection, MemoryConnections};
pub use clock::MemoryClock;
pub use faults::{Call, Calls, Fault, FaultKind, Faults};
pub use operations::{MemoryOperations, OperationRecords};
pub use random::SequenceRandom;
pub use releases::{ForeignRelease, ForeignServer, HistoryRow, MemoryInstaller, Releases};
pub use servers::{Claims, Hindrance, MemoryCluster, Servers};
pub use world::{AirflowLink, ClusterLink, MemoryWorld, WorldOptions};
