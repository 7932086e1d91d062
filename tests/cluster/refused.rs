//! What the cluster refuses, the pod of a server or one of its objects: by a quota, by its rules, or because nobody can be asked.

use std::time::Duration;

use dbt_controller_adapters_helm::{Security, ServerSettings};
use dbt_controller_domain::model::*;
use dbt_controller_tests::{Namespace, until};
use serde_json::{Value, json};

use crate::support::stage::{Setup, Stage, failure, name, revision, uid};

/// A quota for the namespace, in force.
async fn set_quota(namespace: &Namespace, hard: &Value) {
    namespace.apply(&json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": hard}})).await;
    namespace.until("resourcequota", "quota", "counted", |quota| (quota["status"]["hard"] == *hard).then_some(())).await;
}

/// A change is refused by what refuses its pod only: the old server's pod passes.
async fn assert_change_is_refused(stage: &Stage, code: FailureCode, words: &[&str]) {
    let server = name("shop");
    let outcome = stage.deploy(stage.request("shop").worker_num(3)).await;
    let failure = failure(outcome, code, words);
    assert_eq!((failure.phase, failure.undo), (Some(Phase::Ready), UndoOutcome::Undone), "{failure}");
    assert_eq!(stage.inspect(&server).await.server.phase, ServerPhase::Ready);
    let lines = stage.history(&server).await;
    assert_eq!((lines.len(), lines[1].1.as_str()), (3, "failed"), "{lines:?}");
    assert_eq!(lines[2], (3, "deployed".to_owned(), "Rollback to 1".to_owned()));
}

fn cpu(limit: &'static str) -> impl Fn(&mut DeployRequest) {
    move |request| {
        request.resources.cpu_request = limit.parse().unwrap();
        request.resources.cpu_limit = limit.parse().unwrap();
    }
}

#[tokio::test]
async fn a_quota_that_refuses_the_pod_is_named() {
    // A quota of cpu wants every container to ask for some.
    let proxy = json!({"name": "dbt-server-nginx-proxy", "resources": {"requests": {"cpu": "10m"}}});
    let stage = Stage::with(Setup::overlaid(&json!({"template": {"spec": {"containers": [proxy]}}}))).await;
    set_quota(&stage.namespace, &json!({"pods": "0"})).await;
    let outcome = stage.deploy(stage.request("shop")).await;
    let failure = failure(outcome, FailureCode::QuotaExceeded, &["exceeded quota: quota", "pods=1", "raise the quota"]);
    assert_eq!((failure.phase, failure.undo), (Some(Phase::Ready), UndoOutcome::Undone), "{failure}");
    stage.assert_nothing_left().await;

    set_quota(&stage.namespace, &json!({"requests.cpu": "1"})).await;
    assert_eq!(revision(stage.deploy(stage.request("shop").with(cpu("500m"))).await), 1);
    assert_change_is_refused(&stage, FailureCode::QuotaExceeded, &["exceeded quota: quota", "requests.cpu"]).await;
}

#[tokio::test]
async fn an_admission_that_refuses_the_pod_is_named() {
    let stage =
        Stage::with(Setup { server: ServerSettings { security: Security::Legacy, ..ServerSettings::default() }, ..Setup::default() }).await;
    let namespace = stage.namespace.name();
    stage.namespace.run(&["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline"]).await.unwrap();
    let outcome = stage.deploy(stage.request("shop")).await;
    let failure = failure(outcome, FailureCode::AdmissionRefused, &["the cluster refuses the pod", "PodSecurity", "privileged"]);
    assert_eq!((failure.phase, failure.undo), (Some(Phase::Ready), UndoOutcome::Undone), "{failure}");
    stage.assert_nothing_left().await;

    stage.namespace.run(&["label", "namespace", namespace, "pod-security.kubernetes.io/enforce-"]).await.unwrap();
    let limits = json!([{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "10m"}}]);
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": limits}});
    stage.namespace.apply(&range).await;
    assert_eq!(revision(stage.deploy(stage.request("shop").with(cpu("500m"))).await), 1);
    assert_change_is_refused(&stage, FailureCode::AdmissionRefused, &["maximum cpu usage per Container is 1"]).await;
}

/// Puts a webhook before this resource that refuses it when it does not answer, and answers never. It goes with the namespace.
async fn set_dead_webhook(namespace: &Namespace, resource: &str) {
    let owner = namespace.get("namespace", namespace.name()).await;
    let metadata = json!({
        "name": format!("{}-{resource}", namespace.name()),
        "ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": namespace.name(), "uid": uid(&owner)}],
    });
    let webhook = json!({
        "name": format!("{resource}.nobody.example.com"),
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": [resource], "operations": ["CREATE"]}],
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
    });
    let kind = "ValidatingWebhookConfiguration";
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, "webhooks": [webhook]});
    namespace.apply(&configuration).await;
    let probe: &[&str] = match resource {
        "pods" => &["run", "probe", "--image=probe", "--dry-run=server"],
        _ => &["create", "service", "clusterip", "probe", "--tcp=80", "--dry-run=server"],
    };
    let is_asked = async || namespace.run(probe).await.is_err_and(|refusal| refusal.message.contains("failed calling webhook"));
    until("the webhook is asked", async || is_asked().await.then_some(())).await;
}

/// It may only be restarting, so it is waited for.
#[tokio::test]
async fn a_webhook_that_does_not_answer_is_named() {
    let stage = Stage::with(Setup { deploy_timeout: Duration::from_secs(15), ..Setup::default() }).await;
    set_dead_webhook(&stage.namespace, "pods").await;
    let words = ["was not ready in time", "failed calling webhook", "pods.nobody.example.com"];
    let failure = failure(stage.deploy(stage.request("shop")).await, FailureCode::DeployTimeout, &words);
    assert_eq!((failure.phase, failure.undo), (Some(Phase::Ready), UndoOutcome::Undone), "{failure}");
    stage.assert_nothing_left().await;
}

/// The same, so it is worth some tries.
#[tokio::test]
async fn a_webhook_that_does_not_answer_for_an_object_is_named() {
    let stage = Stage::new().await;
    set_dead_webhook(&stage.namespace, "services").await;
    let words = ["Service/dbt-server-shop-main", "the API server answers, but not a webhook", "services.nobody.example.com"];
    let failure = failure(stage.deploy(stage.request("shop")).await, FailureCode::ClusterUnavailable, &words);
    assert_eq!((failure.phase, failure.undo), (Some(Phase::Apply), UndoOutcome::Undone), "{failure}");
    stage.assert_nothing_left().await;
}
