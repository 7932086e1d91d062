//! What is left of a panic.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use actix_web::dev::{Service, ServiceRequest};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::init_service;
use actix_web::{App, HttpResponse, web};
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span;

use super::*;
use crate::middleware::catch_panic::catch_panic;
use crate::middleware::request_id::request_id;
use crate::middleware::security_headers::security_headers;

/// A subscriber that keeps each event as a line of its fields.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("dbt_controller")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An application whose every handler panics in its own way.
macro_rules! app {
    () => {
        init_service(
            App::new()
                .route("/ok", web::get().to(HttpResponse::Ok))
                .route("/fixed", web::get().to(fixed))
                .route("/formatted", web::get().to(formatted))
                .wrap(from_fn(|request: ServiceRequest, next: Next<_>| {
                    assert!(request.path() != "/middleware", "no future yet");
                    async move { next.call(request).await }
                }))
                .wrap(from_fn(catch_panic))
                .wrap(from_fn(security_headers))
                .wrap(from_fn(request_id)),
        )
        .await
    };
}

async fn fixed() -> HttpResponse {
    panic!("a fixed text")
}

async fn formatted() -> HttpResponse {
    let canary = std::hint::black_box("Zq7-canary");
    panic!("a text with {canary}")
}

/// The answer that actix makes of the error in which a panic ends, and what was logged.
async fn panicked(path: &str) -> (HttpResponse, Vec<String>) {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let app = app!();
    let request = TestRequest::with_uri(path).insert_header(("X-Request-Id", "mine")).to_request();
    let error = app.call(request).await.expect_err("a panic ends as an error");
    let lines = log.0.lock().unwrap().clone();
    (error.error_response(), lines)
}

#[actix_web::test]
async fn a_panic_is_answered_in_the_shape_of_the_contract() {
    for path in ["/fixed", "/formatted", "/middleware"] {
        let (response, _) = panicked(path).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("x-request-id").as_deref(), Some("mine"));
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(header("cache-control").as_deref(), Some("no-store"));
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], json!("error"));
        assert_eq!(body["details"]["code"], json!("internal"));
        assert!(body["message"].as_str().unwrap().contains("`mine`"));
        assert!(!body.to_string().contains("text") && !body.to_string().contains("canary"), "{body}");
    }
}

#[actix_web::test]
async fn a_panic_is_logged_with_the_id_and_only_a_fixed_text() {
    let (_, lines) = panicked("/fixed").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("ERROR") && lines[0].contains(r#"request.id="mine""#), "{lines:?}");
    assert!(lines[0].contains("a fixed text") && lines[0].contains("http.method=GET"), "{lines:?}");

    let (_, lines) = panicked("/formatted").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!lines[0].contains("canary"), "{lines:?}");
}

#[actix_web::test]
async fn the_service_goes_on_after_a_panic() {
    let app = app!();
    for _ in 0..3 {
        assert!(app.call(TestRequest::with_uri("/fixed").to_request()).await.is_err());
        let response = app.call(TestRequest::with_uri("/ok").to_request()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(header(&response, "x-request-id").is_some());
    }
}

/// Over a real connection: what actix sends is the error's response, with the headers that were put on it.
#[actix_web::test]
async fn a_panic_reaches_the_wire_as_an_answer() {
    use std::io::{Read as _, Write as _};

    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = actix_web::HttpServer::new(|| {
        App::new().route("/fixed", web::get().to(fixed)).wrap(from_fn(catch_panic)).wrap(from_fn(request_id))
    });
    let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
    let handle = server.handle();
    let served = actix_web::rt::spawn(server);
    let answer = actix_web::web::block(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        write!(stream, "GET /fixed HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
    .await
    .unwrap();
    handle.stop(false).await;
    served.await.unwrap().unwrap();

    let answer = answer.to_lowercase();
    assert!(answer.starts_with("http/1.1 500 "), "{answer}");
    assert!(answer.contains("x-request-id: mine") && answer.contains(r#""code":"internal""#), "{answer}");
    assert!(answer.contains("x-content-type-options: nosniff") && answer.contains("cache-control: no-store"), "{answer}");
}
