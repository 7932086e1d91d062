//! Somebody with few rights.

use dbt_controller_tests::{Account, Helm, HelmVersion, Namespace};
use serde_json::json;

#[tokio::test]
async fn an_account_may_do_what_its_role_says_and_no_more() {
    let [namespace, other] = [Namespace::create().await, Namespace::create().await];
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]);
    let account = Account::create(&namespace, "reader", &rules).await;
    let who = account.kubectl().run(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]).await.unwrap();
    assert_eq!(who, account.user());
    assert_eq!(who, format!("system:serviceaccount:{}:reader", namespace.name()));

    account.kubectl().list("configmaps", "").await;
    let there = account.kubectl().in_namespace(other.name());
    for refused in [
        account.kubectl().run(&["get", "secrets"]).await,
        account.kubectl().run(&["delete", "configmap", "kube-root-ca.crt"]).await,
        there.run(&["get", "configmaps"]).await,
    ] {
        let refusal = refused.unwrap_err();
        assert!(refusal.message.contains("Forbidden"), "{refusal:?}");
    }
    account.allow(&namespace, &other, &rules).await;
    there.list("configmaps", "").await;

    let helm = Helm::with(HelmVersion::V4, &namespace, &account.kubeconfig());
    let refusal = helm.try_run(&["list"]).await.unwrap_err();
    assert!(refusal.message.contains("forbidden"), "{refusal:?}");
}
