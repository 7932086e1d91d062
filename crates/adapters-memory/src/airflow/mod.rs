//! Airflow's connections and DAGs.

mod handle;
mod port;
mod table;

pub use self::handle::{Airflow, ForeignConnection};
pub use self::port::MemoryConnections;
pub(crate) use self::table::AirflowState;
