//! Deployments that do not come up.

use reqwest::Method;

use crate::harness::{Body, Server};

#[tokio::test]
async fn an_image_that_is_missing_is_named_as_the_cause_and_nothing_is_left() {
    let server = Server::with(&[("PULL_ERROR_WINDOW", "0")]);
    let answer = server.deploy(&Body::of("sales", "main").with("tag", "missing-1")).await.expect(500);
    let body = answer.json();
    assert_eq!(body["status"], "error");
    assert_eq!(body["details"]["code"], "image_pull_failed");
    assert_eq!(body["details"]["undo"], "undone");
    assert!(body["message"].as_str().unwrap().contains("missing-1"), "{body:#}");
    assert!(body["details"]["autopsy"].to_string().contains("ErrImagePull"), "{body:#}");

    server.get("/api/v1/deployments/dbt-server-sales-main").await.expect(404);
    assert!(server.names().await.is_empty());
    let operation = server.get(&format!("/api/v1/operations/{}", answer.text_at("/details/operation_id"))).await.expect(200);
    assert_eq!(operation.text_at("/outcome/code"), "image_pull_failed");

    let again = server.deploy(&Body::of("sales", "main")).await.expect(200);
    assert_eq!(again.json()["details"]["revision"], 1);
    assert_eq!(again.text_at("/details/airflow_connection/status"), "created");
}

#[tokio::test]
async fn a_change_that_does_not_come_up_leaves_the_server_as_it_was() {
    let server = Server::with(&[("PULL_ERROR_WINDOW", "0")]);
    server.deploy(&Body::of("sales", "main").with("tag", "v1")).await.expect(200);
    server.deploy(&Body::of("sales", "main").with("tag", "missing-2")).await.expect(500);
    let deployment = server.get("/api/v1/deployments/dbt-server-sales-main").await.expect(200).json();
    assert!(deployment.to_string().contains(":v1\""), "{deployment:#}");
    assert_eq!(deployment["status"], "deployed");
}

/// The server of this image prints its Git URL before it ends. Whatever a caller can read of it is read here; the search for secrets
/// comes when the service goes.
#[tokio::test]
async fn what_a_crashing_server_prints_is_shown_without_its_secrets() {
    let server = Server::with(&[("CRASH_LOOP_RESTARTS", "1"), ("LOG_LEVEL", "trace")]);
    server.deploy(&Body::of("fine", "main")).await.expect(200);
    let answer = server.deploy(&Body::of("crashing", "main").with("tag", "crash-1")).await.expect(500);
    assert_eq!(answer.text_at("/details/code"), "crash_loop");
    let autopsy = answer.json()["details"]["autopsy"].to_string();
    assert!(autopsy.contains("Cloning into '/data/dbt' from ***"), "{autopsy}");

    let operation = format!("/api/v1/operations/{}", answer.text_at("/details/operation_id"));
    let readable = [
        operation.as_str(),
        "/api/v1/operations",
        "/api/v1/deployments",
        "/api/v1/deployments/dbt-server-fine-main",
        "/api/v1/projects",
        "/api/v1/projects/all",
        "/api/v1/status",
        "/info",
    ];
    for path in readable {
        server.get(path).await.expect(200);
    }
    // The operation has ended, so its stream does too.
    let events = server.send(server.request(Method::GET, &format!("{operation}/events"))).await.expect(200);
    assert!(events.text.contains("event: outcome"), "{}", events.text);
}
