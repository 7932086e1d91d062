//! The headers of every answer.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::middleware::from_fn;
use actix_web::test::{call_service, init_service};
use actix_web::{App, HttpRequest, HttpResponse, web};

use super::*;
use crate::middleware::auth::BearerAuth;
use crate::middleware::request_id::{self, request_id};
use crate::middleware::security_headers::security_headers;

/// The `X-Request-Id` that comes back for the one that was sent, and what the handler knew.
async fn ids(sent: Option<&[u8]>) -> (String, String) {
    let handler = |request: HttpRequest| async move { request_id::of(&request).unwrap() };
    let app = init_service(App::new().default_service(web::to(handler)).wrap(from_fn(request_id))).await;
    let mut request = TestRequest::default();
    if let Some(sent) = sent {
        request = request.insert_header((HeaderName::from_static("x-request-id"), sent));
    }
    let response = call_service(&app, request.to_request()).await;
    let answered = header(&response, "x-request-id").unwrap().to_owned();
    let known = actix_web::test::read_body(response).await;
    (answered, String::from_utf8(known.to_vec()).unwrap())
}

#[actix_web::test]
async fn a_plain_id_of_the_caller_is_kept() {
    for id in ["x", "A.b_c-9", "01932c07-aaaa-7bbb-8ccc-0123456789ab", &"x".repeat(128)] {
        assert_eq!(ids(Some(id.as_bytes())).await, (id.to_owned(), id.to_owned()));
    }
}

#[actix_web::test]
async fn any_other_id_is_replaced() {
    for id in [&b""[..], b"a b", b"a;b", b"<x>", b"a\"b", b"a/b", b"a\tb", b"\xfc", "ü".as_bytes(), &[b'x'; 129], b"a,b"] {
        let (answered, known) = ids(Some(id)).await;
        assert_eq!(answered, known);
        assert_ne!(answered.as_bytes(), id);
        assert_eq!(uuid::Uuid::parse_str(&answered).unwrap().get_version_num(), 7);
    }
    let (first, second) = (ids(None).await.0, ids(None).await.0);
    assert_ne!(first, second);
}

#[actix_web::test]
async fn refusals_have_an_id_and_the_protecting_headers() {
    let app = App::new().wrap(BearerAuth::new(tokens())).wrap(from_fn(security_headers)).wrap(from_fn(request_id));
    let app = init_service(app).await;
    for (request, status) in
        [(TestRequest::default(), StatusCode::UNAUTHORIZED), (with_token(TestRequest::default(), CURRENT), StatusCode::NOT_FOUND)]
    {
        let request = request.insert_header(("X-Request-Id", "mine")).to_request();
        let response = call_service(&app, request).await;
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "x-request-id"), Some("mine"));
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&response, "referrer-policy"), Some("no-referrer"));
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
    }
}

/// The answer with these headers, after the middleware.
async fn protected(headers: &'static [(&'static str, &'static str)]) -> ServiceResponse<impl MessageBody> {
    let handler = move || async move {
        let mut response = HttpResponse::Ok();
        for header in headers {
            response.insert_header(*header);
        }
        response.body("x")
    };
    let app = init_service(App::new().default_service(web::to(handler)).wrap(from_fn(security_headers))).await;
    call_service(&app, TestRequest::default().to_request()).await
}

#[actix_web::test]
async fn an_answer_of_the_api_is_not_kept_and_not_guessed() {
    let response = protected(&[("content-type", "application/json")]).await;
    assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
    assert_eq!(header(&response, "referrer-policy"), Some("no-referrer"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(header(&response, "content-security-policy"), None);
    assert_eq!(header(&response, "x-frame-options"), None);
}

#[actix_web::test]
async fn what_a_handler_says_stands() {
    let response = protected(&[
        ("content-type", "text/html"),
        ("cache-control", "max-age=60"),
        ("referrer-policy", "same-origin"),
        ("content-security-policy", "default-src 'self'"),
    ])
    .await;
    assert_eq!(header(&response, "cache-control"), Some("max-age=60"));
    assert_eq!(header(&response, "referrer-policy"), Some("same-origin"));
    assert_eq!(header(&response, "content-security-policy"), Some("default-src 'self'"));
    assert_eq!(header(&response, "x-frame-options"), Some("DENY"));
}

#[actix_web::test]
async fn an_answer_with_a_validator_may_be_kept() {
    let response = protected(&[("etag", "\"1\"")]).await;
    assert_eq!(header(&response, "cache-control"), None);
}

#[actix_web::test]
async fn a_page_without_a_policy_gets_a_strict_one() {
    for kind in ["text/html", "text/html; charset=utf-8", "Text/HTML ;charset=utf-8"] {
        let response = protected(Box::leak(Box::new([("content-type", kind)]))).await;
        assert_eq!(response.headers().get(CONTENT_TYPE).unwrap(), kind);
        let policy = header(&response, "content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(header(&response, "x-frame-options"), Some("DENY"));
    }
    for kind in ["text/htmlx", "text/plain", "application/xhtml+xml"] {
        let response = protected(Box::leak(Box::new([("content-type", kind)]))).await;
        assert_eq!(header(&response, "content-security-policy"), None, "{kind}");
    }
}
