//! The client.

use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How long the TCP and TLS handshakes with the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There are no credentials, neither of a pod nor in a kubeconfig.
    #[error("no cluster is configured: {0}; run in a pod with a service account, or set KUBECONFIG")]
    NotConfigured(#[source] kube::config::InferConfigError),
    /// The kubeconfig has no such context, or cannot be read.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    /// The credentials cannot be used.
    #[error("the cluster's credentials cannot be used: {0}")]
    Client(#[source] kube::Error),
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
            let kubeconfig = Kubeconfig::read().map_err(ConnectError::Kubeconfig)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(ConnectError::Kubeconfig)?
        }
        None => Config::infer().await.map_err(ConnectError::NotConfigured)?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // It retries every verb for minutes; our calls have a deadline, and whoever calls knows what may be repeated.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(user_agent)));
    Client::try_from(config).map_err(ConnectError::Client)
}
