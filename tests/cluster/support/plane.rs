//! The control plane and its namespaces.

use dbt_controller_tests::{ControlPlane, Namespace, condition};
use serde_json::json;

#[tokio::test]
async fn the_plane_is_up() {
    let admin = ControlPlane::find().kubectl();
    assert_eq!(admin.run(&["get", "--raw", "/readyz"]).await.unwrap(), "ok");
    let nodes = admin.list("nodes", "").await;
    assert_eq!(nodes.len(), 1);
    assert_eq!(condition(&nodes[0], "Ready"), Some("True"));
}

#[tokio::test]
async fn objects_are_made_changed_found_listed_and_deleted() {
    let namespace = Namespace::create().await;
    let map = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map", "labels": {"a": "b"}}, "data": {"key": value}});
    assert_eq!(namespace.apply(&map("1")).await["data"]["key"], "1");
    assert_eq!(namespace.apply(&map("2")).await["data"]["key"], "2");
    assert_eq!(namespace.patch("configmap", "map", &json!({"data": {"key": "3"}})).await["data"]["key"], "3");
    assert_eq!(namespace.get("configmap", "map").await["data"]["key"], "3");
    assert_eq!(namespace.list("configmaps", "a=b").await.len(), 1);
    assert_eq!(namespace.list("configmaps", "a=c").await.len(), 0);
    namespace.delete("configmap", "map").await;
    assert_eq!(namespace.find("configmap", "map").await, None);
    let refusal = namespace.try_patch("configmap", "map", &json!({})).await.unwrap_err();
    assert!(refusal.message.contains("NotFound"), "{refusal:?}");
}

#[tokio::test]
async fn a_namespace_is_deleted_when_its_test_ends() {
    let admin = ControlPlane::find().kubectl();
    let [first, second] = [Namespace::create().await, Namespace::create().await];
    assert_ne!(first.name(), second.name());
    let name = first.name().to_owned();
    drop(first);
    dbt_controller_tests::until("it is gone", async || admin.find("namespace", &name).await.is_none().then_some(())).await;
    assert!(admin.find("namespace", second.name()).await.is_some());
}

#[tokio::test]
async fn a_quota_is_enforced() {
    let namespace = Namespace::create().await;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"configmaps": "0"}}});
    namespace.apply(&quota).await;
    namespace.until("resourcequota", "none", "is known", |quota| quota["status"]["hard"].is_object().then_some(())).await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}});
    let refusal = namespace.try_apply(&map).await.unwrap_err();
    assert!(refusal.message.contains("exceeded quota: none"), "{refusal:?}");
}
