//! The running service: its controller, its server, and its background work.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::{Context as _, anyhow};
use dbt_controller_adapters_k8s::KubeOperationStore;
use dbt_controller_domain::Controller;
use dbt_controller_domain::model::{Namespace, ReleaseKey};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{airflow, cluster, open_files, wiring};
use crate::embedded::{self, Token};
use crate::settings::{ListenSettings, Settings};

/// How long answers that are on their way may take after the operations have ended. The doc of `SHUTDOWN_GRACE` leaves room for it. actix looks
/// every second whether connections are still open, so half a second more than its second look.
const ANSWERS_GRACE: Duration = Duration::from_millis(2500);

/// Before each try to learn whose releases there are.
const OTHERS_PAUSE: Duration = Duration::from_secs(1);

/// How long giving up the Lease may take, beside the operations that end.
const RESIGN_LIMIT: Duration = Duration::from_secs(1);

/// The running service.
pub(super) struct Service {
    controller: Arc<Controller>,
    /// Ends the event streams, which would hold the server until its timeout.
    streams: CancellationToken,
    server_handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
    background: JoinHandle<()>,
    /// What holds the Lease, on a cluster.
    operations: Option<Arc<KubeOperationStore>>,
}

impl Service {
    /// Listens, starts all parts, and says where.
    ///
    /// # Errors
    /// If the address cannot be listened on, or no cluster is configured.
    pub(super) async fn start(mut settings: Settings, embedded: bool) -> anyhow::Result<Self> {
        if settings.http.has_short_token() {
            tracing::warn!("SECRET_KEY or SECRET_KEY_PREVIOUS is shorter than 16 characters and can be guessed");
        }
        open_files::raise_limit(settings.http.max_connections);
        let listener = listen(&settings.http.listen)?;
        let address = listener.local_addr().context("cannot tell the address that the service listens on")?;
        let token = Token::new(settings.http.token.as_ref());
        let connections = settings.airflow.take().map(airflow::connected).transpose()?;
        let has_airflow = connections.is_some();
        let (ports, operations) = if embedded {
            (wiring::embedded_ports(&settings, connections), None)
        } else {
            let cluster = cluster::connected(&settings, connections).await?;
            (cluster.ports, Some(cluster.operations))
        };
        let api = wiring::api_settings(&settings, &token, &ports)?;
        let controller = Controller::new(ports, settings.workflows);
        let streams = CancellationToken::new();
        let server = dbt_controller_http_api::server(listener, Arc::clone(&controller), api, streams.clone())
            .context("cannot start the HTTP server")?;
        let service = Self {
            server_handle: server.handle(),
            server: tokio::spawn(server),
            background: tokio::spawn({
                let controller = Arc::clone(&controller);
                async move { controller.run_background().await }
            }),
            controller,
            streams,
            operations,
        };
        tokio::spawn(tell_of_other_services(Arc::clone(&service.controller)));
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), embedded, "the service listens");
        if embedded && let Err(error) = embedded::announce(address, &token, has_airflow, &mut io::stdout().lock()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "nobody reads the greeting on standard output");
        }
        Ok(service)
    }

    /// Waits for a part that ends by itself, which none should.
    pub(super) async fn broken(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = &mut self.server => describe_end("HTTP server", ended.map(|ended| ended.map_err(Into::into))),
            ended = &mut self.background => describe_end("background work", ended.map(Ok)),
        }
    }

    /// Stops: operations first, so that their callers get answers, then the streams, then the server.
    ///
    /// # Errors
    /// If the background work had panicked.
    pub(super) async fn stop(self, grace: Duration) -> anyhow::Result<()> {
        // Another replica goes on at once with what is given up.
        let resign = async {
            if let Some(operations) = &self.operations
                && timeout(RESIGN_LIMIT, operations.resign()).await.is_err()
            {
                tracing::debug!("the Lease could not be given up and ends by itself");
            }
        };
        tokio::join!(self.controller.shut_down(grace), resign);
        self.streams.cancel();
        let deadline = Instant::now() + ANSWERS_GRACE;
        if timeout_at(deadline, self.server_handle.stop(true)).await.is_err() {
            // The server reads its next command only when the first is done; without it the workers end at once.
            self.server.abort();
            tracing::warn!("connections were still open after {ANSWERS_GRACE:?} and were cut");
        }
        match timeout_at(deadline, self.background).await {
            Ok(ended) => ended.context("the background work panicked")?,
            Err(_) => tracing::warn!("the background work did not end"),
        }
        tracing::info!("stopped");
        Ok(())
    }
}

fn listen(settings: &ListenSettings) -> anyhow::Result<TcpListener> {
    let address = settings.address();
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address} (HOST and PORT)"))
}

/// Says once, when it is known, which deployments another service wrote that works in our namespaces too.
async fn tell_of_other_services(controller: Arc<Controller>) {
    let others = loop {
        // Before the first try too: a service that has just started has not read its releases.
        tokio::time::sleep(OTHERS_PAUSE).await;
        match controller.written_by_other_services().await {
            Ok(others) => break others,
            Err(failure) => {
                tracing::debug!(%failure, "whether another service works in our namespaces is not known yet");
            }
        }
    };
    tracing::debug!(count = others.len(), "deployments that a service of another KUBERNETES_NAMESPACE wrote");
    let mut by_home: BTreeMap<Namespace, Vec<ReleaseKey>> = BTreeMap::new();
    for (release, home) in others {
        by_home.entry(home).or_default().push(release);
    }
    for (home, releases) in by_home {
        tracing::warn!(
            service.namespace = %home,
            count = releases.len(),
            release = %releases[0],
            "a service of another KUBERNETES_NAMESPACE wrote deployments in our namespaces. If it still runs, neither knows of the other's \
             operations: take the namespace from one of them. If it is gone, this ends as the deployments are changed"
        );
    }
}

fn describe_end(part: &str, ended: Result<anyhow::Result<()>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow!("the {part} ended by itself"),
        Ok(Err(error)) => error.context(format!("the {part} failed")),
        Err(error) => anyhow!(error).context(format!("the {part} panicked")),
    }
}
