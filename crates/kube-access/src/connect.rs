//! The client.

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::layer::layer_fn;

use crate::fault::chain;
use crate::watch_limit::WatchLimit;

/// How long the TCP and TLS handshakes with the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    // With all causes in their text: those of kube repeat theirs, and would be said three times.
    /// There are no credentials, neither of a pod nor in a kubeconfig.
    #[error(
        "no cluster is configured: run in a pod with a service account, set KUBECONFIG, or try it without a cluster (`--embedded`): {0}"
    )]
    NotConfigured(String),
    /// The kubeconfig has no such context.
    #[error("KUBERNETES_CONTEXT: the kubeconfig has no context `{wanted}`; it has {known}")]
    NoSuchContext {
        /// The context that was asked for.
        wanted: String,
        /// Those that there are.
        known: String,
    },
    /// The kubeconfig cannot be read.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    /// The credentials cannot be used.
    #[error("the cluster's credentials cannot be used: {0}")]
    Client(String),
}

/// A client of the cluster that a context of the kubeconfig names; without one, of the current context or of the pod's own cluster.
/// Makes no request. Tokens of service accounts are read again by themselves when they are renewed.
///
/// # Errors
/// If there are no credentials, or they cannot be used.
///
/// # Panics
/// If the user agent has characters that no header may have.
pub async fn connect(context: Option<&str>, user_agent: &'static str) -> Result<Client, ConnectError> {
    // Two providers in one process would make rustls panic at the first connection; a second installation of ours is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = match context {
        Some(context) => {
            let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
            let unusable = |error| ConnectError::Kubeconfig(chain(&error));
            let kubeconfig = Kubeconfig::read().map_err(unusable)?;
            let known: Vec<_> = kubeconfig.contexts.iter().map(|known| known.name.clone()).collect();
            if !known.iter().any(|known| known == context) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(ConnectError::NoSuchContext { wanted: context.to_owned(), known });
            }
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unusable)?
        }
        None => Config::infer().await.map_err(|error| ConnectError::NotConfigured(chain(&error)))?,
    };
    tracing::info!(cluster.url = %config.cluster_url, "the cluster that is worked on");
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // It retries every verb for minutes; our calls have a deadline, and whoever calls knows what may be repeated.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(user_agent)));
    let client = ClientBuilder::try_from(config).map_err(|error| ConnectError::Client(chain(&error)))?;
    Ok(client.with_layer(&layer_fn(WatchLimit)).build())
}
