//! What somebody asked the API server for.

use dbt_controller_tests::{Account, Audit, Namespace};
use serde_json::json;

#[tokio::test]
async fn requests_are_counted_by_their_user() {
    let namespace = Namespace::create().await;
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let account = Account::create(&namespace, "worker", &rules).await;
    let kubectl = account.kubectl();
    kubectl.list("configmaps", "").await;

    let audit = Audit::begin(namespace.plane()).await;
    let counted = async || {
        let mut all = audit.requests_of(account.user()).await;
        // kubectl also asks what there is, and after a 404 whether the namespace is there.
        all.retain(|request| request.resource == "configmaps");
        all.into_iter().map(|request| (request.verb, request.name, request.status)).collect::<Vec<_>>()
    };
    assert_eq!(counted().await, []);
    kubectl.run(&["create", "configmap", "map"]).await.unwrap();
    kubectl.run(&["get", "configmap", "other"]).await.unwrap_err();
    kubectl.run(&["delete", "configmap", "map", "--wait=false"]).await.unwrap();
    // Somebody else's are not counted.
    namespace.list("configmaps", "").await;
    let expected = [("create", "map", 201), ("get", "other", 404), ("delete", "map", 200)];
    assert_eq!(counted().await, expected.map(|(verb, name, status)| (verb.to_owned(), name.to_owned(), status)));
    let agents = audit.requests_of(account.user()).await;
    assert!(agents.iter().all(|request| request.user_agent.starts_with("kubectl/")), "{agents:?}");
}
