//! What an account may do.

use std::sync::Arc;

use dbt_controller_adapters_k8s::{KubeCluster, missing_rights};
use dbt_controller_domain::model::ServerKey;
use dbt_controller_domain::ports::{Cluster as _, ClusterError};
use dbt_controller_tests::{Namespace, shipped_rules, stateful_set, until, without};
use serde_json::json;

use super::Site;
use crate::client::WallClock;

#[tokio::test]
async fn nothing_is_missing_with_the_shipped_role() {
    let site = Site::new().await;
    let missing = missing_rights(site.client.clone(), &[site.name()], &[]).await.unwrap();
    assert_eq!(missing, []);

    let other = Namespace::create().await;
    let names = [site.name(), other.name().parse().unwrap()];
    let missing = missing_rights(site.client.clone(), &names, &[]).await.unwrap();
    assert!(missing.iter().all(|missing| missing.namespace == names[1]), "{missing:?}");
    assert!(missing.len() > 40 && missing.iter().any(|missing| missing.essential), "{missing:?}");
    site.account.allow(&site.namespace, &other, &without(&shipped_rules(&other).await, "leases")).await;
    assert_eq!(missing_rights(site.client.clone(), &names, &[]).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let namespace = Namespace::create().await;
    let rules = without(&without(&shipped_rules(&namespace).await, "pods/log"), "statefulsets");
    let site = Site::with_rules(namespace, &rules).await;
    let missing = missing_rights(site.client.clone(), &[site.name()], &[]).await.unwrap();
    let names: Vec<_> = missing.iter().map(|missing| format!("{} {} {}", missing.verb, missing.right, missing.essential)).collect();
    let sets = ["get", "list", "watch", "create", "patch", "delete"].map(|verb| format!("{verb} statefulsets.apps true"));
    assert_eq!(names, [sets.as_slice(), &["get pods/log false".to_owned()]].concat());
}

#[tokio::test]
async fn an_autopsy_names_what_it_may_not_read() {
    let namespace = Namespace::create().await;
    let rules = without(&without(&shipped_rules(&namespace).await, "pods/log"), "events");
    let site = Site::with_rules(namespace, &rules).await;
    let mut set = stateful_set("server", "crash-1");
    for labels in ["/metadata", "/spec/template/metadata"] {
        set.pointer_mut(labels).unwrap()["labels"] = json!({"app": "fastbi-dbt-project-runner"});
    }
    set["spec"]["selector"]["matchLabels"] = json!({"app": "fastbi-dbt-project-runner"});
    let cluster = KubeCluster::start(site.client.clone(), &[site.name()], Arc::new(WallClock));
    site.namespace.apply(&set).await;
    let key = ServerKey { namespace: site.name(), name: "server".parse().unwrap() };
    let has_crashed = async || {
        let state = cluster.server(&key).await.ok()?;
        state.pods.iter().flat_map(|pod| &pod.containers).any(|container| container.restarts > 0).then_some(())
    };
    until("the server has crashed", has_crashed).await;
    let autopsy = cluster.autopsy(&key).await;
    assert_eq!(autopsy.containers.len(), 2);
    assert_eq!(autopsy.gaps.len(), 2, "each missing right once: {:?}", autopsy.gaps);
    assert!(autopsy.gaps[0].contains("pods/log") && autopsy.gaps[1].contains("events"), "{:?}", autopsy.gaps);
}

#[tokio::test]
async fn a_namespace_that_may_not_be_read_is_told_and_hinders_no_other() {
    let site = Site::new().await;
    let other = Namespace::create().await;
    let names = [site.name(), other.name().parse().unwrap()];
    let cluster = KubeCluster::start(site.client.clone(), &names, Arc::new(WallClock));
    until("the home namespace was read", async || cluster.synced().ok()).await;
    let server = |namespace| ServerKey { namespace, name: "server".parse().unwrap() };
    let [home, other] = names;
    cluster.server(&server(home)).await.unwrap();
    let refused = cluster.server(&server(other)).await;
    assert!(matches!(refused, Err(ClusterError::Forbidden(_))), "{refused:?}");
    cluster.check().await.unwrap();
}
