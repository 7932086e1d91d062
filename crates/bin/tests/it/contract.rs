//! What pipelines send and read, word for word.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::harness::{Answer, Body, Server};

/// What the deploy step sends: texts throughout, both names of the warehouse, and fields that nobody knows any more.
fn deploy_step_body() -> Value {
    json!({
        "customer": "acme",
        "domain": "data.example.com",
        "namespace": "dbt-server",
        "environment": "prod",
        "project_name": "sales",
        "git_branch": "main",
        "tag": "v2.1.0",
        "https_enabled": "true",
        "data_warehouse_platform": "bigquery",
        "datawarehouse_type": "bigquery",
        "dbt_repo_name": "team/sales",
        "gitlink_secret": "https://bot:CANARY-git-password@git.example.com/team/sales.git",
        "gitlink_deploy_key": "EMPTY",
        "secret_dbt_package_repo_token": "CANARY-package-token",
        "secret_package_repo_token_name": "DBT_PACKAGE_TOKEN",
        "worker_num": "10",
        "max_requests": 35,
        "celery_log_level": "ERROR",
        "cicd_env_key": "ENV",
        "cicd_env_value": "prod",
        "app_version": "1.0.0",
        "pipeline_id": 4711,
    })
}

async fn deploy_step(server: &Server) -> Answer {
    let request = server.request(Method::POST, "/api/v1/deployments").header(CONTENT_TYPE, "application/json");
    server.send(request.body(deploy_step_body().to_string())).await
}

/// With a content type and without a body.
async fn delete_step(server: &Server, release: &str) -> Answer {
    let request = server.request(Method::DELETE, &format!("/api/v1/deployments/{release}"));
    server.send(request.header(CONTENT_TYPE, "application/json")).await
}

/// The log of a pipeline is searched for these words, and a success may not look like a failure there.
fn assert_reads_as_success(answer: &Answer) {
    let body = answer.json();
    for text in [&body["message"], &body["details"]["warnings"]] {
        let text = text.to_string().to_lowercase();
        for word in ["fail", "error", "forbidden", "denied"] {
            assert!(!text.contains(word), "`{word}` in {text}");
        }
    }
}

#[tokio::test]
async fn before_all_else_the_pipeline_asks_whether_anybody_is_there() {
    let server = Server::start();
    let answer = server.send(server.anonymous(Method::HEAD, "/")).await;
    assert!(answer.status < 500, "{}", answer.status);
}

#[tokio::test]
async fn the_deploy_step_gets_its_release_and_connection() {
    let server = Server::start();
    let answer = deploy_step(&server).await.expect(200);
    assert_reads_as_success(&answer);
    let mut body = answer.json();
    let operation = body["details"].as_object_mut().unwrap().remove("operation_id");
    assert!(operation.is_some_and(|operation| operation.is_string()));
    let warnings = body["details"].as_object_mut().unwrap().remove("warnings").unwrap();
    assert!(warnings.to_string().contains("pipeline_id"), "{warnings}");
    let expected = json!({
        "status": "success",
        "message": "Deployment dbt-server-sales-main created/updated successfully",
        "details": {
            "release_name": "dbt-server-sales-main",
            "namespace": "dbt-server",
            "host": "dbt-server-sales-main.acme.data.example.com",
            "status": "deployed",
            "revision": 1,
            "unchanged": false,
            "airflow_connection": {
                "id": "sales_main",
                "host": "https://dbt-server-sales-main.acme.data.example.com/invocations",
                "status": "created",
            },
        },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_repeated_deploy_step_changes_nothing() {
    let server = Server::start();
    deploy_step(&server).await.expect(200);
    let again = deploy_step(&server).await.expect(200);
    assert_reads_as_success(&again);
    let details = &again.json()["details"];
    assert_eq!((&details["revision"], &details["unchanged"]), (&json!(1), &json!(true)));
    assert_eq!(details["airflow_connection"]["status"], "updated");
}

#[tokio::test]
async fn the_delete_step_gets_what_was_deleted() {
    let server = Server::start();
    deploy_step(&server).await.expect(200);
    let answer = delete_step(&server, "dbt-server-sales-main").await.expect(200);
    let mut body = answer.json();
    assert!(body["details"].as_object_mut().unwrap().remove("operation_id").is_some());
    let expected = json!({
        "status": "success",
        "message": "Deployment dbt-server-sales-main and associated resources deleted successfully",
        "details": {
            "release_name": "dbt-server-sales-main",
            "namespace": "dbt-server",
            "pvc_deleted": ["dbt-server-sales-main-dbt-server-sales-main-0"],
            "airflow_connection": {"id": "sales_main", "status": "deleted", "error": null},
        },
    });
    assert_eq!(body, expected);
    assert!(server.names().await.is_empty());
}

#[tokio::test]
async fn a_delete_step_that_comes_too_late_is_told_not_found() {
    let server = Server::start();
    server.deploy(&Body::of("other", "main")).await.expect(200);
    let body = delete_step(&server, "dbt-server-sales-main").await.expect(404).json();
    assert_eq!(body["status"], "error");
    assert_eq!(body["message"], "Deployment dbt-server-sales-main not found in namespace dbt-server");
    assert_eq!(body["details"]["pvc_deleted"], json!([]));
    assert_eq!(body["details"]["available_releases"], json!(["dbt-server-other-main"]));
}

/// The three calls that the README quotes, with its key.
#[tokio::test]
async fn the_calls_of_the_readme_work_as_they_stand() {
    const KEY: &str = "your-secret-key";
    let server = Server::with(&[("SECRET_KEY", KEY)]);
    let list = server.send(server.anonymous(Method::GET, "/api/v1/deployments")).await.expect(401);
    assert_eq!(list.text_at("/status"), "error");
    assert!(list.header("content-type").starts_with("application/json"));

    let post = server.anonymous(Method::POST, "/api/v1/deployments").header(CONTENT_TYPE, "application/json").bearer_auth(KEY);
    let post = server.send(post.body(r#"{"project_name": "test-project", "git_branch": "main"}"#)).await.expect(200);
    assert_eq!(post.text_at("/details/airflow_connection/id"), "test_project_main");

    let delete = server.anonymous(Method::DELETE, "/api/v1/deployments/dbt-server-test-project-main").bearer_auth(KEY);
    server.send(delete).await.expect(200);
}

#[tokio::test]
async fn every_wrong_field_is_named_and_no_value_comes_back() {
    let server = Server::start();
    let body = Body::of("", "main").with("tag", "CANARY/").with("worker_num", 21).with("cpu_limit", "CANARY").with("namespace", "CANARY");
    let answer = server.deploy(&body).await.expect(422).json();
    let errors = answer["details"]["validation_errors"].as_object().unwrap();
    for field in ["project_name", "tag", "worker_num", "cpu_limit", "namespace"] {
        assert!(errors[field][0].is_string(), "{field} in {errors:?}");
    }
}
