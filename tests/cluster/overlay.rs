//! Fields of a StatefulSet that cannot be changed: an overlay over them comes and goes between two runs of the service.

use dbt_controller_tests::{HelmVersion, Namespace, as_new};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_engine::{home, search_path};
use crate::support::role;
use crate::support::site::{Site, body, body_with, deploy, inventory, path, serve, until_nothing_is_left};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";

/// An overlay over the claim template, in a file.
fn overlay(folder: &TempDir, template: &Value) -> String {
    let file = folder.path().join("overlay.yaml");
    let document = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"volumeClaimTemplates": [template]}});
    std::fs::write(&file, document.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The class and the labels of the claim template.
async fn template(namespace: &Namespace) -> (Value, Value) {
    let set = namespace.get("statefulset", RELEASE).await;
    let template = &set["spec"]["volumeClaimTemplates"][0];
    (template["spec"]["storageClassName"].clone(), template["metadata"]["labels"]["backup"].clone())
}

async fn claim(namespace: &Namespace) -> Value {
    namespace.get("persistentvolumeclaim", &format!("{RELEASE}-{RELEASE}-0")).await
}

async fn pod_uid(namespace: &Namespace) -> Value {
    namespace.get("pod", &format!("{RELEASE}-0")).await["metadata"]["uid"].clone()
}

/// Which StatefulSet it is, and how often somebody changed what it shall be.
async fn generation(namespace: &Namespace) -> (Value, Value) {
    let set = namespace.get("statefulset", RELEASE).await;
    (set["metadata"]["uid"].clone(), set["metadata"]["generation"].clone())
}

async fn assert_equal_post_writes_nothing(service: &dbt_controller_tests::Service, namespace: &Namespace, body: &Value, revision: u64) {
    let before = generation(namespace).await;
    let equal = deploy(service, body).await;
    assert_eq!((&equal["revision"], &equal["unchanged"]), (&json!(revision), &json!(true)), "{equal}");
    assert!(!equal["warnings"].to_string().contains("mended"), "{equal}");
    assert_eq!(generation(namespace).await, before);
}

async fn comes_and_goes(engine: &[(&str, &str)]) {
    let namespace = Namespace::create().await;
    let account = role::account(&namespace, role::shipped(&namespace).await).await;
    let before = inventory(&namespace).await;
    let folder = TempDir::new().unwrap();
    let file = overlay(&folder, &json!({"metadata": {"labels": {"backup": "daily"}}, "spec": {"storageClassName": "kwok-fixed"}}));
    let with_overlay = [engine, &[("SERVER_OVERLAY_FILE", file.as_str())]].concat();
    let start = async |more: &[(&str, &str)]| serve(&namespace, account.kubeconfig_file(), more).await;
    let (bare, overlaid) = ((Value::Null, Value::Null), (json!("kwok-fixed"), json!("daily")));

    let service = start(engine).await;
    assert_eq!(deploy(&service, &body(PROJECT)).await["revision"], 1);
    assert_eq!(template(&namespace).await, bare);
    let (pod, held) = (pod_uid(&namespace).await, claim(&namespace).await);
    drop(service);

    let service = start(&with_overlay).await;
    let changed = deploy(&service, &body(PROJECT)).await;
    assert_eq!((&changed["revision"], &changed["unchanged"]), (&json!(2), &json!(false)), "{changed}");
    assert_eq!(template(&namespace).await, overlaid);
    assert_eq!(pod_uid(&namespace).await, pod, "only the template of claims has changed, so nothing restarts");
    assert_equal_post_writes_nothing(&service, &namespace, &body(PROJECT), 2).await;
    drop(service);

    // It goes, and the server changes too.
    let service = start(engine).await;
    let body = body_with(PROJECT, &json!({"tag": "2.0.0"}));
    assert_eq!(deploy(&service, &body).await["revision"], 3);
    assert_eq!(template(&namespace).await, bare);
    assert_ne!(pod_uid(&namespace).await, pod);
    assert_equal_post_writes_nothing(&service, &namespace, &body, 3).await;
    drop(service);

    // It comes again with a change that fails, and goes with the undo.
    let service = start(&with_overlay).await;
    let failed = service.post("/api/v1/deployments", &body_with(PROJECT, &json!({"tag": "missing-1"}))).await.expect(500).json();
    assert_eq!((&failed["details"]["code"], &failed["details"]["undo"]), (&json!("image_pull_failed"), &json!("undone")), "{failed:#}");
    assert_eq!(template(&namespace).await, bare);

    // The claim has what it had all the time.
    let now = claim(&namespace).await;
    assert_eq!((&now["metadata"]["uid"], &now["metadata"]["labels"]), (&held["metadata"]["uid"], &held["metadata"]["labels"]));
    assert_eq!(now["spec"]["storageClassName"], "kwok-volume");
    let deleted = service.delete(&path(RELEASE)).await.expect(200).json();
    assert_eq!(deleted["details"]["pvc_deleted"].as_array().unwrap().len(), 1, "{deleted:#}");
    until_nothing_is_left(&namespace, &before).await;
}

#[tokio::test]
async fn an_overlay_of_the_claim_template_comes_and_goes() {
    comes_and_goes(&[]).await;
}

async fn comes_and_goes_by(version: HelmVersion) {
    let tools = Namespace::create().await;
    let home = home(&tools, version);
    comes_and_goes(&[("HELM_ENGINE", "command"), ("PATH", &search_path(&home)), ("HOME", home.path().to_str().unwrap())]).await;
}

#[tokio::test]
async fn with_helm_3_an_overlay_of_the_claim_template_comes_and_goes() {
    comes_and_goes_by(HelmVersion::V3).await;
}

#[tokio::test]
async fn with_helm_4_an_overlay_of_the_claim_template_comes_and_goes() {
    comes_and_goes_by(HelmVersion::V4).await;
}

/// Nothing is made anew around pods that it would not find: they would keep their name from its own.
#[tokio::test]
async fn a_stateful_set_with_another_selector_is_left_to_its_pods() {
    let site = Site::open().await;
    drop(site.deploy(&body(PROJECT)).await);
    let mut other = as_new(site.namespace.get("statefulset", RELEASE).await);
    other["spec"]["selector"]["matchLabels"]["app"] = json!("fastbi-dbt-project-runner");
    site.namespace.run(&["delete", "statefulset", RELEASE, "--cascade=foreground"]).await.unwrap();
    site.namespace.apply(&other).await;
    site.namespace.until_ready(RELEASE).await;

    let refused = site.service.post("/api/v1/deployments", &body_with(PROJECT, &json!({"tag": "2.0.0"}))).await.expect(500).json();
    assert_eq!(refused["details"]["code"], "admission_refused", "{refused:#}");
    assert!(refused["message"].as_str().unwrap().contains("updates to statefulset spec"), "{refused:#}");
    // The undo stops the server, as that of an adoption does, and starts its own.
    assert_eq!(refused["details"]["undo"], "undone", "{refused:#}");
    let set = site.namespace.get("statefulset", RELEASE).await;
    assert_eq!(set["spec"]["selector"]["matchLabels"]["app"], Value::Null, "{set:#}");
    assert_eq!(site.deploy(&body_with(PROJECT, &json!({"tag": "2.0.0"}))).await["revision"], 4);
}
