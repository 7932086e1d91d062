//! Who gets past the token check, and what the others are told.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::{Method, StatusCode};
use actix_web::test::{call_service, init_service, read_body};
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse};
use futures_util::stream;

use super::*;
use crate::middleware::auth::{BearerAuth, actor};

/// The answer to a request: of anybody who is let in, the actor.
async fn answer(request: TestRequest) -> ServiceResponse<impl MessageBody> {
    let handler = |request: HttpRequest| async move { HttpResponse::Ok().body(actor(&request).unwrap_or("nobody".to_owned())) };
    let app = App::new().default_service(web::to(handler)).wrap(BearerAuth::new(tokens()));
    call_service(&init_service(app).await, request.to_request()).await
}

fn request(method: Method, path: &str) -> TestRequest {
    TestRequest::with_uri(path).method(method)
}

#[actix_web::test]
async fn the_name_of_the_token_is_noted() {
    for (token, name) in [(CURRENT, "current"), (PREVIOUS, "previous")] {
        let response = answer(with_token(request(Method::POST, "/api/v1/deployments"), token)).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(read_body(response).await, name);
    }
}

#[actix_web::test]
async fn public_paths_are_read_without_a_token() {
    for path in [
        "/api/v1/status",
        "/openapi.json",
        "/docs",
        "/docs/",
        "/docs/swagger-ui.css",
        "/redoc",
        "/redoc/a/b.js",
        "/health/liveness",
        "/health/readiness",
        "/health/startup",
        "/api/v1/status?x=1",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let response = answer(request(method.clone(), path)).await;
            assert_eq!(response.status(), StatusCode::OK, "{method} {path}");
            assert_eq!(read_body(response).await, "nobody");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
            assert_eq!(answer(request(method.clone(), path)).await.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
    assert_eq!(answer(request(Method::HEAD, "/")).await.status(), StatusCode::OK);
}

#[actix_web::test]
async fn a_public_path_is_read_with_any_token_too() {
    let response = answer(with_token(request(Method::GET, "/health/liveness"), "wrong")).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[actix_web::test]
async fn everything_else_needs_a_token_before_anything_is_said_about_it() {
    for path in [
        "/",
        "/info",
        "/metrics",
        "/api/v1/deployments",
        "/api/v1/deployments/x",
        "/api/v1/projects",
        "/api/v1/operations/x/events",
        "/no/such/path",
        "/health",
        "/docsx",
        "/redocs/x",
        "/openapi.json/",
        "/api/v1/status/",
        "/api/v1/statuses",
        "/API/v1/status",
        "//docs/",
        "/./docs/",
        "/%64ocs/",
        "/x/../docs/",
        "/api/v1/deployments/docs/",
        "/api/v1/deployments?/docs/",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
            assert_eq!(answer(request(method.clone(), path)).await.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        }
        let response = answer(with_token(request(Method::GET, path), CURRENT)).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
}

#[actix_web::test]
async fn who_offers_no_token_is_told_how() {
    for header in [None, Some("Basic dTpw"), Some("Negotiate x"), Some("")] {
        let mut request = request(Method::GET, "/info");
        if let Some(header) = header {
            request = request.insert_header((AUTHORIZATION, header));
        }
        let response = answer(request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(super::header(&response, "www-authenticate"), Some(r#"Bearer realm="dbt-api-service-controller""#));
        let message = check_error(response, "unauthorized").await;
        assert_eq!(message, "a bearer token is needed: send the header `Authorization: Bearer <SECRET_KEY>`");
    }
}

#[actix_web::test]
async fn who_offers_a_wrong_token_is_told_so_and_nothing_of_it() {
    for header in ["Bearer s3cret-canary", "bearer s3cret-canary", "Bearer  current-t0ken", "Bearer"] {
        let response = answer(request(Method::GET, "/info").insert_header((AUTHORIZATION, header))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let challenge = r#"Bearer realm="dbt-api-service-controller", error="invalid_token""#;
        assert_eq!(super::header(&response, "www-authenticate"), Some(challenge));
        assert!(!format!("{:?}", response.headers()).contains("canary"));
        let message = check_error(response, "unauthorized").await;
        assert_eq!(message, "the bearer token is not valid: verify `SECRET_KEY` and the `Authorization` header");
    }
}

#[actix_web::test]
async fn several_headers_are_refused_even_if_all_are_right() {
    let value = format!("Bearer {CURRENT}");
    let response =
        answer(request(Method::GET, "/info").append_header((AUTHORIZATION, &*value)).append_header((AUTHORIZATION, &*value))).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = r#"Bearer realm="dbt-api-service-controller", error="invalid_token""#;
    assert_eq!(super::header(&response, "www-authenticate"), Some(challenge));
    assert!(check_error(response, "unauthorized").await.starts_with("there is more than one `Authorization` header: send one"));
}

/// A body that must not be touched.
fn untouchable() -> Payload {
    let never = stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, PayloadError>>> { panic!("the body was read") });
    Payload::Stream { payload: Box::pin(never) }
}

/// The answer to a POST whose body panics when it is read.
async fn post_untouchable(request: TestRequest) -> ServiceResponse<impl MessageBody> {
    let app =
        App::new().default_service(web::to(|body: Bytes| async move { HttpResponse::Ok().body(body) })).wrap(BearerAuth::new(tokens()));
    let app = init_service(app).await;
    let (request, _) = request.method(Method::POST).uri("/api/v1/deployments").to_request().replace_payload(untouchable());
    call_service(&app, request).await
}

#[actix_web::test]
async fn the_body_of_a_stranger_is_not_read() {
    let missing = post_untouchable(TestRequest::default()).await;
    assert_eq!(missing.status(), StatusCode::UNAUTHORIZED);
    let wrong = post_untouchable(with_token(TestRequest::default(), "wrong")).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
#[should_panic(expected = "the body was read")]
async fn the_body_of_an_admitted_caller_is_read() {
    let answer: Pin<Box<dyn Future<Output = _>>> = Box::pin(post_untouchable(with_token(TestRequest::default(), CURRENT)));
    answer.await;
}
