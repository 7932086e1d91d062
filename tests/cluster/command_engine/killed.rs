//! A service that is killed while helm works, and what its account must be allowed.

use std::time::Duration;

use dbt_controller_tests::{HelmVersion, Namespace, Service, until};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{home, search_path};
use crate::support::role;
use crate::support::site::{admin, body, body_with, deploy, inventory, path, serve, until_nothing_is_left};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";

/// Waits for the end of an operation.
async fn ended(service: &Service, operation: &str) -> Value {
    until("the operation has ended", async || {
        let shown = service.get(operation).await.json();
        ["succeeded", "failed"].iter().any(|state| shown["state"] == *state).then_some(shown)
    })
    .await
}

async fn killed_after(moment: Duration, version: HelmVersion) {
    let namespace = Namespace::create().await;
    let files = TempDir::new().unwrap();
    let kubeconfig = admin(&namespace, &files);
    let home = home(&namespace, version);
    let search_path = search_path(&home);
    let by_helm = [("HELM_ENGINE", "command"), ("PATH", search_path.as_str()), ("LOCK_STALE_AFTER", "6s")];
    let first = serve(&namespace, &kubeconfig, &by_helm).await;
    assert_eq!(deploy(&first, &body(PROJECT)).await["revision"], 1);

    let changed = body_with(PROJECT, &json!({"tag": "2.0.0"}));
    let post = first.request(Method::POST, "/api/v1/deployments").header("Prefer", "respond-async").json(&changed);
    let accepted = dbt_controller_tests::Answer::to(post).await.expect(202);
    let operation = accepted.headers["location"].to_str().unwrap().to_owned();
    sleep(moment).await;
    first.signal(rustix::process::Signal::KILL);
    drop(first);

    let second = serve(&namespace, &kubeconfig, &by_helm).await;
    let told = ended(&second, &operation).await;
    let case = format!("killed after {moment:?} with {version:?}: {told:#}");
    let shown = second.get(&path(RELEASE)).await.expect(200).json();
    assert_eq!((&shown["status"], &shown["server"]["phase"]), (&json!("deployed"), &json!("ready")), "{case}");
    let is_new = shown["image"].as_str().unwrap().ends_with(":2.0.0");
    assert_eq!(is_new, told["state"] == "succeeded", "{case}");
    assert!(!told.to_string().contains("rollback_failed"), "{case}");
    let history = dbt_controller_tests::Helm::new(version, &namespace).history(RELEASE).await;
    let in_force: Vec<_> = history.iter().filter(|line| line["status"] == "deployed").map(|line| &line["revision"]).collect();
    assert_eq!(in_force, [&shown["revision"]], "{case}\n{history:?}");
    let next = deploy(&second, &body_with(PROJECT, &json!({"tag": "3.0.0"}))).await;
    assert_eq!(next["unchanged"], false, "{case}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_is_finished_or_undone_when_its_service_is_killed() {
    let moments = [100, 250, 400, 600, 900, 1_300].into_iter().map(Duration::from_millis);
    for (at, moment) in moments.enumerate() {
        killed_after(moment, HelmVersion::ALL[at % 2]).await;
    }
}

#[tokio::test]
async fn helm_needs_no_more_rights_than_the_native_engine() {
    for version in HelmVersion::ALL {
        let namespace = Namespace::create().await;
        let account = role::account(&namespace, role::essential(&namespace).await).await;
        let before = inventory(&namespace).await;
        let home = home(&namespace, version);
        let search_path = search_path(&home);
        let service = serve(&namespace, account.kubeconfig_file(), &[("HELM_ENGINE", "command"), ("PATH", &search_path)]).await;
        assert_eq!(deploy(&service, &body_with(PROJECT, &json!({"https_enabled": true}))).await["revision"], 1);
        assert_eq!(deploy(&service, &body_with(PROJECT, &json!({"storage_size": "2Gi"}))).await["revision"], 2);
        let failing = body_with(PROJECT, &json!({"storage_size": "3Gi", "tag": "missing-1"}));
        let failed = service.post("/api/v1/deployments", &failing).await.expect(500).json();
        assert_eq!((&failed["details"]["code"], &failed["details"]["undo"]), (&json!("image_pull_failed"), &json!("undone")), "{failed:#}");
        assert_eq!(service.get(&path(RELEASE)).await.expect(200).json()["server"]["phase"], "ready");
        drop(service.delete(&path(RELEASE)).await.expect(200));
        until_nothing_is_left(&namespace, &before).await;
    }
}
