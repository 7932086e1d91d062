//! The whole service with `HELM_ENGINE=command`.

use dbt_controller_tests::{HelmVersion, Namespace, Service};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{home, search_path};
use crate::support::site::{Site, admin, body, body_with, deploy, inventory, path, settings, until_nothing_is_left};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";

/// Status and description of each revision, oldest first.
async fn history(site: &Site, version: HelmVersion) -> Vec<(String, String)> {
    let text = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    site.helm(version).history(RELEASE).await.iter().map(|line| (text(line, "status"), text(line, "description"))).collect()
}

async fn lives(version: HelmVersion) {
    let tools = Namespace::create().await;
    let home = home(&tools, version);
    let search_path = search_path(&home);
    let variables = [("HELM_ENGINE", "command"), ("PATH", &search_path), ("HOME", home.path().to_str().unwrap())];
    let site = Site::open_with(&variables).await;
    assert!(site.service.logs().contains("releases are written by the helm program"), "{}", site.service.logs());
    let info = site.service.get("/info").await.expect(200).json();
    assert!(info.to_string().contains(r#""HELM_ENGINE":"command""#), "{info:#}");
    let before = inventory(&site.namespace).await;

    let first = site.deploy(&body_with(PROJECT, &json!({"https_enabled": true}))).await;
    assert_eq!((&first["release_name"], &first["revision"], &first["unchanged"]), (&json!(RELEASE), &json!(1), &json!(false)), "{first}");
    let pod = site.pod_uid(RELEASE).await;
    let equal = site.deploy(&body_with(PROJECT, &json!({"https_enabled": true}))).await;
    assert_eq!((&equal["revision"], &equal["unchanged"], &equal["warnings"]), (&json!(1), &json!(true), &first["warnings"]), "{equal}");
    assert_eq!(site.pod_uid(RELEASE).await, pod, "an equal POST restarted the server");

    let changed = site.deploy(&body_with(PROJECT, &json!({"tag": "2.0.0"}))).await;
    assert_eq!((&changed["revision"], &changed["unchanged"]), (&json!(2), &json!(false)), "{changed}");
    assert!(site.namespace.find("ingress", RELEASE).await.is_none(), "what the revision no longer has is still there");

    let failed = site.service.post("/api/v1/deployments", &body_with(PROJECT, &json!({"tag": "missing-1"}))).await.expect(500).json();
    assert_eq!((&failed["details"]["code"], &failed["details"]["undo"]), (&json!("image_pull_failed"), &json!("undone")), "{failed:#}");
    let shown = site.deployment(RELEASE).await;
    let state = (&shown["revision"], &shown["status"], &shown["server"]["phase"]);
    assert_eq!(state, (&json!(4), &json!("deployed"), &json!("ready")), "{shown:#}");
    assert!(shown["image"].as_str().unwrap().ends_with(":2.0.0"), "{shown:#}");
    // After Helm 4 there is nothing to mend: it writes what the native engine would.
    let has_mended = site.service.logs().contains("helm's fields are owned as the native engine's");
    assert_eq!(has_mended, version == HelmVersion::V3, "{}", site.service.logs());
    for version in HelmVersion::ALL {
        let told = history(&site, version).await;
        let statuses: Vec<_> = told.iter().map(|(status, _)| status.as_str()).collect();
        assert_eq!(statuses, ["superseded", "superseded", "failed", "deployed"], "{told:?}");
        let descriptions = [0, 1, 3].map(|at| told[at].1.as_str());
        assert_eq!(descriptions, ["Install complete", "Upgrade complete", "Rollback to 2"], "{told:?}");
    }

    let deleted = site.service.delete(&path(RELEASE)).await.expect(200).json();
    assert_eq!(deleted["details"]["pvc_deleted"], json!([format!("{RELEASE}-{RELEASE}-0")]), "{deleted:#}");
    until_nothing_is_left(&site.namespace, &before).await;
    assert_eq!(site.deploy(&body(PROJECT)).await["revision"], 1);
}

#[tokio::test]
async fn with_helm_3_a_deployment_lives_and_goes_without_a_trace() {
    lives(HelmVersion::V3).await;
}

#[tokio::test]
async fn with_helm_4_a_deployment_lives_and_goes_without_a_trace() {
    lives(HelmVersion::V4).await;
}

#[tokio::test]
async fn a_failed_first_post_leaves_nothing() {
    let tools = Namespace::create().await;
    let home = home(&tools, HelmVersion::V4);
    let search_path = search_path(&home);
    let site = Site::open_with(&[("HELM_ENGINE", "command"), ("PATH", &search_path)]).await;
    let before = inventory(&site.namespace).await;
    let failed = site.service.post("/api/v1/deployments", &body_with(PROJECT, &json!({"tag": "missing-1"}))).await.expect(500).json();
    assert_eq!((&failed["details"]["code"], &failed["details"]["undo"]), (&json!("image_pull_failed"), &json!("undone")), "{failed:#}");
    until_nothing_is_left(&site.namespace, &before).await;
}

#[tokio::test]
async fn a_service_without_a_helm_says_what_to_do() {
    let namespace = Namespace::create().await;
    let files = TempDir::new().unwrap();
    let kubeconfig = admin(&namespace, &files);
    let empty = files.path().to_str().unwrap();
    let mut service = Service::launch(&[], &settings(&namespace, &kubeconfig, &[("HELM_ENGINE", "command"), ("PATH", empty)]));
    assert_ne!(service.ended().await, Some(0));
    let told = "HELM_ENGINE is `command`: the program `helm` cannot be run";
    dbt_controller_tests::until("the logs tell why", async || service.logs().contains(told).then_some(())).await;
    assert!(service.logs().contains("or set HELM_ENGINE=native"), "{}", service.logs());
}

/// An operation that one engine has begun is finished or undone by the other: the records are the same.
#[tokio::test]
async fn the_engines_take_turns() {
    let namespace = Namespace::create().await;
    let files = TempDir::new().unwrap();
    let kubeconfig = admin(&namespace, &files);
    let home = home(&namespace, HelmVersion::V3);
    let search_path = search_path(&home);
    let by_helm: &[(&str, &str)] = &[("HELM_ENGINE", "command"), ("PATH", &search_path)];
    for (at, more) in [&[], by_helm, &[], by_helm].into_iter().enumerate() {
        let service = crate::support::site::serve(&namespace, &kubeconfig, more).await;
        let tag = json!({"tag": format!("{at}.0.0")});
        assert_eq!(deploy(&service, &body_with(PROJECT, &tag)).await["revision"], at + 1);
    }
    // What the first native POST makes of an equal request: nothing, although helm wrote the revision.
    let service = crate::support::site::serve(&namespace, &kubeconfig, &[]).await;
    let equal = deploy(&service, &body_with(PROJECT, &json!({"tag": "3.0.0"}))).await;
    assert_eq!((&equal["revision"], &equal["unchanged"]), (&json!(4), &json!(true)), "{equal}");
    assert!(!equal["warnings"].to_string().contains("mended"), "{equal}");
}
