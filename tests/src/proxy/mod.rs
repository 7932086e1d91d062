//! A way to a far side on which single calls fail, and at which a process ends or stops.
//!
//! ```text
//! service ── HTTP ──► Proxy ── HTTP(S) ──► Upstream (the API server, or Airflow)
//!                       │ asks at each call
//!                       ▼
//!                     Script: counts the calls, and says what happens at the n-th one of a kind
//! ```
//!
//! A process has one script and a proxy for each of its far sides, so that a plan counts over all of them. What is not part of an
//! operation (watches, the Lease, questions about rights, probes) passes without being counted, unless the start of the process is looked at.

mod call;
mod script;
mod serve;

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Upstream;
pub use call::{Call, Kind};
pub use script::{Action, At, Fault, Moment, Plan, Script, Seen, Step};

/// A proxy on a free port of loopback.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    // Its own thread: a test that blocks does not hold it up. An option because it has to be moved out in order to be dropped.
    runtime: Option<Runtime>,
}

impl Proxy {
    /// A proxy to a far side that does what a script says.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    #[must_use]
    pub fn to(upstream: Upstream, script: &Script) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let script = script.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => drop(connections.spawn(serve::serve(client, upstream.clone(), script.clone()))),
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { address, runtime: Some(runtime) }
    }

    /// Where it listens, `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait, so that it can be dropped in a test that is itself asynchronous.
            runtime.shutdown_background();
        }
    }
}
