//! Objects in states that only a real control plane has.

use dbt_controller_domain::model::{DesiredRelease, RevisionNumber};
use dbt_controller_domain::ports::{ChartInstaller as _, InstallerError};
use dbt_controller_port_contracts::fixtures::{self, fence};
use serde_json::{Value, json};

use super::{Stage, next};
use crate::support::site::chart;

async fn uid(stage: &Stage, kind: &str, name: &str) -> Value {
    stage.namespace.get(kind, name).await["metadata"]["uid"].clone()
}

async fn replicas(stage: &Stage, release: &str) -> Value {
    stage.namespace.get("statefulset", release).await["spec"]["replicas"].clone()
}

/// Puts a server to sleep as the controller does it.
async fn put_to_sleep(stage: &Stage, release: &str) {
    let patch = json!({"spec": {"replicas": 0}}).to_string();
    let arguments = ["patch", "statefulset", release, "--type", "merge", "-p", &patch, "--field-manager", "dbt-controller"];
    stage.namespace.run(&arguments).await.unwrap();
}

/// A larger claim as a deploy makes it: the StatefulSet is deleted around its pods first.
async fn grow(stage: &Stage, desired: &DesiredRelease, worker_num: u8) -> DesiredRelease {
    let release = desired.key.name.as_str();
    let claim = desired.key.name.claim_name(0);
    stage.namespace.patch("pvc", &claim, &json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}})).await;
    stage.namespace.run(&["delete", "statefulset", release, "--cascade=orphan"]).await.unwrap();
    let mut larger = next(desired, worker_num);
    larger.request.resources.storage_size = fixtures::request("p", None).storage("2Gi").build().resources.storage_size;
    larger
}

#[tokio::test]
async fn a_sleeping_server_sleeps_on() {
    let stage = Stage::new().await;
    let desired = stage.desired("asleep");
    let release = desired.key.name.as_str();
    stage.deploy(&desired).await;
    put_to_sleep(&stage, release).await;
    stage.apply(&next(&desired, 11)).await;
    assert_eq!(replicas(&stage, release).await, json!(0));
}

#[tokio::test]
async fn a_rollback_over_a_grown_claim_keeps_pod_and_claim() {
    let stage = Stage::new().await;
    let desired = stage.desired("grown");
    let (release, claim) = (desired.key.name.as_str(), desired.key.name.claim_name(0));
    stage.deploy(&desired).await;
    let larger = grow(&stage, &desired, 10).await;
    let failed = stage.apply(&larger).await;
    stage.namespace.until_ready(release).await;
    let before = (uid(&stage, "pod", &format!("{release}-0")).await, uid(&stage, "pvc", &claim).await);

    let back = stage.installer.roll_back(&failed, RevisionNumber(1), "why", &fence()).await.unwrap();
    stage.namespace.until_ready(release).await;
    stage.installer.commit(&back, &fence()).await.unwrap();
    assert_eq!(uid(&stage, "pvc", &claim).await, before.1);
    let kept = stage.namespace.get("pvc", &claim).await;
    assert_eq!(kept["spec"]["resources"]["requests"]["storage"], "2Gi");
    // The template is that of the revision again, so that its release can be changed and repaired as before.
    assert_eq!(stage.installer.repair(&desired.key, &fence()).await.unwrap(), Vec::<String>::new());
    stage.deploy(&next(&desired, 12)).await;
}

#[tokio::test]
async fn a_sleeping_server_sleeps_on_over_a_rollback_that_makes_it_anew() {
    let stage = Stage::new().await;
    let desired = stage.desired("dormant");
    let release = desired.key.name.as_str();
    stage.deploy(&desired).await;
    let failed = stage.apply(&grow(&stage, &desired, 11).await).await;
    put_to_sleep(&stage, release).await;
    let back = stage.installer.roll_back(&failed, RevisionNumber(1), "why", &fence()).await.unwrap();
    stage.installer.commit(&back, &fence()).await.unwrap();
    assert_eq!(replicas(&stage, release).await, json!(0));
    let handle = stage.apply(&next(&desired, 12)).await;
    stage.installer.commit(&handle, &fence()).await.unwrap();
    assert_eq!(replicas(&stage, release).await, json!(0), "the next revision wakes it");
    for helm in &stage.helms {
        helm.run(&["upgrade", release, &chart(), "--reuse-values"]).await;
        assert_eq!(replicas(&stage, release).await, json!(0), "a human's upgrade wakes it");
    }
}

