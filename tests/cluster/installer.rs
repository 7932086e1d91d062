//! The native engine, for tests of what it writes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_adapters_helm::{NativeInstaller, ServerSettings};
use dbt_controller_kube_access::{Barrier, Fault, ObjectKey};
use dbt_controller_tests::Namespace;

use crate::client::{WallClock, client};

/// One with these settings in a namespace.
///
/// It can write records at once. Before it writes objects it has to have read what is there, which it never has with a gateway whose
/// kind the control plane does not know.
pub(crate) async fn installer(namespace: &Namespace, settings: ServerSettings) -> NativeInstaller {
    let client = client(namespace.plane().kubeconfig()).await;
    let names = [namespace.name().parse().unwrap()];
    NativeInstaller::start(client, &names, settings, Arc::new(NoReads), Arc::new(WallClock))
}

/// Nobody reads the servers.
struct NoReads;

#[async_trait]
impl Barrier for NoReads {
    async fn seen(&self, _: &str, _: &ObjectKey, _: &str, _: Duration) -> Result<(), Fault> {
        Ok(())
    }

    async fn gone(&self, _: &str, _: &ObjectKey, _: &str, _: Duration) -> Result<(), Fault> {
        Ok(())
    }
}
