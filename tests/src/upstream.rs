//! A far side: the API server or Airflow, by HTTP.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;

use crate::Kubeconfig;

/// Whatever went wrong on the way.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A far side. Its connections are kept and used again. Cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    base: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    turns: Arc<Semaphore>,
}

impl Upstream {
    /// The API server of a kubeconfig. Who asks is said by each request.
    ///
    /// # Panics
    ///
    /// When its certificates cannot be read.
    #[must_use]
    pub fn api_server(kubeconfig: &Kubeconfig) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(kubeconfig.authority()).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        Self::with(format!("https://{}", kubeconfig.address()), roots)
    }

    /// Somebody at `http://host:port`.
    #[must_use]
    pub fn plain(url: &str) -> Self {
        Self::with(url.trim_end_matches('/').to_owned(), RootCertStore::empty())
    }

    /// The same, which is sent so many requests at a time by all its clones together.
    #[must_use]
    pub fn at_most(self, requests: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(requests)), ..self }
    }

    fn with(base: String, roots: RootCertStore) -> Self {
        // Named, because the process's own choice may be another one, or none.
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let turns = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { base, client: Client::builder(TokioExecutor::new()).build(connector), turns }
    }

    /// Sends a request there, whatever host it names, and returns the head of the answer.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, BoxError> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("{}{path}", self.base).parse::<Uri>()?;
        // The client sets it by the address.
        head.headers.remove(http::header::HOST);
        let _turn = self.turns.acquire().await?;
        Ok(self.client.request(Request::from_parts(head, Full::new(body))).await?)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Upstream").field(&self.base).finish()
    }
}
