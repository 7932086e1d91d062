//! Requests that meet each other.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::harness::{Body, Server, eventually};

#[tokio::test]
async fn the_same_post_twice_at_once_is_one_operation_with_two_equal_answers() {
    let server = Server::with(&[("EMBEDDED_READY_AFTER", "500ms")]);
    let body = Body::of("twice", "main");
    let second = async {
        server.operation_in("ready").await;
        server.deploy(&body).await
    };
    let (first, second) = tokio::join!(server.deploy(&body), second);
    assert_eq!(first.expect(200).json(), second.expect(200).json());
    assert_eq!(server.operations().await.len(), 1);
}

#[tokio::test]
async fn fifty_different_posts_at_once_each_get_their_own() {
    const COUNT: usize = 50;
    let server = Server::start();
    let name = |number: usize| format!("project-{number}");
    let bodies: Vec<_> = (0..COUNT).map(|number| Body::of(&name(number), "main").with("tag", format!("v{number}"))).collect();
    let answers = join_all(bodies.iter().map(|body| server.deploy(body))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = answer.expect(200);
        let release = format!("dbt-server-project-{number}-main");
        assert_eq!(answer.text_at("/details/release_name"), release);
        assert_eq!(answer.text_at("/details/airflow_connection/id"), format!("project_{number}_main"));
        let deployment = server.get(&format!("/api/v1/deployments/{release}")).await.expect(200).json();
        assert_eq!(deployment["project_name"], name(number));
        assert!(deployment.to_string().contains(&format!(":v{number}\"")), "another's image in {deployment}");
    }
    assert_eq!(server.names().await.into_iter().collect::<HashSet<_>>().len(), COUNT);
}

#[tokio::test]
async fn a_different_post_for_the_same_server_waits_its_turn() {
    let server = Server::with(&[("EMBEDDED_READY_AFTER", "300ms")]);
    let (old, new) = (Body::of("twice", "main").with("tag", "v1"), Body::of("twice", "main").with("tag", "v2"));
    let second = async {
        server.operation_in("ready").await;
        server.deploy(&new).await
    };
    let (first, second) = tokio::join!(server.deploy(&old), second);
    assert_eq!(first.expect(200).json()["details"]["revision"], 1);
    assert_eq!(second.expect(200).json()["details"]["revision"], 2);
}

#[tokio::test]
async fn a_caller_who_hangs_up_cancels_nothing() {
    let server = Server::with(&[("EMBEDDED_READY_AFTER", "700ms")]);
    let request = server.request(Method::POST, "/api/v1/deployments").json(Body::of("left-alone", "main").json());
    let hung_up = request.timeout(Duration::from_millis(200)).send().await;
    assert!(hung_up.unwrap_err().is_timeout());
    let operation = eventually("the end of the operation", async || {
        server.operations().await.into_iter().find(|operation| operation["kind"] == "deploy" && operation["state"] != "running")
    });
    assert_eq!(operation.await["state"], "succeeded");
    assert_eq!(server.names().await, ["dbt-server-left-alone-main"]);
}

#[tokio::test]
async fn a_delete_stops_the_deploy_that_runs() {
    let server = Server::with(&[("EMBEDDED_READY_AFTER", "1h")]);
    let body = Body::of("unwanted", "main");
    let delete = async {
        let claims = async || server.get("/api/v1/deployments/dbt-server-unwanted-main").await.text.contains("\"Bound\"").then_some(());
        eventually("the server's claim", claims).await;
        server.delete("dbt-server-unwanted-main").await
    };
    let (deploy, delete) = tokio::join!(server.deploy(&body), delete);
    assert_eq!(deploy.expect(409).text_at("/details/code"), "cancelled");
    assert_eq!(delete.expect(200).json()["details"]["pvc_deleted"], json!(["dbt-server-unwanted-main-dbt-server-unwanted-main-0"]));
    server.get("/api/v1/deployments/dbt-server-unwanted-main").await.expect(404);
}

#[tokio::test]
async fn a_deploy_while_the_delete_runs_makes_the_server_anew() {
    let server = Server::start();
    let body = Body::of("phoenix", "main");
    server.deploy(&body).await.expect(200);
    let delete = server.request(Method::DELETE, "/api/v1/deployments/dbt-server-phoenix-main").header("Prefer", "respond-async");
    let delete = server.send(delete).await.expect(202).header("location").to_owned();
    let deploy = server.deploy(&body).await.expect(200);
    assert_eq!(deploy.json()["details"]["revision"], 1);
    assert_eq!(server.get(&delete).await.expect(200).json()["state"], "succeeded");
    assert_eq!(server.names().await, ["dbt-server-phoenix-main"]);
}
