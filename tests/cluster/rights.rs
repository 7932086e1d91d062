//! What the service's account may do, and what is told of what it may not do.

use std::collections::BTreeSet;

use dbt_controller_tests::replaced::install;
use dbt_controller_tests::{Account, HelmVersion, Namespace, Service, stateful_set, until};
use serde_json::{Value, json};

use crate::support::role;
use crate::support::site::{Site, body, body_with, deploy, inventory, path, serve, settings, until_nothing_is_left};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";

/// A service whose account has these rights; it need not get ready with them.
async fn launch(namespace: &Namespace, rules: Vec<Value>) -> (Service, Account, BTreeSet<String>) {
    let account = role::account(namespace, rules).await;
    let before = inventory(namespace).await;
    let service = Service::launch(&[], &settings(namespace, account.kubeconfig_file(), &[]));
    (service, account, before)
}

/// Waits until the logs of the start say that an essential right is missing, and what does not work without it.
async fn until_told(service: &Service, right: &str, without: &str) {
    let is_it = |line: &Value| {
        let told = line["right"].as_str().unwrap_or_default();
        line["level"] == "ERROR" && told.starts_with(right) && told.contains(without)
    };
    until(&format!("the logs say that `{right}` is missing"), async || logged(service).iter().any(is_it).then_some(())).await;
}

