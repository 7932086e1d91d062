//! `ConnectionStore` for Airflow 2 and 3: the connections by which tasks find their servers, and the DAGs that use a server.
//!
//! ```text
//! AirflowConnections ─► connections, put, dags, check     what the port promises: looks, retries, whose a connection is
//!                          └─► session                    finds out the API, logs in, asks again where that may have been the trouble
//!                                └─► caller               one call: fence, a turn, and the pauses that Airflow asks for (hold)
//!                                      ├─ ask, body, login  the request, as this API takes it
//!                                      ├─ transport         one exchange over HTTP: deadline, size
//!                                      └─ verdict           one match from the answer to a fault
//! ```
//!
//! # Terms
//! - **Api**: which of the two REST APIs a server speaks, `/api/v1` (Airflow 2, basic auth) or `/api/v2` (Airflow 3, tokens). It is found
//!   out at the first call, and again when an answer shows that it is no longer so.
//! - **Leave**: the right to make a call, and the moment when it must have ended.
//! - **Fault**: why a call did not do what it was to do. One match makes the port's error of it.
//!
//! # What is never sent twice unseen
//! Only what reads is repeated when no answer came. Before a connection is written again it is looked at, so that one that changed hands
//! meanwhile is not touched, and a create whose answer was lost is not made twice. A DELETE that may be done is left to the caller, who
//! knows whose the connection was.

mod ask;
mod body;
mod caller;
mod check;
mod client;
mod connections;
mod content;
mod dags;
mod detection;
mod fault;
mod hold;
mod leave;
mod login;
mod owner;
mod pages;
mod port;
mod put;
mod reply;
mod retry;
mod session;
mod settings;
mod sharing;
mod token;
mod transport;
mod verdict;

pub use self::port::AirflowConnections;
pub use self::settings::{AirflowSettings, SetupError};
