//! Real Helm.

use std::fs;

use dbt_controller_tests::{Helm, HelmVersion, Namespace};
use serde_json::json;
use tempfile::TempDir;

/// A chart of one ConfigMap.
fn chart() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("templates")).unwrap();
    fs::write(folder.path().join("Chart.yaml"), "apiVersion: v2\nname: tiny\nversion: 0.1.0\n").unwrap();
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  word: {{ .Values.word | quote }}\n";
    fs::write(folder.path().join("templates/map.yaml"), map).unwrap();
    folder
}

async fn installs_lists_and_uninstalls(version: HelmVersion) {
    let namespace = Namespace::create().await;
    let (helm, chart) = (Helm::new(version, &namespace), chart());
    let path = chart.path().to_str().unwrap();
    helm.run(&["install", "little", path, "--set", "word=first"]).await;
    helm.run(&["upgrade", "little", path, "--set", "word=second"]).await;
    assert_eq!(namespace.get("configmap", "little").await["data"]["word"], "second");

    let list = helm.list().await;
    assert_eq!(list.len(), 1, "{list:?}");
    assert_eq!((&list[0]["name"], &list[0]["status"]), (&json!("little"), &json!("deployed")));
    assert_eq!(helm.status("little").await["info"]["status"], "deployed");
    let statuses: Vec<_> = helm.history("little").await.into_iter().map(|revision| revision["status"].clone()).collect();
    assert_eq!(statuses, ["superseded", "deployed"]);
    assert_eq!(helm.values("little").await, json!({"word": "second"}));
    assert!(helm.manifest("little").await.contains("# Source: tiny/templates/map.yaml"));

    helm.run(&["uninstall", "little", "--wait"]).await;
    assert_eq!(helm.list().await.len(), 0);
    assert_eq!(namespace.find("configmap", "little").await, None);
    let refusal = helm.try_run(&["status", "little"]).await.unwrap_err();
    assert!(refusal.message.contains("not found"), "{refusal:?}");
}

#[tokio::test]
async fn helm_3_installs_lists_and_uninstalls() {
    installs_lists_and_uninstalls(HelmVersion::V3).await;
}

#[tokio::test]
async fn helm_4_installs_lists_and_uninstalls() {
    installs_lists_and_uninstalls(HelmVersion::V4).await;
}

#[tokio::test]
async fn the_programs_are_the_versions_that_they_are_called() {
    let namespace = Namespace::create().await;
    for (version, beginning) in HelmVersion::ALL.into_iter().zip(["v3.", "v4."]) {
        let shown = Helm::new(version, &namespace).run(&["version", "--short"]).await;
        assert!(shown.starts_with(beginning), "{shown}");
    }
}
