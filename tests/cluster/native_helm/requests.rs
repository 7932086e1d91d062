//! What the installer asks the API server for.

use dbt_controller_domain::model::DesiredRelease;
use dbt_controller_domain::ports::ChartInstaller as _;
use dbt_controller_port_contracts::fixtures::fence;
use dbt_controller_tests::{Account, Audit, Namespace, Request};
use serde_json::json;

use super::{Stage, next};

/// A stage whose adapter has an account of its own, with no more rights than it needs.
async fn stage() -> (Stage, Account) {
    let namespace = Namespace::create().await;
    let verbs = json!(["get", "list", "watch", "create", "patch", "delete"]);
    let rules = json!([
        {"apiGroups": [""], "resources": ["serviceaccounts", "secrets", "configmaps", "services"], "verbs": verbs},
        {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": verbs},
        // For the adapter that answers reads of servers.
        {"apiGroups": [""], "resources": ["pods", "persistentvolumeclaims"], "verbs": ["list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": verbs},
    ]);
    let account = Account::create(&namespace, "controller", &rules).await;
    let kubeconfig = account.kubeconfig();
    (Stage::with(namespace, kubeconfig).await, account)
}

/// What was asked for, without the watches, as `verb resource`.
async fn asked(audit: &Audit, account: &Account) -> Vec<String> {
    let requests = audit.requests_of(account.user()).await;
    let is_own = |request: &&Request| request.verb != "watch";
    let dry = |request: &Request| if request.uri.contains("dryRun=All") { " (dry run)" } else { "" };
    requests.iter().filter(is_own).map(|request| format!("{} {}{}", request.verb, request.resource, dry(request))).collect()
}

const APPLIES: [&str; 5] = ["patch serviceaccounts", "patch secrets", "patch configmaps", "patch services", "patch statefulsets"];

#[tokio::test]
async fn a_first_deployment_takes_nine_requests() {
    let (stage, account) = stage().await;
    let desired = stage.desired("first");
    let audit = Audit::begin(stage.namespace.plane()).await;
    assert!(stage.newest(&desired.key).await.is_none());
    stage.installer.manifest_hash(&desired).await.unwrap();
    let handle = stage.installer.begin(&desired, &fence()).await.unwrap();
    stage.installer.apply(&handle, &fence()).await.unwrap();
    stage.installer.commit(&handle, &fence()).await.unwrap();
    let promised = [["list secrets", "create secrets"].as_slice(), &APPLIES, &["list secrets", "patch secrets"]].concat();
    assert_eq!(asked(&audit, &account).await, promised);
}

#[tokio::test]
async fn a_change_takes_eleven_requests() {
    let (stage, account) = stage().await;
    let desired = stage.desired("changed");
    stage.deploy(&desired).await;
    let audit = Audit::begin(stage.namespace.plane()).await;
    let changed = next(&desired, 11);
    let after = stage.newest(&desired.key).await.map(|newest| newest.summary.revision);
    let changed = DesiredRelease { after, ..changed };
    stage.installer.manifest_hash(&changed).await.unwrap();
    let handle = stage.installer.begin(&changed, &fence()).await.unwrap();
    stage.installer.apply(&handle, &fence()).await.unwrap();
    stage.installer.commit(&handle, &fence()).await.unwrap();
    let begun = ["list secrets", "list secrets", "create secrets"];
    let promised = [begun.as_slice(), &APPLIES, &["list secrets", "patch secrets", "patch secrets"]].concat();
    assert_eq!(asked(&audit, &account).await, promised);
}

#[tokio::test]
async fn an_equal_deployment_writes_nothing() {
    let (stage, account) = stage().await;
    let desired = stage.desired("equal");
    stage.deploy(&desired).await;
    let audit = Audit::begin(stage.namespace.plane()).await;
    stage.installer.manifest_hash(&desired).await.unwrap();
    assert_eq!(stage.installer.repair(&desired.key, &fence()).await.unwrap(), Vec::<String>::new());
    let dry = APPLIES.map(|apply| format!("{apply} (dry run)"));
    assert_eq!(asked(&audit, &account).await, [["list secrets".to_owned()].as_slice(), &dry].concat());
}

#[tokio::test]
async fn lists_and_objects_take_no_request() {
    let (stage, account) = stage().await;
    let desired = stage.desired("listed");
    stage.deploy(&desired).await;
    let audit = Audit::begin(stage.namespace.plane()).await;
    assert_eq!(stage.installer.list().await.unwrap().len(), 1);
    assert_eq!(stage.installer.objects(&desired.key).await.unwrap().len(), 5);
    assert_eq!(asked(&audit, &account).await, Vec::<String>::new());
}
