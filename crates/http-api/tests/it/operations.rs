//! Operations: receipts, lists, joins.

use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::{RELEASE, TestApp, body, request};

#[tokio::test(start_paused = true)]
async fn a_caller_who_does_not_wait_gets_a_receipt_and_reads_the_outcome() {
    let app = TestApp::new();
    let reply = app.deploy_async(&body()).await;
    let receipt = reply.expect(202);
    let id = receipt["details"]["operation_id"].as_str().unwrap();
    let location = format!("/api/v1/operations/{id}");
    assert_eq!(reply.header("location"), Some(&*location));
    assert_eq!(reply.header("preference-applied"), Some("respond-async"));
    assert_eq!(receipt["status"], "accepted");
    assert_eq!(receipt["details"]["release_name"], RELEASE);
    assert_eq!(receipt["details"]["joined"], false);

    let operation = app.get(&location).await.expect(200);
    assert!(["queued", "running"].contains(&operation["state"].as_str().unwrap()), "{operation}");
    assert_eq!(operation["outcome"], Value::Null);

    // Who asks for the same meanwhile joins and waits for the same operation.
    let joined = app.deploy(&body()).await.expect(200);
    assert_eq!(joined["details"]["operation_id"], *id);

    let operation = app.get(&location).await.expect(200);
    assert_eq!(operation["state"], "succeeded");
    assert_eq!(operation["outcome"]["status"], "success");
    assert_eq!(operation["outcome"]["details"]["revision"], 1);
    assert_eq!(operation["requested_by"], "current");
    insta::assert_json_snapshot!(operation, { ".events[].at" => "[time]", ".submitted_at" => "[time]", ".started_at" => "[time]", ".finished_at" => "[time]", ".request_id" => "[id]" });

    let list = app.get("/api/v1/operations").await.expect(200);
    assert_eq!(list, json!([operation]));
}

#[tokio::test(start_paused = true)]
async fn a_receipt_comes_only_after_the_wait_that_was_asked_for() {
    let app = TestApp::new();
    let post = |wait: u32| {
        request(Method::POST, "/api/v1/deployments").insert_header(("Prefer", format!("respond-async, wait={wait}"))).set_json(body())
    };
    let reply = app.send(post(0)).await;
    reply.expect(202);
    assert_eq!(reply.header("preference-applied"), Some("respond-async, wait=0"));
    app.send(post(60)).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn every_mutation_can_be_answered_by_a_receipt() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    let path = format!("/api/v1/deployments/{RELEASE}");
    for (method, path) in [(Method::POST, format!("{path}/suspend")), (Method::POST, format!("{path}/resume")), (Method::DELETE, path)] {
        let reply = app.send(request(method, &path).insert_header(("Prefer", "respond-async"))).await;
        reply.expect(202);
        let operation = wait_for_end(&app, reply.header("location").unwrap()).await;
        assert_eq!(operation["state"], "succeeded", "{operation}");
    }
    assert_eq!(app.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_current_operation_is_shown_with_its_deployment() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    let path = format!("/api/v1/deployments/{RELEASE}");
    assert_eq!(app.get(&path).await.expect(200)["operation"], Value::Null);
    let reply = app.send(request(Method::DELETE, &path).insert_header(("Prefer", "respond-async"))).await;
    let id = reply.expect(202)["details"]["operation_id"].clone();
    let deployment = app.get(&path).await.expect(200);
    assert_eq!(deployment["operation"]["id"], id);
    assert_eq!(deployment["operation"]["kind"], "delete");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_operation_is_404() {
    let app = TestApp::new();
    for path in ["00000000-0000-7000-8000-000000000000", "no%20id", "x/events", "..%2F..%2Fetc/events", "%FF", "%zz"] {
        app.get(&format!("/api/v1/operations/{path}")).await.expect_error(404, "operation_not_found");
    }
}

async fn wait_for_end(app: &TestApp, location: &str) -> Value {
    for _ in 0..100 {
        let operation = app.get(location).await.expect(200);
        if !operation["outcome"].is_null() {
            return operation;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{location} does not end");
}
