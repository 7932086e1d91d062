//! `/api/v1/projects`.

use dbt_controller_adapters_memory::{Call, Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{RELEASE, TestApp, body};

const SECRET: &str = "https://bot:canary-4711@git.example.com/r.git";

#[tokio::test(start_paused = true)]
async fn projects_show_their_values_without_secrets() {
    let app = TestApp::new();
    app.deploy(
        &json!({ "project_name": "test-project", "git_branch": "main", "gitlink_secret": SECRET, "basic_auth_password": "canary-4711-pw" }),
    )
    .await
    .expect(200);
    let reply = app.get("/api/v1/projects").await;
    let list = reply.expect(200);
    assert!(!reply.text().contains("canary-4711"), "{list}");
    let project = &list.as_array().unwrap()[0];
    let fields: Vec<_> = project.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["can_delete", "chart", "dependencies", "last_deployed", "name", "namespace", "status", "values", "version"]);
    assert_eq!((&project["name"], &project["can_delete"]), (&json!(RELEASE), &json!(true)));
    assert!(project["values"]["manifests"].is_array(), "{project}");
    assert!(project["dependencies"].as_array().unwrap().contains(&json!("StatefulSet")));
}

#[tokio::test(start_paused = true)]
async fn all_releases_are_listed_and_only_deployments_can_be_deleted() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    crate::support::plant_other_release(&app.world, "postgres");
    let list = app.get("/api/v1/projects/all").await.expect(200);
    let seen: Vec<_> = list.as_array().unwrap().iter().map(|item| (item["name"].as_str().unwrap(), item["can_delete"] == true)).collect();
    assert_eq!(seen, [(RELEASE, true), ("postgres", false)]);
    assert!(list.as_array().unwrap().iter().all(|item| item.get("values").is_none()));
    assert_eq!(app.get("/api/v1/projects").await.expect(200).as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn existence_is_told_by_status_and_by_word() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    let answer = app.get(&format!("/api/v1/projects/{RELEASE}/exists")).await.expect(200);
    assert_eq!((&answer["exists"], &answer["name"], &answer["status"]), (&json!(true), &json!(RELEASE), &json!("deployed")));
    assert!(answer["dependencies"].as_array().is_some_and(|kinds| !kinds.is_empty()));

    let answer = app.get("/api/v1/projects/nobody/exists").await.expect_error(404, "not_found");
    assert_eq!((&answer["exists"], &answer["name"]), (&json!(false), &json!("nobody")));
    assert_eq!(answer["details"]["available_releases"], Value::from(vec![RELEASE]));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_hides_nothing_else() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    app.deploy(&json!({ "project_name": "other" })).await.expect(200);
    assert!(app.world.releases().break_record(&crate::support::key(), "it is no gzip"));
    let names = |list: Value| list.as_array().unwrap().iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(app.get("/api/v1/projects").await.expect(200)), ["dbt-server-other"]);
    assert_eq!(names(app.get("/api/v1/projects/all").await.expect(200)), ["dbt-server-other", RELEASE]);
}

#[tokio::test(start_paused = true)]
async fn values_that_cannot_be_asked_for_are_503() {
    let app = TestApp::new();
    app.deploy(&body()).await.expect(200);
    app.world.faults().plan(Fault::new(Call::InstallerGet, 1, FaultKind::Fail));
    app.get("/api/v1/projects").await.expect_error(503, "cluster_unavailable");
}
