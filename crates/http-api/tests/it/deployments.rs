//! Deploy, read, delete, suspend, resume.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::{RELEASE, TestApp, body, body_of, key, request};

/// Words that pipelines look for in the log of a step that went well.
#[track_caller]
fn check_words(body: &Value) {
    let warnings = body["details"]["warnings"].as_array().cloned().unwrap_or_default();
    for text in warnings.iter().chain([&body["message"]]) {
        let text = text.as_str().unwrap().to_lowercase();
        assert!(!["fail", "error", "forbidden", "denied"].iter().any(|word| text.contains(word)), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_made_read_and_deleted_without_a_trace() {
    let app = TestApp::new();
    let answer = app.deploy(&body()).await.expect(200);
    check_words(&answer);
    insta::assert_json_snapshot!(answer);

    let deployment = app.get(&format!("/api/v1/deployments/{RELEASE}")).await.expect(200);
    insta::assert_json_snapshot!(deployment);

    let list = app.get("/api/v1/deployments").await.expect(200);
    insta::assert_json_snapshot!(list);

    // The pipeline sends a content type and no body.
    let delete = request(Method::DELETE, &format!("/api/v1/deployments/{RELEASE}")).insert_header(("Content-Type", "application/json"));
    let answer = app.send(delete).await.expect(200);
    check_words(&answer);
    insta::assert_json_snapshot!(answer);
    assert_eq!(app.world.leftovers(), Vec::<String>::new());

    // A second delete finds nothing, which pipelines take for success by these words.
    let answer = app.call(Method::DELETE, &format!("/api/v1/deployments/{RELEASE}")).await.expect_error(404, "not_found");
    assert_eq!(answer["message"], format!("Deployment {RELEASE} not found in namespace dbt-server"));
    assert_eq!(answer["details"]["pvc_deleted"], json!([]));
    assert_eq!(answer["details"]["available_releases"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_missing_deployment_names_those_there_are() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    for (method, path) in [(Method::GET, ""), (Method::DELETE, ""), (Method::POST, "/suspend"), (Method::POST, "/resume")] {
        let reply = app.call(method, &format!("/api/v1/deployments/dbt-server-nobody{path}?namespace=data")).await;
        let answer = reply.expect_error(404, "not_found");
        assert_eq!(answer["message"], "Deployment dbt-server-nobody not found in namespace data");
        assert_eq!(answer["details"]["available_releases"], json!([RELEASE]));
    }
}

#[tokio::test(start_paused = true)]
async fn an_equal_post_changes_nothing_and_warnings_come_along() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    let answer = app.deploy(&json!({ "project_name": "test-project", "git_branch": "main", "no_such_field": 1 })).await.expect(200);
    check_words(&answer);
    assert_eq!(answer["details"]["unchanged"], true);
    assert_eq!(answer["details"]["revision"], 1);
    assert_eq!(answer["details"]["warnings"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["details"]["airflow_connection"]["status"], "updated");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_part_of_the_question() {
    let app = TestApp::new();
    app.deploy(&json!({ "project_name": "test-project", "git_branch": "main", "namespace": "data" })).await.expect(200);
    app.get(&format!("/api/v1/deployments/{RELEASE}?namespace=dbt-server")).await.expect_error(404, "not_found");
    let found = app.get(&format!("/api/v1/deployments/{RELEASE}?namespace=data")).await.expect(200);
    assert_eq!(found["namespace"], "data");
    // The short name is the same deployment.
    assert_eq!(app.get("/api/v1/deployments/test-project-main").await.expect(200)["name"], RELEASE);
    let answer = app.get(&format!("/api/v1/deployments/{RELEASE}?namespace=Not_One")).await.expect_error(422, "validation_failed");
    assert!(answer["details"]["validation_errors"]["namespace"][0].is_string());
    app.deploy(&body()).await.expect_error(409, "deployed_elsewhere");
    app.call(Method::DELETE, &format!("/api/v1/deployments/{RELEASE}?namespace=data")).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn a_server_is_put_to_sleep_and_woken_up() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    let path = format!("/api/v1/deployments/{RELEASE}");
    let answer = app.call(Method::POST, &format!("{path}/suspend")).await.expect(200);
    check_words(&answer);
    assert_eq!(answer["message"], format!("Deployment {RELEASE} suspended successfully"));
    assert_eq!(app.get(&path).await.expect(200)["server"]["phase"], "sleeping");
    assert_eq!(app.world.servers().pods(), 0);

    let answer = app.call(Method::POST, &format!("{path}/resume")).await.expect(200);
    check_words(&answer);
    assert_eq!(app.get(&path).await.expect(200)["server"]["phase"], "ready");
}

#[tokio::test(start_paused = true)]
async fn an_unpaused_dag_keeps_its_server_awake_unless_forced() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    app.world.airflow().set_dag(&key().name, "daily", false);
    let path = format!("/api/v1/deployments/{RELEASE}");
    app.call(Method::POST, &format!("{path}/suspend")).await.expect_error(409, "dags_active");
    app.call(Method::POST, &format!("{path}/suspend?force=false")).await.expect_error(409, "dags_active");
    for bad in ["1", "", "TRUE", "yes"] {
        let answer = app.call(Method::POST, &format!("{path}/suspend?force={bad}")).await.expect_error(422, "validation_failed");
        assert_eq!(answer["details"]["validation_errors"]["force"], json!(["must be `true` or `false`"]));
    }
    app.call(Method::POST, &format!("{path}/suspend?force=true")).await.expect(200);
    let deployment = app.get(&path).await.expect(200);
    assert_eq!(deployment["dags"], json!([{ "id": "daily", "paused": false }]));
    assert!(deployment["dags_age_seconds"].is_u64() && deployment["dags_read_at"].is_string(), "{deployment}");
}

#[tokio::test(start_paused = true)]
async fn names_are_told_before_and_after() {
    let app = TestApp::new();
    let answer = app.get("/api/v1/names?project_name=test-project&git_branch=main").await.expect(200);
    insta::assert_json_snapshot!(answer);
    app.deploy(&json!({ "project_name": "test_project", "git_branch": "main" })).await.expect(200);
    let answer = app.get("/api/v1/names?project_name=test-project&git_branch=main").await.expect(200);
    assert_eq!(answer["release_name"], "dbt-server-test-project-main-7679bf0a");
    assert!(answer["candidates"][0]["held_by"].as_str().is_some_and(|holder| holder.contains("test_project")), "{answer}");

    let answer = app.get("/api/v1/names").await.expect_error(422, "validation_failed");
    assert_eq!(answer["details"]["validation_errors"], json!({ "project_name": ["is required"] }));
    app.get("/api/v1/names?project_name=&git_branch=x").await.expect_error(422, "validation_failed");
    assert_eq!(app.get("/api/v1/names?project_name=a&git_branch=").await.expect(200)["git_branch"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn two_posts_at_once_deploy_their_own_servers() {
    let app = TestApp::new();
    let (first, second) = (body_of("first"), body_of("second"));
    let (first, second) = tokio::join!(app.deploy(&first), app.deploy(&second));
    assert_eq!(first.expect(200)["details"]["release_name"], "dbt-server-first-main");
    assert_eq!(second.expect(200)["details"]["release_name"], "dbt-server-second-main");
    assert_eq!(app.world.releases().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_airflow_answers_say_so() {
    let app = TestApp::without_airflow();
    let path = format!("/api/v1/deployments/{RELEASE}");
    let deployed = app.deploy(&body()).await.expect(200);
    assert_eq!(deployed["details"]["airflow_connection"], json!({ "id": null, "host": null, "status": "not_configured" }));
    let deployment = app.get(&path).await.expect(200);
    assert_eq!((&deployment["airflow_connection"], &deployment["dags"]), (&Value::Null, &Value::Null));
    let deleted = app.call(Method::DELETE, &path).await.expect(200);
    assert_eq!(deleted["details"]["airflow_connection"]["status"], "not_configured");
    assert_eq!(app.world.leftovers(), Vec::<String>::new());
}