fn logged(service: &Service) -> Vec<Value> {
    service.logs().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn until_ready(service: &Service) {
    // Nobody listens at first.
    let ready = async || {
        let answer = service.request(reqwest::Method::GET, "/health/readiness").send().await.ok()?;
        answer.status().is_success().then_some(())
    };
    until("the service is ready", ready).await;
}

#[tokio::test]
async fn the_essential_rights_are_enough_for_a_whole_life() {
    let namespace = Namespace::create().await;
    let account = role::account(&namespace, role::essential(&namespace).await).await;
    let before = inventory(&namespace).await;
    let service = serve(&namespace, account.kubeconfig_file(), &[]).await;

    assert_eq!(deploy(&service, &body_with(PROJECT, &json!({"https_enabled": true}))).await["revision"], 1);
    assert_eq!(deploy(&service, &body_with(PROJECT, &json!({"https_enabled": true}))).await["unchanged"], true);
    // Without https the Ingress goes; the larger claim makes the StatefulSet anew.
    assert_eq!(deploy(&service, &body_with(PROJECT, &json!({"storage_size": "2Gi"}))).await["revision"], 2);
    for verb in ["suspend", "resume"] {
        drop(service.post(&format!("{}/{verb}", path(RELEASE)), &json!({})).await.expect(200));
    }
    // An undo: neither events nor logs can be read, and the answer says so.
    let failing = body_with(PROJECT, &json!({"storage_size": "2Gi", "tag": "missing-1"}));
    let failed = service.post("/api/v1/deployments", &failing).await.expect(500).json();
    assert_eq!((&failed["details"]["code"], &failed["details"]["undo"]), (&json!("image_pull_failed"), &json!("undone")), "{failed:#}");
    let gaps = failed["details"]["autopsy"]["gaps"].to_string();
    for missing in ["events", "log"] {
        assert!(gaps.contains(missing), "{gaps}");
    }
    assert_eq!(service.get(&path(RELEASE)).await.expect(200).json()["server"]["phase"], "ready");
    drop(service.delete(&path(RELEASE)).await.expect(200));
    until_nothing_is_left(&namespace, &before).await;

    // What can be left out is told once, as a warning; nothing else is said to be missing.
    let missing: Vec<_> = logged(&service).into_iter().filter(|line| line["right"].is_string()).collect();
    assert!(missing.iter().all(|line| line["level"] == "WARN"), "{missing:#?}");
    let told = |resource: &str| missing.iter().filter(|line| line["right"].as_str().unwrap().contains(&format!(" `{resource}"))).count();
    // Events are read in one group and written in another.
    assert_eq!(role::OPTIONAL.map(told), [2, 1, 3], "{missing:#?}");
}

#[tokio::test]
async fn without_the_right_to_patch_stateful_sets_a_deploy_is_undone_and_says_so() {
    let namespace = Namespace::create().await;
    let (service, _account, before) = launch(&namespace, role::essential_without(&namespace, "patch", "statefulsets").await).await;
    until_told(&service, "patch `statefulsets.apps`", "servers cannot be made").await;
    until_ready(&service).await;
    let failed = service.post("/api/v1/deployments", &body(PROJECT)).await.expect(500).json();
    assert_eq!((&failed["details"]["code"], &failed["details"]["undo"]), (&json!("cluster_forbidden"), &json!("undone")), "{failed:#}");
    assert!(failed["message"].as_str().unwrap().contains(r#"cannot patch resource "statefulsets""#), "{failed:#}");
    until_nothing_is_left(&namespace, &before).await;
}

#[tokio::test]
async fn without_the_right_to_make_secrets_a_deploy_does_not_begin_and_says_so() {
    let namespace = Namespace::create().await;
    let (service, _account, before) = launch(&namespace, role::essential_without(&namespace, "create", "secrets").await).await;
    until_told(&service, "create `secrets`", "releases and operations cannot be").await;
    until_ready(&service).await;
    let failed = service.post("/api/v1/deployments", &body(PROJECT)).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "cluster_forbidden", "{failed:#}");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains(r#"cannot create resource "secrets""#) && !message.contains("not known"), "{failed:#}");
    until_nothing_is_left(&namespace, &before).await;
}

#[tokio::test]
async fn without_the_right_to_delete_claims_a_delete_names_the_claim_that_is_left() {
    let namespace = Namespace::create().await;
    let (service, account, before) =
        launch(&namespace, role::essential_without(&namespace, "delete", "persistentvolumeclaims").await).await;
    until_told(&service, "delete `persistentvolumeclaims`", "can neither be grown nor removed").await;
    until_ready(&service).await;
    drop(deploy(&service, &body(PROJECT)).await);
    let claim = format!("{RELEASE}-{RELEASE}-0");
    let failed = service.delete(&path(RELEASE)).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "claims_not_deleted", "{failed:#}");
    assert!(failed["message"].as_str().unwrap().contains(&claim), "{failed:#}");
    assert!(inventory(&namespace).await.contains(&format!("PersistentVolumeClaim/{claim}")));
    // Given the right, the same call ends what was begun.
    account.allow(&namespace, &namespace, &Value::Array(role::essential(&namespace).await)).await;
    let deleted = async || (service.delete(&path(RELEASE)).await.status == 200).then_some(());
    until("the right is in force", deleted).await;
    until_nothing_is_left(&namespace, &before).await;
}

#[tokio::test]
async fn without_the_right_to_see_pods_the_service_is_not_ready_and_says_so() {
    let namespace = Namespace::create().await;
    let (service, _account, before) = launch(&namespace, role::essential_without(&namespace, "list", "pods").await).await;
    until_told(&service, "list `pods`", "nothing is known of the servers' state").await;
    let readiness = service.get("/health/readiness").await.expect(503).json();
    let reason = readiness["checks"]["cluster"].as_str().unwrap();
    assert!(reason.contains(r#"cannot list resource "pods""#), "{readiness:#}");
    let failed = service.post("/api/v1/deployments", &body(PROJECT)).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "cluster_forbidden", "{failed:#}");
    for text in [reason, failed["message"].as_str().unwrap()] {
        assert!(!text.contains("Status {"), "the words of a program, not of a person: {text}");
    }
    until_nothing_is_left(&namespace, &before).await;
}

#[tokio::test]
async fn a_namespace_with_no_rights_at_all_is_told_and_does_not_stop_the_others() {
    let [home, other] = [Namespace::create().await, Namespace::create().await];
    let account = role::account(&home, role::essential(&home).await).await;
    let service = serve(&home, account.kubeconfig_file(), &[("ALLOWED_NAMESPACES", other.name())]).await;
    drop(deploy(&service, &body(PROJECT)).await);
    let elsewhere = body_with("elsewhere", &json!({"namespace": other.name()}));
    let failed = service.post("/api/v1/deployments", &elsewhere).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "cluster_forbidden", "{failed:#}");
    assert!(failed["message"].as_str().unwrap().contains(other.name()), "{failed:#}");
    let listed = service.get("/api/v1/deployments").await.expect(200).json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &json!(RELEASE)), "{listed:#}");
}

#[tokio::test]
async fn a_release_whose_objects_may_not_all_be_read_is_left_whole() {
    let site = Site::open().await;
    let helm = site.helm(HelmVersion::V4);
    let mut set = stateful_set("others", "1.0.0");
    for labelled in ["/metadata", "/spec/template/metadata", "/spec/selector"] {
        let labels = if labelled == "/spec/selector" { "matchLabels" } else { "labels" };
        set.pointer_mut(labelled).unwrap()[labels] = json!({"app": "fastbi-dbt-project-runner"});
    }
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "others"},
        "spec": {"podSelector": {}},
    });
    install(&helm, "others", &json!([set, policy])).await;
    let is_listed = async || (site.service.get(&path("others")).await.status == 200).then_some(());
    until("the release is seen", is_listed).await;

    let failed = site.service.delete(&path("others")).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "cluster_forbidden", "{failed:#}");
    assert!(failed["message"].as_str().unwrap().contains(r#"cannot get resource "networkpolicies""#), "{failed:#}");
    assert_eq!(helm.status("others").await["info"]["status"], "deployed");
    let left = inventory(&site.namespace).await;
    assert!(left.contains("StatefulSet/others"), "{left:?}");
}
