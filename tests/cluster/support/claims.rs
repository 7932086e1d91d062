//! Claims and their classes.

use std::time::Duration;

use dbt_controller_tests::{Namespace, claim, condition, stateful_set, until};
use serde_json::{Value, json};

fn size(size: &str) -> Value {
    json!({"spec": {"resources": {"requests": {"storage": size}}}})
}

async fn until_bound(namespace: &Namespace, name: &str) {
    namespace.until("persistentvolumeclaim", name, "bound", |claim| (claim["status"]["phase"] == "Bound").then_some(())).await;
}

#[tokio::test]
async fn claims_of_the_default_class_are_bound_and_can_grow() {
    let namespace = Namespace::create().await;
    namespace.apply(&claim("data", None, "1Gi")).await;
    until_bound(&namespace, "data").await;
    namespace.patch("persistentvolumeclaim", "data", &size("2Gi")).await;
    let grown = |claim: &Value| (claim["status"]["capacity"]["storage"] == "2Gi").then_some(());
    namespace.until("persistentvolumeclaim", "data", "has grown", grown).await;
    let refusal = namespace.try_patch("persistentvolumeclaim", "data", &size("1Gi")).await.unwrap_err();
    assert!(refusal.message.contains("can not be less than"), "{refusal:?}");
}

#[tokio::test]
async fn claims_of_a_fixed_class_cannot_grow() {
    let namespace = Namespace::create().await;
    namespace.apply(&claim("data", Some("kwok-fixed"), "1Gi")).await;
    until_bound(&namespace, "data").await;
    let refusal = namespace.try_patch("persistentvolumeclaim", "data", &size("2Gi")).await.unwrap_err();
    assert!(refusal.message.contains("only dynamically provisioned pvc can be resized"), "{refusal:?}");
}

#[tokio::test]
async fn a_claim_that_nobody_serves_keeps_its_pod_waiting() {
    let namespace = Namespace::create().await;
    let mut set = stateful_set("server", "1.0.0");
    let mut template = claim("data", Some("kwok-never"), "1Gi");
    template.as_object_mut().unwrap().retain(|key, _| key == "metadata" || key == "spec");
    set["spec"]["volumeClaimTemplates"] = json!([template]);
    namespace.apply(&set).await;
    let scheduled = |pod: &Value| condition(pod, "PodScheduled").map(str::to_owned);
    assert_eq!(namespace.until("pod", "server-0", "was looked at by the scheduler", scheduled).await, "False");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(namespace.get("persistentvolumeclaim", "data-server-0").await["status"]["phase"], "Pending");
    assert_eq!(namespace.get("pod", "server-0").await["status"]["phase"], "Pending");
}

#[tokio::test]
async fn a_claim_outlives_its_server_and_its_volume_goes_with_it() {
    let namespace = Namespace::create().await;
    let mut set = stateful_set("server", "1.0.0");
    let mut template = claim("data", None, "1Gi");
    template.as_object_mut().unwrap().retain(|key, _| key == "metadata" || key == "spec");
    set["spec"]["volumeClaimTemplates"] = json!([template]);
    namespace.apply(&set).await;
    namespace.until_ready("server").await;
    let volume = namespace.get("persistentvolumeclaim", "data-server-0").await["spec"]["volumeName"].as_str().unwrap().to_owned();
    namespace.delete("statefulset", "server").await;
    until("the pod is gone", async || namespace.find("pod", "server-0").await.is_none().then_some(())).await;
    assert_eq!(namespace.get("persistentvolumeclaim", "data-server-0").await["status"]["phase"], "Bound");
    namespace.delete("persistentvolumeclaim", "data-server-0").await;
    until("the volume is gone", async || namespace.find("persistentvolume", &volume).await.is_none().then_some(())).await;
}
