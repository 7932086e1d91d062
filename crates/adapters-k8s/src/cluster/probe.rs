//! Asking a server whether it is ready, as its pod's own probes do.

use std::time::Duration;

use dbt_controller_domain::model::ServerKey;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, timeout};

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Asks servers over HTTP.
#[derive(Debug)]
pub(super) struct Probe {
    client: Client<HttpConnector, Full<&'static [u8]>>,
}

impl Probe {
    pub(super) fn new() -> Self {
        // A connection that is kept would go on asking a pod that the Service has left.
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http() }
    }

    /// How long the server took to say that it is ready; none when it did not.
    pub(super) async fn ask(&self, key: &ServerKey) -> Option<Duration> {
        self.ask_url(&format!("http://{}.{}.svc.cluster.local/ready", key.name, key.namespace)).await
    }

    async fn ask_url(&self, url: &str) -> Option<Duration> {
        // The server takes only POST here, as the probes of its container do; a GET is not answered.
        let request = Request::post(url).header(CONTENT_TYPE, "application/json").body(Full::new(b"{}".as_slice())).ok()?;
        let asked = Instant::now();
        let answer = timeout(LIMIT, self.client.request(request)).await.ok()?.ok()?;
        answer.status().is_success().then(|| asked.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers one request, and what it was asked.
    async fn asked(answer: &'static str) -> (Option<Duration>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ready", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Held open, so that a missing answer is a silent server and not one that hangs up.
            tokio::time::sleep(if answer.is_empty() { LIMIT * 2 } else { Duration::ZERO }).await;
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (Probe::new().ask_url(&url).await, server.await.unwrap())
    }

    #[tokio::test]
    async fn a_server_is_asked_as_its_own_probes_ask_it() {
        let (latency, request) = asked("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        assert!(latency.is_some());
        assert!(request.starts_with("POST /ready HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("content-type: application/json\r\n") && request.ends_with("{}"), "{request}");
    }

    #[tokio::test]
    async fn only_a_success_counts() {
        for answer in [
            "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
            "nonsense",
            "",
        ] {
            assert_eq!(asked(answer).await.0, None, "{answer}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_does_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ready", listener.local_addr().unwrap());
        drop(listener);
        assert_eq!(Probe::new().ask_url(&url).await, None);
        let nowhere = ServerKey { namespace: "nowhere".parse().unwrap(), name: "dbt-server-a".parse().unwrap() };
        assert_eq!(Probe::new().ask(&nowhere).await, None);
    }
}
