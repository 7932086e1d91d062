//! A way to the API server that can be cut.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Kubeconfig;

/// What a link does with connections, those that are there included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes pass in both directions.
    Answers,
    /// Connections are closed, new ones at once.
    Down,
    /// Connections stay open, new ones are taken, and no byte passes. What was sent meanwhile passes when it answers again.
    Hangs,
}

/// A TCP proxy on a free port of loopback. TLS passes through it: the API server's certificate is valid for 127.0.0.1 at any port.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    // Its own threads: a test that blocks does not hold it up. An option because it has to be moved out in order to be dropped.
    runtime: Option<Runtime>,
}

impl Link {
    /// A link to this `host:port`. It answers.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    #[must_use]
    pub fn to(target: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (mode, watched) = watch::channel(Mode::Answers);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let target = target.to_owned();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => drop(connections.spawn(serve(client, target.clone(), watched.clone()))),
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { address, mode, runtime: Some(runtime) }
    }

    /// Where it listens, `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// A kubeconfig that goes through it.
    #[must_use]
    pub fn kubeconfig(&self, direct: Kubeconfig) -> Kubeconfig {
        direct.with_address(&self.address())
    }

    /// From now on it does this.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait, so that it can be dropped in a test that is itself asynchronous.
            runtime.shutdown_background();
        }
    }
}

/// Serves one connection to its end.
async fn serve(client: TcpStream, target: String, mut mode: watch::Receiver<Mode>) {
    if passes(&mut mode).await.is_none() {
        return;
    }
    let Ok(server) = TcpStream::connect(&target).await else { return };
    // Small messages go at once, as they would without the link.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
    // Both halves of a direction are dropped with it, so the end of one side reaches the other.
    let there = forward(client_in, server_out, mode.clone());
    let back = forward(server_in, client_out, mode.clone());
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        () = down(mode) => {}
    }
}

/// Forwards one direction to its end.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) -> Option<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or_default();
        // The end of a side is held up like its bytes.
        passes(&mut mode).await?;
        if count == 0 {
            return None;
        }
        to.write_all(&buffer[..count]).await.ok()?;
    }
}

/// Waits until bytes pass; none when the connection is to be closed.
async fn passes(mode: &mut watch::Receiver<Mode>) -> Option<()> {
    let mode = *mode.wait_for(|mode| *mode != Mode::Hangs).await.ok()?;
    (mode == Mode::Answers).then_some(())
}

/// Waits until the link is down, or gone.
async fn down(mut mode: watch::Receiver<Mode>) {
    let _ = mode.wait_for(|mode| *mode == Mode::Down).await;
}
