//! Headers that keep browsers and proxies from doing too much with an answer.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;

use super::change_headers;

/// For pages that bring no policy of their own: they may load nothing.
const STRICT_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Middleware: adds the headers that an answer does not have yet.
pub(crate) async fn security_headers<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    change_headers(next.call(request).await, add_missing)
}

pub(super) fn add_missing(headers: &mut HeaderMap) {
    add(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(headers, REFERRER_POLICY, "no-referrer");
    // Answers tell how things stand at this moment, some with logins. What has a validator may be kept and asked about.
    if !headers.contains_key(ETAG) {
        add(headers, CACHE_CONTROL, "no-store");
    }
    if is_page(headers) {
        add(headers, CONTENT_SECURITY_POLICY, STRICT_POLICY);
        add(headers, X_FRAME_OPTIONS, "DENY");
    }
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if !headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().split(|b| *b == b';').next());
    kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/html"))
}
