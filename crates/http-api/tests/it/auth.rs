//! All routes × tokens.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use dbt_controller_http_api::openapi_document;

use crate::support::{PREVIOUS_TOKEN, TOKEN, TestApp};

/// Routes that need no token.
const OPEN: &[&str] = &[
    "GET /api/v1/status",
    "GET /docs",
    "GET /docs/initializer.js",
    "GET /health/liveness",
    "GET /health/readiness",
    "GET /health/startup",
    "GET /openapi.json",
    "GET /redoc",
    "GET /redoc/initializer.js",
    "HEAD /",
];

/// What a caller can offer, and whether it opens.
fn offers() -> Vec<(Option<String>, bool)> {
    let offer = |text: String, opens| (Some(text), opens);
    vec![
        offer(format!("Bearer {TOKEN}"), true),
        offer(format!("bearer {PREVIOUS_TOKEN}"), true),
        (None, false),
        offer("Bearer wrong".to_owned(), false),
        offer("Bearer ".to_owned(), false),
        offer(format!("Basic {TOKEN}"), false),
        offer(TOKEN.to_owned(), false),
        offer(format!("Bearer {TOKEN}x"), false),
    ]
}

/// Every route, documented or page, with a value for each parameter.
fn routes() -> Vec<String> {
    let document = openapi_document();
    let mut routes: Vec<String> = OPEN.iter().map(|route| (*route).to_owned()).collect();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{name}", "dbt-server-x").replace("{id}", "x");
        routes.extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    routes.extend(["GET /", "GET /nowhere", "PUT /nowhere", "PATCH /api/v1/deployments", "POST /docs"].map(str::to_owned));
    routes.sort();
    routes.dedup();
    routes
}

#[tokio::test(start_paused = true)]
async fn every_route_but_the_open_ones_needs_a_token() {
    let app = TestApp::new();
    for route in routes() {
        let (method, path) = route.split_once(' ').unwrap();
        for (offer, opens) in offers() {
            let mut request = TestRequest::with_uri(path).method(Method::from_bytes(method.as_bytes()).unwrap());
            if let Some(offer) = &offer {
                request = request.insert_header(("Authorization", offer.as_str()));
            }
            let reply = app.send(request).await;
            let is_let_in = opens || OPEN.contains(&route.as_str());
            assert_eq!(reply.status != 401, is_let_in, "{route} with {offer:?}: {}", reply.status);
            if !is_let_in {
                reply.expect_error(401, "unauthorized");
                assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"), "{route}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_is_asked_for_before_anything_else_is_looked_at() {
    let app = TestApp::new();
    // Each of these has another fault too, which a stranger is not told.
    for request in [
        TestRequest::post().uri("/api/v1/deployments").set_payload("{"),
        TestRequest::post().uri("/api/v1/deployments").insert_header(("Content-Type", "text/plain")),
        TestRequest::post().uri("/api/v1/deployments").insert_header(("Content-Length", "9999999999")),
        TestRequest::get().uri("/api/v1/deployments?limit=0"),
        TestRequest::get().uri("/nowhere"),
        TestRequest::put().uri("/api/v1/deployments"),
    ] {
        app.send(request).await.expect_error(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_when_to_come_back() {
    let app = TestApp::with(|settings| settings.requests_per_second = 2, |_| {});
    let mut last = app.get("/info").await;
    // On a busy machine one or the other may come so late that it is not too often.
    for _ in 0..100 {
        if last.status != 200 {
            break;
        }
        last = app.get("/info").await;
    }
    last.expect_error(429, "rate_limited");
    assert!(last.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    app.get("/health/liveness").await.expect(200);
}
