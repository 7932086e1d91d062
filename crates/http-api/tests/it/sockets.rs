//! The server on a real socket: what only a connection shows.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use dbt_controller_http_api::server;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{TOKEN, TestApp, api_settings};

/// A server on a port of its own.
struct Served {
    app: TestApp,
    address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
    stop: CancellationToken,
}

impl Served {
    fn start() -> Self {
        let app = TestApp::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = server(listener, app.controller.clone(), api_settings(app.world.clock()), stop.clone()).unwrap();
        Self { address, handle: server.handle(), task: tokio::spawn(server), stop, app }
    }

    /// Sends bytes on a new connection and reads all that comes until the server closes it.
    async fn exchange(&self, request: impl Into<Vec<u8>>) -> String {
        let (address, request) = (self.address, request.into());
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.write_all(&request).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            String::from_utf8(answer).unwrap()
        })
        .await
        .unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.handle.stop(true).await;
        self.task.await.unwrap().unwrap();
        drop(self.app);
    }
}

fn head(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n")
}

#[tokio::test]
async fn head_sends_the_length_and_no_body() {
    let server = Served::start();
    let answer = server.exchange(head("HEAD", "/api/v1/status", "")).await;
    let (head_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head_.starts_with("HTTP/1.1 200 OK"), "{head_}");
    assert!(head_.to_lowercase().contains("content-length: ") && !head_.to_lowercase().contains("content-length: 0"), "{head_}");
    assert_eq!(body, "");
    assert!(server.exchange("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 204"));
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_sent() {
    let server = Served::start();
    // A body is announced and never sent: only a server that does not wait for it can answer.
    let request = "POST /api/v1/deployments HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    let address = server.address;
    let first = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let count = stream.read(&mut answer).unwrap();
        String::from_utf8(answer[..count].to_vec()).unwrap()
    });
    let answer = first.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_without_end_is_413_after_one_mebibyte() {
    let server = Served::start();
    let mut request = head("POST", "/api/v1/deployments", "Transfer-Encoding: chunked\r\n").into_bytes();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    for _ in 0..17 {
        request.extend_from_slice(&chunk);
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = server.exchange(request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\"body_too_large\""), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let server = Served::start();
    let body = r#"{"project_name":"p"}"#;
    let post = head("POST", "/api/v1/deployments", &format!("Prefer: respond-async\r\nContent-Length: {}\r\n", body.len())) + body;
    let answer = server.exchange(post).await;
    let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();

    let request = head("GET", &format!("{location}/events"), "Accept-Encoding: gzip\r\n");
    let address = server.address;
    let arrivals = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let (mut text, mut buffer, mut arrivals) = (String::new(), [0; 4096], Vec::new());
        loop {
            let count = stream.read(&mut buffer).unwrap();
            if count == 0 {
                return (text, arrivals);
            }
            arrivals.push(Instant::now());
            text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    });
    let (text, arrivals) = arrivals.await.unwrap();
    assert!(text.to_lowercase().contains("content-encoding: identity"), "{text}");
    assert!(text.contains("event: phase") && text.contains("event: outcome"), "{text}");
    // The server of the deployment needs a second; its first phases are told before that.
    assert!(arrivals.last().unwrap().duration_since(arrivals[0]) > Duration::from_millis(500), "all came at once: {text}");
    server.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_streams() {
    let server = Served::start();
    let body = r#"{"project_name":"p","tag":"missing"}"#;
    let post = head("POST", "/api/v1/deployments", &format!("Prefer: respond-async\r\nContent-Length: {}\r\n", body.len())) + body;
    let answer = server.exchange(post).await;
    let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(head("GET", &format!("{location}/events"), "").as_bytes()).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begin = Instant::now();
    server.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drop(stream);
}

#[tokio::test]
async fn a_caller_who_hangs_up_cancels_nothing() {
    let server = Served::start();
    let body = r#"{"project_name":"p"}"#;
    let post = head("POST", "/api/v1/deployments", &format!("Content-Length: {}\r\n", body.len())) + body;
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(post.as_bytes()).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(stream);
    let world = server.app.world.clone();
    let deployed = async {
        while world.airflow().count() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), deployed).await.expect("the deploy goes on without its caller");
    server.stop().await;
}
