//! Which replica does the background work.

use std::time::Duration;

use dbt_controller_adapters_k8s::{KubeOperationStore, StoreSettings};
use dbt_controller_domain::ports::OperationStore as _;
use dbt_controller_tests::{Namespace, shipped_rules, until, without};
use tokio::sync::watch;

use super::Site;

fn replica(site: &Site) -> KubeOperationStore {
    KubeOperationStore::start(site.client.clone(), &site.name(), StoreSettings::new(Duration::from_secs(30)))
}

fn leads(watch: &watch::Receiver<bool>) -> bool {
    *watch.borrow()
}

#[tokio::test]
async fn one_replica_leads_and_another_follows_when_it_resigns_or_is_gone() {
    let site = Site::new().await;
    let first = replica(&site);
    let first_leads = first.leadership();
    until("the first leads", async || leads(&first_leads).then_some(())).await;
    let second = replica(&site);
    let second_leads = second.leadership();
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(leads(&first_leads) && !leads(&second_leads));

    first.resign().await;
    assert!(!leads(&first_leads));
    until("the second leads", async || leads(&second_leads).then_some(())).await;

    let third = replica(&site);
    let third_leads = third.leadership();
    drop(second);
    until("the third leads when the second has shown no life for long enough", async || leads(&third_leads).then_some(())).await;
    let transitions = site.namespace.get("lease", "dbt-api-service-controller").await["spec"]["leaseTransitions"].clone();
    assert_eq!(transitions, 3);
}

/// Whatever has changed it since it was read: a renewal whose answer nobody has waited for, or somebody's label.
#[tokio::test]
async fn a_lease_that_has_changed_since_is_given_up_all_the_same() {
    let site = Site::new().await;
    let store = replica(&site);
    let leadership = store.leadership();
    until("it leads", async || leads(&leadership).then_some(())).await;
    site.namespace.run(&["label", "lease", "dbt-api-service-controller", "seen=yes"]).await.unwrap();
    store.resign().await;
    let holder = site.namespace.get("lease", "dbt-api-service-controller").await["spec"]["holderIdentity"].clone();
    assert!(holder.as_str().unwrap_or_default().is_empty(), "{holder} has it");
}

#[tokio::test]
async fn without_the_right_every_replica_leads() {
    let namespace = Namespace::create().await;
    let rules = without(&shipped_rules(&namespace).await, "leases");
    let site = Site::with_rules(namespace, &rules).await;
    for store in [replica(&site), replica(&site)] {
        let leadership = store.leadership();
        until("it leads", async || leads(&leadership).then_some(())).await;
    }
}
