//! One span and one line per request.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage};
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;
use tracing_actix_web::RootSpanBuilder;

use crate::middleware::request_id;

/// Names of log fields follow OpenTelemetry. The path is logged, the query is not: callers put what they like there.
pub(crate) struct RequestSpan;

struct StartedAt(Instant);

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        request.extensions_mut().insert(StartedAt(Instant::now()));
        let method = request.method().as_str();
        let path = request.path();
        let route = request.match_pattern().unwrap_or_else(|| "none".to_owned());
        let request_id = request_id::of(request.request());
        if is_probe(path) {
            return tracing::debug_span!(
                "request",
                http.method = method,
                url.path = path,
                http.route = route,
                request.id = request_id,
                http.status_code = Empty
            );
        }
        tracing::info_span!(
            "request",
            http.method = method,
            url.path = path,
            http.route = route,
            request.id = request_id,
            http.status_code = Empty
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let _in_span = span.enter();
        let Ok(response) = outcome.as_ref().inspect_err(|error| log_lost(&span, error)) else { return };
        let (request, status) = (response.request(), response.status());
        span.record("http.status_code", status.as_u16());
        let (method, path) = (request.method(), request.path());
        let duration_ms = request.extensions().get::<StartedAt>().map(|started| started.0.elapsed().as_millis());
        let error = response.response().error().map(tracing::field::display);
        if status.is_server_error() {
            tracing::warn!(duration_ms, error, "{method} {path} answered {status}");
        } else if is_probe(path) {
            tracing::debug!(duration_ms, error, "{method} {path} answered {status}");
        } else {
            tracing::info!(duration_ms, error, "{method} {path} answered {status}");
        }
    }
}

/// A panic takes its request with it; the span still tells which it was.
fn log_lost(span: &Span, error: &Error) {
    let status = error.as_response_error().status_code();
    span.record("http.status_code", status.as_u16());
    tracing::warn!(%error, "a request was lost and answered {status}");
}

/// The kubelet asks every few seconds; its questions are no news.
fn is_probe(path: &str) -> bool {
    path.starts_with("/health/")
}
