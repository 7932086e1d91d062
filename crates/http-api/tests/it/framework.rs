//! What the framework answers by itself, in our shape.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use dbt_controller_domain::ports::Clock;
use jiff::Timestamp;

use crate::support::{RELEASE, TestApp, body, request};

#[tokio::test(start_paused = true)]
async fn an_unknown_route_is_404() {
    let app = TestApp::new();
    for path in [
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/deployments/",
        "/api/v1/deployments/a/b",
        "/api/v2/deployments",
        "/health/",
        "/docs/nope.js",
        "/redoc/../docs",
        "/docs/LICENSE/x",
        "//",
        "/api/v1/projects//exists",
    ] {
        let answer = app.get(path).await.expect_error(404, "unknown_route");
        assert!(answer["message"].as_str().unwrap().contains("not found"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_method_is_405_with_allow() {
    let app = TestApp::new();
    let cases = [
        (Method::PUT, "/api/v1/deployments", "GET, HEAD, POST, OPTIONS"),
        (Method::PATCH, "/api/v1/deployments/x", "GET, HEAD, DELETE, OPTIONS"),
        (Method::GET, "/api/v1/deployments/x/suspend", "POST, OPTIONS"),
        (Method::POST, "/api/v1/projects/all", "GET, HEAD, OPTIONS"),
        (Method::GET, "/", "HEAD, OPTIONS"),
        (Method::TRACE, "/info", "GET, HEAD, OPTIONS"),
        (Method::POST, "/docs", "GET, HEAD, OPTIONS"),
        (Method::DELETE, "/openapi.json", "GET, HEAD, OPTIONS"),
        (Method::OPTIONS, "/api/v1/deployments", "GET, HEAD, POST, OPTIONS"),
    ];
    for (method, path, allowed) in cases {
        let reply = app.call(method.clone(), path).await;
        reply.expect_error(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_a_body() {
    let app = TestApp::new();
    let root = app.send(TestRequest::with_uri("/").method(Method::HEAD)).await;
    assert_eq!((root.status, root.bytes.len()), (204, 0));
    for path in ["/api/v1/deployments", "/api/v1/status", "/docs", "/openapi.json", "/health/readiness"] {
        let (get, head) = (app.get(path).await, app.call(Method::HEAD, path).await);
        assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
    }
    // The stream of an operation would never end; its HEAD does.
    let receipt = app.deploy_async(&body()).await.expect(202);
    let head = app.call(Method::HEAD, receipt["details"]["events"].as_str().unwrap()).await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
}

#[tokio::test(start_paused = true)]
async fn browsers_of_any_origin_may_ask() {
    let app = TestApp::new();
    let preflight = TestRequest::with_uri("/api/v1/deployments")
        .method(Method::OPTIONS)
        .insert_header(("Origin", "https://ui.example.com"))
        .insert_header(("Access-Control-Request-Method", "POST"))
        .insert_header(("Access-Control-Request-Headers", "authorization,content-type"));
    let reply = app.send(preflight).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert!(reply.header("access-control-allow-headers").unwrap().contains("authorization"));

    // A refusal carries the headers too, or the page could not read it.
    let reply = app.send(TestRequest::get().uri("/info").insert_header(("Origin", "https://ui.example.com"))).await;
    reply.expect_error(401, "unauthorized");
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert!(reply.header("x-request-id").is_some());
}

#[tokio::test(start_paused = true)]
async fn only_listed_origins_may_ask_when_there_is_a_list() {
    let app = TestApp::with(|settings| settings.cors_origins = vec!["https://ui.example.com".to_owned()], |_| {});
    let preflight = |origin: &str| {
        let request = TestRequest::with_uri("/info").method(Method::OPTIONS).insert_header(("Origin", origin.to_owned()));
        app.send(request.insert_header(("Access-Control-Request-Method", "GET")))
    };
    let good = preflight("https://ui.example.com").await;
    assert_eq!((good.status, good.header("access-control-allow-origin")), (200, Some("https://ui.example.com")));
    let bad = preflight("https://evil.example.com").await;
    bad.expect_error(400, "bad_request");
    assert_eq!(bad.header("access-control-allow-origin"), None);
}

#[tokio::test(start_paused = true)]
async fn no_acceptable_encoding_is_406_in_our_shape() {
    let app = TestApp::new();
    let picky = request(Method::GET, "/info").insert_header(("Accept-Encoding", "identity;q=0, br"));
    app.send(picky).await.expect_error(406, "not_acceptable");
}

#[tokio::test(start_paused = true)]
async fn answers_are_compressed_on_request_and_never_kept() {
    let app = TestApp::new();
    let reply = app.send(request(Method::GET, "/info").insert_header(("Accept-Encoding", "gzip"))).await;
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(&reply.bytes[..2], [0x1f, 0x8b]);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test(start_paused = true)]
async fn a_request_id_goes_in_and_comes_out() {
    let app = TestApp::new();
    for path in ["/info", "/nowhere", "/api/v1/deployments/x"] {
        let reply = app.send(request(Method::GET, path).insert_header(("X-Request-Id", "ci-42"))).await;
        assert_eq!(reply.header("x-request-id"), Some("ci-42"), "{path}");
    }
    let reply = app.send(request(Method::POST, "/api/v1/deployments").insert_header(("X-Request-Id", "ci-43")).set_json(body())).await;
    let id = reply.expect(200)["details"]["operation_id"].as_str().unwrap().to_owned();
    assert_eq!(app.get(&format!("/api/v1/operations/{id}")).await.expect(200)["request_id"], "ci-43");
}

#[tokio::test(start_paused = true)]
async fn odd_paths_are_answered_not_cut() {
    let app = TestApp::new();
    for path in [
        "/api/v1/deployments/%zz",
        "/api/v1/deployments/%ff",
        "/api/v1/deployments/%00",
        "/api/v1/deployments/a%2Fb",
        "/api/v1/deployments/..%2f..",
        "/api/v1/deployments/%E2%82%AC",
    ] {
        app.get(path).await.expect_error(404, "not_found");
    }
    app.get("/api/v1/deployments?project_name=%ff%zz").await.expect(200);
}

/// A clock that is a bug.
struct BrokenClock;

impl Clock for BrokenClock {
    fn now(&self) -> Timestamp {
        panic!("the clock is broken")
    }
}

#[tokio::test(start_paused = true)]
async fn a_bug_is_500_in_our_shape_and_the_next_request_is_answered() {
    let app = TestApp::with(|settings| settings.clock = Arc::new(BrokenClock), |_| {});
    app.deploy(&body()).await.expect(200);
    let reply = app.get(&format!("/api/v1/deployments/{RELEASE}")).await;
    reply.expect_error(500, "internal");
    assert!(reply.header("x-request-id").is_some());
    app.get("/api/v1/deployments").await.expect(200);
}