#[tokio::test]
async fn a_rollback_to_another_selector_replaces_the_pod() {
    let stage = Stage::new().await;
    let desired = stage.desired("reselected");
    let release = desired.key.name.as_str();
    stage.deploy(&desired).await;
    let failed = stage.begin(&next(&desired, 11)).await;
    // As if an adoption had deleted and made anew what the replaced service called otherwise.
    let mut other = stage.namespace.get("statefulset", release).await;
    stage.namespace.delete("statefulset", release).await;
    for labels in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        other.pointer_mut(labels).unwrap()["generation"] = json!("two");
    }
    other["metadata"] = json!({"name": release, "labels": other["metadata"]["labels"], "annotations": other["metadata"]["annotations"]});
    stage.namespace.apply(&other).await;
    stage.namespace.until_ready(release).await;
    let back = stage.installer.roll_back(&failed, RevisionNumber(1), "why", &fence()).await.unwrap();
    stage.namespace.until_ready(release).await;
    stage.installer.commit(&back, &fence()).await.unwrap();
    assert_eq!(stage.namespace.get("pod", &format!("{release}-0")).await["metadata"]["labels"].get("generation"), None);
}

#[tokio::test]
async fn what_is_being_deleted_is_not_written_into() {
    let stage = Stage::new().await;
    let desired = stage.desired("leaving");
    let release = desired.key.name.as_str();
    stage.deploy(&desired).await;
    stage.namespace.patch("service", release, &json!({"metadata": {"finalizers": ["example.com/holds"]}})).await;
    let removed = stage.installer.uninstall(&desired.key, &fence()).await.unwrap();
    assert!(removed.objects.contains(&format!("Service/{release}")));
    assert_eq!(stage.installer.objects(&desired.key).await.unwrap(), Vec::<String>::new());

    let handle = stage.begin(&next(&desired, 11)).await;
    let waits = stage.installer.apply(&handle, &fence()).await.unwrap_err();
    let InstallerError::Unavailable(reason) = waits else { panic!("{waits:?}") };
    assert_eq!(reason.to_string(), format!("Service/{release} is still being deleted: a finalizer holds it"));
    assert_eq!(stage.installer.objects(&desired.key).await.unwrap(), Vec::<String>::new());
    stage.namespace.patch("service", release, &json!({"metadata": {"finalizers": null}})).await;
    stage.installer.apply(&handle, &fence()).await.unwrap();
}

#[tokio::test]
async fn what_asks_to_be_kept_is_kept_and_a_certificate_goes() {
    let stage = Stage::new().await;
    let mut desired = stage.desired("kept");
    desired.request.https_enabled = true;
    let (release, tls) = (desired.key.name.as_str(), desired.key.name.tls_secret_name());
    stage.deploy(&desired).await;
    let certificate = |name: &str, of: &str| {
        let annotations = json!({"cert-manager.io/certificate-name": of});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "annotations": annotations}})
    };
    stage.namespace.apply(&certificate(&tls, &tls)).await;
    stage.namespace.apply(&certificate("wildcard", "wildcard")).await;
    stage.namespace.run(&["annotate", "configmap", &desired.key.name.config_map_name(), "helm.sh/resource-policy=keep"]).await.unwrap();
    let removed = stage.installer.uninstall(&desired.key, &fence()).await.unwrap();
    assert!(removed.objects.contains(&format!("Secret/{tls}")), "{removed:?}");
    let left = stage.namespace.run(&["get", "secrets,configmaps,services,statefulsets,ingresses", "-o", "name"]).await.unwrap();
    let left: Vec<_> = left.lines().filter(|line| line.contains(release) || line.contains("wildcard")).collect();
    assert_eq!(left, ["secret/wildcard", &format!("configmap/{release}-nginx-cm")]);
}
