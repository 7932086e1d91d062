//! What a caller is told when it did not work, and what is left then.

use std::time::Duration;

use actix_web::http::Method;
use dbt_controller_adapters_memory::{AirflowLink, ClusterLink};
use dbt_controller_domain::model::Warehouse;
use serde_json::json;

use crate::support::{RELEASE, TestApp, body, request};

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_leaves_nothing_and_an_autopsy() {
    let app = TestApp::new();
    let reply = app.deploy(&json!({ "project_name": "test-project", "git_branch": "main", "tag": "missing-1" })).await;
    let answer = reply.expect_error(500, "image_pull_failed");
    let details = &answer["details"];
    assert_eq!((&details["phase"], &details["undo"]), (&json!("ready"), &json!("undone")));
    assert!(details["autopsy"]["containers"].as_array().is_some_and(|containers| !containers.is_empty()), "{details}");
    assert_eq!(app.world.leftovers(), Vec::<String>::new());
    assert_eq!(app.world.airflow().count(), 0);

    // It stays readable on the operation.
    let id = details["operation_id"].as_str().unwrap();
    let operation = app.get(&format!("/api/v1/operations/{id}")).await.expect(200);
    assert_eq!(operation["state"], "failed");
    let outcome = &operation["outcome"];
    assert_eq!(outcome["status"], "error");
    assert_eq!(outcome["code"], "image_pull_failed");
    assert_eq!(outcome["message"], answer["message"]);
    assert_eq!(outcome["undo"], "undone");
    assert_eq!(outcome["autopsy"], details["autopsy"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_is_told_apart() {
    let app = TestApp::new();
    app.deploy(&json!({ "project_name": "p", "tag": "crash" })).await.expect_error(500, "crash_loop");
    assert_eq!(app.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_needs_too_long_is_a_timeout() {
    let app = TestApp::with(|_| {}, |settings| settings.deploy_timeout = Duration::from_millis(500));
    app.deploy(&body()).await.expect_error(504, "deploy_timeout");
    assert_eq!(app.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_missing_warehouse_secret_is_named() {
    let app = TestApp::new();
    app.world.servers().remove_warehouse_secret(&"dbt-server".parse().unwrap(), Warehouse::Snowflake);
    let reply = app.deploy(&json!({ "project_name": "p", "data_warehouse_platform": "snowflake" })).await;
    let answer = reply.expect_error(500, "warehouse_secret_missing");
    assert!(answer["message"].as_str().unwrap().contains("data-warehouse-snowflake-secrets"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_is_down_is_503() {
    let app = TestApp::new();
    app.world.set_airflow_link(AirflowLink::Down);
    let reply = app.deploy(&body()).await;
    reply.expect_error(503, "airflow_unavailable");
    assert!(reply.header("retry-after").is_some());
    assert_eq!(app.world.leftovers(), Vec::<String>::new());

    app.world.set_cluster_link(ClusterLink::NeverSynced);
    for path in ["/api/v1/deployments", "/api/v1/projects", "/api/v1/projects/all", "/api/v1/deployments/x", "/api/v1/projects/x/exists"] {
        let reply = app.get(path).await;
        reply.expect_error(503, "cluster_unavailable");
        assert!(reply.header("retry-after").is_some(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn airflow_down_at_a_delete_is_told_and_paid_later() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    app.world.set_airflow_link(AirflowLink::Down);
    let answer = app.call(Method::DELETE, &format!("/api/v1/deployments/{RELEASE}")).await.expect(200);
    let connection = &answer["details"]["airflow_connection"];
    assert_eq!((&connection["id"], &connection["status"]), (&json!("test_project_main"), &json!("error")));
    assert!(connection["error"].is_string());
    let operations = app.get("/api/v1/operations").await.expect(200);
    let debts: Vec<_> = operations.as_array().unwrap().iter().flat_map(|operation| operation["debts"].as_array().unwrap()).collect();
    assert_eq!(debts, [&json!({ "kind": "airflow_connection", "name": "test_project_main" })]);
}

#[tokio::test(start_paused = true)]
async fn a_delete_cancels_a_running_deploy() {
    let app = TestApp::new();
    let (body, path) = (body(), format!("/api/v1/deployments/{RELEASE}"));
    let deploy = app.deploy(&body);
    let delete = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        app.call(Method::DELETE, &path).await
    };
    let (deploy, delete) = tokio::join!(deploy, delete);
    deploy.expect_error(409, "cancelled");
    delete.expect(200);
    assert_eq!(app.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stops_says_so_with_the_operation() {
    let app = TestApp::new();
    let body = body();
    let deploy = app.deploy(&body);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        app.controller.shut_down(Duration::ZERO).await;
    };
    let (deploy, ()) = tokio::join!(deploy, stop);
    let answer = deploy.expect_error(503, "shutting_down");
    assert!(answer["details"]["operation_id"].is_string(), "{answer}");

    app.deploy(&body).await.expect_error(503, "shutting_down");
    app.get("/health/liveness").await.expect(200);
    for (path, status) in [("/health/readiness", "not_ready"), ("/health/startup", "not_started")] {
        let answer = app.get(path).await.expect(503);
        assert_eq!((&answer["status"], &answer["details"]["code"]), (&json!(status), &json!("not_ready")));
        assert_eq!(answer["checks"], json!({ "cluster": "ok", "releases": "ok", "operations": "ok", "service": "is stopping" }));
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_operations_are_429_with_a_time() {
    let app = TestApp::with(
        |_| {},
        |settings| {
            settings.max_concurrent = 1;
            settings.max_queued = 1;
        },
    );
    let mut refused = 0;
    for project in ["a", "b", "c", "d", "e"] {
        let reply = app.deploy_async(&json!({ "project_name": project })).await;
        if reply.status == 429 {
            reply.expect_error(429, "too_many_operations");
            assert!(reply.header("retry-after").is_some());
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_valid_is_told_field_by_field_and_not_echoed() {
    let app = TestApp::new();
    let canary = "canary-4711";
    let body = json!({ "project_name": "", "cpu_limit": canary, "worker_num": 99, "gitlink_secret": [canary] });
    let reply = app.deploy(&body).await;
    let answer = reply.expect_error(422, "validation_failed");
    let fields: Vec<_> = answer["details"]["validation_errors"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["cpu_limit", "gitlink_secret", "project_name", "worker_num"]);
    assert!(!reply.text().contains(canary));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_json_is_400_and_another_media_type_415() {
    let app = TestApp::new();
    let post = || request(Method::POST, "/api/v1/deployments");
    for bad in ["", "{", "[]", "null", "{\"a\":1,\"a\":2}", "{\"project_name\":\"\u{7f}\"} x"] {
        app.send(post().insert_header(("Content-Type", "application/json")).set_payload(bad)).await.expect_error(400, "malformed_body");
    }
    app.send(post().set_payload(&b"{\"project_name\":\"\xff\"}"[..])).await.expect_error(400, "malformed_body");

    let good = body().to_string();
    for media in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/xml", "x", "application/jsonx"]
    {
        let reply = app.send(post().insert_header(("Content-Type", media)).set_payload(good.clone())).await;
        reply.expect_error(415, "unsupported_media_type");
    }
    let gzip = post().insert_header(("Content-Type", "application/json")).insert_header(("Content-Encoding", "gzip"));
    app.send(gzip.set_payload(good.clone())).await.expect_error(415, "unsupported_media_type");
    for media in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
        app.send(post().insert_header(("Content-Type", media)).set_payload(good.clone())).await.expect(200);
    }
    app.send(post().set_payload(good)).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_one_mebibyte_is_413() {
    let app = TestApp::new();
    let post = |length: usize| {
        let body = json!({ "project_name": "p", "x": "" }).to_string();
        let padding = " ".repeat(length - body.len());
        request(Method::POST, "/api/v1/deployments").set_payload(body + &padding)
    };
    app.send(post((1 << 20) + 1)).await.expect_error(413, "body_too_large");
    app.send(post(1 << 20)).await.expect(200);
    let announced = request(Method::POST, "/api/v1/deployments").insert_header(("Content-Length", "1048577"));
    app.send(announced).await.expect_error(413, "body_too_large");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_validation_touches_no_port() {
    let app = TestApp::new();
    let before = app.world.calls().all();
    let bad = [
        json!({}),
        json!({ "project_name": "" }),
        json!({ "project_name": 7 }),
        json!({ "project_name": "p", "namespace": "elsewhere" }),
        json!({ "project_name": "p", "memory_limit": "2Gb" }),
        json!({ "project_name": "p", "cpu_request": "2", "cpu_limit": "1" }),
        json!({ "project_name": "p", "domain": "no domain" }),
        json!({ "project_name": "p", "environment": "staging" }),
        json!({ "project_name": "p", "worker_num": 21 }),
        json!({ "project_name": "p", "basic_auth_password": "\u{1F600}".repeat(20) }),
    ];
    for body in &bad {
        app.deploy(body).await.expect_error(422, "validation_failed");
    }
    app.get("/api/v1/deployments?limit=0").await.expect_error(422, "validation_failed");
    app.call(Method::DELETE, "/api/v1/deployments/p?namespace=A").await.expect_error(422, "validation_failed");
    app.call(Method::POST, "/api/v1/deployments/p/suspend?force=perhaps").await.expect_error(422, "validation_failed");
    assert_eq!(app.world.calls().all(), before);
}
