//! Gives every request an id that its answer and its log lines carry.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest};
use uuid::Uuid;

use super::change_headers;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The most characters of an id that a caller chose.
const MAX_LENGTH: usize = 128;

/// The id, in the extensions of the request.
#[derive(Clone)]
struct RequestId(String);

/// The id of a request; none if the middleware has not seen it.
pub(crate) fn of(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<RequestId>().map(|id| id.0.clone())
}

/// Middleware: takes the caller's `X-Request-Id` if it can be logged and sent back as it is, else makes one; it goes on
/// every answer.
pub(crate) async fn request_id<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let id = accepted(request.headers().get(&HEADER)).unwrap_or_else(generated);
    request.extensions_mut().insert(RequestId(id.clone()));
    change_headers(next.call(request).await, |headers| {
        let value = HeaderValue::from_str(&id).expect("an id is a header value, because its characters are checked");
        headers.insert(HEADER, value);
    })
}

fn accepted(header: Option<&HeaderValue>) -> Option<String> {
    let id = header?.to_str().ok()?;
    let is_plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let is_accepted = is_plain && (1..=MAX_LENGTH).contains(&id.len());
    is_accepted.then(|| id.to_owned())
}

/// UUIDs of version 7 sort by time.
fn generated() -> String {
    Uuid::now_v7().to_string()
}
