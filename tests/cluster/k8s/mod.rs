//! The adapters of the two ports that speak to Kubernetes alone, under an account that has the shipped Role and nothing more.

mod cluster;
mod deleting;
mod lease;
mod operations;
mod rights;
mod volumes;

use dbt_controller_domain::model::Namespace as NamespaceName;
use dbt_controller_port_contracts::FarSide;
use dbt_controller_tests::{Account, Link, Mode, Namespace, shipped_rules};
use kube::Client;
use serde_json::Value;

use crate::client::client;

/// A namespace, and an account in it that reaches the control plane by a link.
struct Site {
    namespace: Namespace,
    account: Account,
    link: Link,
    client: Client,
}

impl Site {
    async fn new() -> Self {
        let namespace = Namespace::create().await;
        let rules = shipped_rules(&namespace).await;
        Self::with_rules(namespace, &rules).await
    }

    async fn with_rules(namespace: Namespace, rules: &Value) -> Self {
        let account = Account::create(&namespace, "controller", rules).await;
        let link = Link::to(account.kubeconfig().address());
        let client = client(link.kubeconfig(account.kubeconfig())).await;
        Self { namespace, account, link, client }
    }

    fn name(&self) -> NamespaceName {
        self.namespace.name().parse().unwrap()
    }

    fn set_far_side(&self, far_side: FarSide) {
        self.link.set(match far_side {
            FarSide::Answers => Mode::Answers,
            FarSide::Down => Mode::Down,
            FarSide::Hangs => Mode::Hangs,
        });
    }
}
