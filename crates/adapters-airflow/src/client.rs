//! The HTTP client.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use crate::fault::chain;
use crate::settings::SetupError;

/// How long the TCP and TLS handshakes may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// As our requests name us.
const USER_AGENT: &str = concat!("dbt-api-service-controller/", env!("CARGO_PKG_VERSION"));

/// A client that goes straight to Airflow, follows no redirect and tries nothing twice by itself.
pub(crate) fn client(encrypted: bool, ca_certificates: Option<&[u8]>) -> Result<Client, SetupError> {
    // Without a provider reqwest panics. A second installation of ours is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        // Airflow is a service of the same network; a proxy of the environment is meant for the rest of the world.
        .no_proxy()
        // A redirect would carry our login to wherever it points.
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        // Airflow's own servers speak nothing newer.
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT);
    let builder = match ca_certificates {
        Some(pem) => builder.tls_certs_only(certificates(pem)?),
        None if encrypted => builder,
        // Without encryption none are needed, so that an image without any will do.
        None => builder.tls_certs_only([]),
    };
    builder.build().map_err(|error| SetupError::new("AIRFLOW_URL", format!("cannot be called, there is no HTTP client: {}", chain(&error))))
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, SetupError> {
    let certificates = Certificate::from_pem_bundle(pem).map_err(|error| no_certificate(&chain(&error)))?;
    if certificates.is_empty() {
        return Err(no_certificate("it has no such block"));
    }
    Ok(certificates)
}

fn no_certificate(why: &str) -> SetupError {
    SetupError::new("AIRFLOW_CA_FILE", format!("holds no certificate in PEM that can be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----"] {
            assert!(client(true, Some(pem.as_bytes())).is_err(), "{pem}");
        }
        assert!(client(false, None).is_ok());
    }
}
