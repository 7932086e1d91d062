//! The native engine, with real Helms and kubectl as the humans.

pub(crate) mod contract;
mod humans;
mod objects;
mod replicas;
mod requests;

use std::sync::Arc;

use dbt_controller_adapters_helm::{NativeInstaller, ServerSettings};
use dbt_controller_adapters_k8s::KubeCluster;
use dbt_controller_domain::model::{DesiredRelease, Release, ReleaseKey, RevisionHandle};
use dbt_controller_domain::ports::{ChartInstaller as _, Clock};
use dbt_controller_port_contracts::fixtures::{self, fence};
use dbt_controller_tests::{Helm, HelmVersion, Kubeconfig, Namespace, until};

use crate::client::{WallClock, client};

/// A namespace, the adapter in it, and a human with both Helms.
struct Stage {
    namespace: Namespace,
    installer: Arc<NativeInstaller>,
    helms: [Helm; 2],
}

impl Stage {
    async fn new() -> Self {
        let namespace = Namespace::create().await;
        let kubeconfig = namespace.plane().kubeconfig();
        Self::with(namespace, kubeconfig).await
    }

    /// One whose adapter has this kubeconfig.
    async fn with(namespace: Namespace, kubeconfig: Kubeconfig) -> Self {
        let installer = Arc::new(installer_of(&namespace, kubeconfig).await);
        let helms = HelmVersion::ALL.map(|version| Helm::new(version, &namespace));
        Self { namespace, installer, helms }
    }

    /// A deployment of this project's branch `main`.
    fn desired(&self, project: &str) -> DesiredRelease {
        fixtures::request(project, Some("main")).namespace(self.namespace.name()).desired()
    }

    async fn newest(&self, key: &ReleaseKey) -> Option<Release> {
        self.installer.get(key, None).await.unwrap()
    }

    async fn begin(&self, desired: &DesiredRelease) -> RevisionHandle {
        let after = self.newest(&desired.key).await.map(|newest| newest.summary.revision);
        self.installer.begin(&DesiredRelease { after, ..desired.clone() }, &fence()).await.unwrap()
    }

    /// Begins and applies.
    async fn apply(&self, desired: &DesiredRelease) -> RevisionHandle {
        let handle = self.begin(desired).await;
        self.installer.apply(&handle, &fence()).await.unwrap();
        handle
    }

    /// Deploys, and waits until the server is ready.
    async fn deploy(&self, desired: &DesiredRelease) -> RevisionHandle {
        let handle = self.apply(desired).await;
        self.namespace.until_ready(desired.server.as_str()).await;
        self.installer.commit(&handle, &fence()).await.unwrap();
        handle
    }
}

/// One more process's adapter in a namespace, with this kubeconfig.
pub(crate) async fn installer_of(namespace: &Namespace, kubeconfig: Kubeconfig) -> NativeInstaller {
    let names = [namespace.name().parse().unwrap()];
    let client = client(kubeconfig).await;
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let cluster = Arc::new(KubeCluster::start(client.clone(), &names, Arc::clone(&clock)));
    let installer = NativeInstaller::start(client, &names, ServerSettings::default(), cluster, clock);
    until("everything was read once", async || installer.synced().ok()).await;
    installer
}

/// The same deployment as another operation wants it, with another worker count.
pub(crate) fn next(desired: &DesiredRelease, worker_num: u8) -> DesiredRelease {
    let mut next = DesiredRelease { operation: fixtures::operation_id(), ..desired.clone() };
    next.request.options.worker_num = worker_num;
    next
}
