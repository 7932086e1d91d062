//! The pages and the document.

use actix_web::http::Method;
use actix_web::test::TestRequest;
use dbt_controller_http_api::openapi_document;

use crate::support::{Reply, TestApp};

async fn fetch(app: &TestApp, path: &str) -> Reply {
    app.send(TestRequest::with_uri(path)).await
}

/// The addresses that a page loads.
fn loaded(page: &str) -> Vec<String> {
    let after =
        |attribute: &str| page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect::<Vec<_>>();
    [after("src=\""), after("href=\"")].concat().into_iter().filter(|address| !address.starts_with("data:")).collect()
}

#[tokio::test(start_paused = true)]
async fn both_pages_are_complete_without_a_network() {
    let app = TestApp::new();
    for page in ["/docs", "/redoc"] {
        let reply = fetch(&app, page).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        let files = loaded(&reply.text());
        assert!(files.len() >= 2, "{files:?}");
        for file in files {
            assert!(file.starts_with(page), "{page} loads {file}");
            let reply = fetch(&app, &file).await;
            assert_eq!(reply.status, 200, "{file}");
            let kind = reply.header("content-type").unwrap();
            assert!(["text/javascript; charset=utf-8", "text/css; charset=utf-8"].contains(&kind), "{file}: {kind}");
        }
        // No script of the page's own: the policy would refuse it.
        assert!(!reply.text().contains("<script>"));
    }
    assert!(!fetch(&app, "/redoc/redoc.standalone.js").await.text().contains("cdn.redoc.ly"));
    assert!(fetch(&app, "/docs/swagger-ui-bundle.js").await.text().contains("SwaggerUIBundle"));
    assert_eq!(fetch(&app, "/docs/NOTICE").await.status, 200);
    assert_eq!(fetch(&app, "/docs/").await.bytes, fetch(&app, "/docs").await.bytes);
}

#[tokio::test(start_paused = true)]
async fn a_query_changes_nothing() {
    let app = TestApp::new();
    let plain = fetch(&app, "/docs").await;
    for query in ["?x=1", "?url=https://evil.example.com/openapi.json", "?configUrl=x"] {
        assert_eq!(fetch(&app, &format!("/docs{query}")).await.bytes, plain.bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_browser_has_is_not_sent_again() {
    let app = TestApp::new();
    for path in ["/docs", "/redoc/redoc.standalone.js", "/openapi.json"] {
        let first = fetch(&app, path).await;
        let tag = first.header("etag").unwrap().to_owned();
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        for offered in [tag.clone(), format!("\"other\", {tag}"), tag.trim_start_matches("W/").to_owned(), "*".to_owned()] {
            let again = app.send(TestRequest::with_uri(path).insert_header(("If-None-Match", offered))).await;
            assert_eq!((again.status, again.bytes.len()), (304, 0), "{path}");
            assert_eq!(again.header("etag"), Some(&*tag));
        }
        assert_eq!(app.send(TestRequest::with_uri(path).insert_header(("If-None-Match", "\"other\""))).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_are_sent_compressed() {
    let app = TestApp::new();
    let reply = app.send(TestRequest::with_uri("/docs/swagger-ui-bundle.js").insert_header(("Accept-Encoding", "gzip, br"))).await;
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert!(reply.bytes.len() < 700_000, "{}", reply.bytes.len());
    assert!(reply.header("vary").unwrap().to_lowercase().contains("accept-encoding"));
}

#[tokio::test(start_paused = true)]
async fn the_document_is_the_published_one() {
    let app = TestApp::new();
    let reply = fetch(&app, "/openapi.json").await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.expect(200), openapi_document());
    assert_eq!(app.send(TestRequest::with_uri("/openapi.json").method(Method::HEAD)).await.status, 200);
}
