//! `/docs` and `/redoc`: pages that load nothing from elsewhere. Where their files come from is told in `assets/README.md`.

mod pieces;

use std::borrow::Cow;
use std::fmt::Write as _;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::{Embed, EmbeddedFile};

use crate::routes::{method_not_allowed, unknown_route};
use pieces::Pieces;

/// Swagger UI.
#[derive(Embed)]
#[folder = "assets/docs"]
struct Docs;

/// Redoc.
#[derive(Embed)]
#[folder = "assets/redoc"]
struct Redoc;

/// Nothing from elsewhere, no inline script. Both programs write style elements; their icons are `data:` addresses.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The same, and the search of Redoc runs in a worker that it makes of a text.
const REDOC_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Registers the pages and the OpenAPI document.
pub(crate) fn configure(config: &mut ServiceConfig) {
    let page =
        |paths: &[&str]| web::resource(paths.to_vec()).default_service(method_not_allowed(HeaderValue::from_static("GET, HEAD, OPTIONS")));
    config
        .service(page(&["/openapi.json"]).route(web::get().to(crate::openapi::serve)))
        .service(page(&["/docs", "/docs/"]).route(web::get().to(docs)))
        .service(page(&["/docs/{file}"]).route(web::get().to(docs)))
        .service(page(&["/redoc", "/redoc/"]).route(web::get().to(redoc)))
        .service(page(&["/redoc/{file}"]).route(web::get().to(redoc)));
}

async fn docs(request: HttpRequest) -> HttpResponse {
    answer::<Docs>(request, DOCS_POLICY).await
}

async fn redoc(request: HttpRequest) -> HttpResponse {
    answer::<Redoc>(request, REDOC_POLICY).await
}

async fn answer<Files: Embed>(request: HttpRequest, policy: &'static str) -> HttpResponse {
    let name = request.match_info().get("file").unwrap_or("index.html");
    let Some(EmbeddedFile { data, metadata, .. }) = Files::get(name) else { return unknown_route(request).await };
    let content_type = content_type(metadata.mimetype());
    let tag = tag_of(&metadata.sha256_hash());
    // Not a copy for each request: anyone may ask for them.
    let content = match data {
        Cow::Borrowed(content) => Bytes::from_static(content),
        Cow::Owned(content) => content.into(),
    };
    let mut response = cacheable(&request, &tag, &content_type, content);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn content_type(mime: &str) -> String {
    let is_text = mime.starts_with("text/") || mime == "application/javascript";
    if is_text { format!("{mime}; charset=utf-8") } else { mime.to_owned() }
}

/// The entity tag of content with this SHA-256. Weak, for it stands for the compressed forms as well.
pub(crate) fn tag_of(sha256: &[u8]) -> String {
    let mut tag = "W/\"".to_owned();
    for byte in sha256 {
        // Writing to a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
}

/// 200 with the content, or 304 when the client has it. A client asks each time, so an update of the service is seen at once.
pub(crate) fn cacheable(request: &HttpRequest, tag: &str, content_type: &str, content: impl Into<Bytes>) -> HttpResponse {
    let mut response = if has_tag(request.headers(), tag) { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    if has_tag(request.headers(), tag) {
        return response.finish();
    }
    response.insert_header((header::CONTENT_TYPE, content_type)).body(Pieces(content.into()))
}

/// `If-None-Match` by weak comparison (RFC 9110, section 13.1.2).
fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = headers.get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|candidate| candidate.trim() == "*" || opaque(candidate) == opaque(tag))
}
