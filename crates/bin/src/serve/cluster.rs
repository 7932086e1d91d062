//! The adapters of a real cluster.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dbt_controller_adapters_helm::{CommandInstaller, Gateway, Helm, HelmAccess, HelmEngine, NativeInstaller};
use dbt_controller_adapters_k8s::{
    HTTP_ROUTES, INGRESS_ROUTES, KubeCluster, KubeEvents, KubeOperationStore, Right, StoreSettings, missing_rights,
};
use dbt_controller_domain::Ports;
use dbt_controller_domain::model::Namespace;
use dbt_controller_domain::ports::{ChartInstaller, Clock, ConnectionStore};
use dbt_controller_kube_access::{Barrier, Client, connect};

use crate::commands::tethered;
use crate::settings::{Settings, process_environment};
use crate::system::{SystemClock, SystemRandom};

/// What the API server's audit log knows us by.
const USER_AGENT: &str = concat!("dbt-api-service-controller/", env!("CARGO_PKG_VERSION"));
/// Between two tries to learn which rights are missing, while the cluster does not answer.
const RIGHTS_PAUSE: Duration = Duration::from_secs(10);

/// The adapters of a cluster, and the part of them that has to be told of the end.
pub(super) struct Cluster {
    pub(super) ports: Ports,
    pub(super) operations: Arc<KubeOperationStore>,
}

/// The adapters of the cluster that the settings name. They start whether or not it answers.
///
/// # Errors
/// If there are no credentials for a cluster, or no helm program although it is to be used.
pub(super) async fn connected(settings: &Settings, connections: Option<Arc<dyn ConnectionStore>>) -> anyhow::Result<Cluster> {
    let client = connect(settings.cluster.context.as_deref(), USER_AGENT).await.context("cannot use a cluster")?;
    let namespaces = &settings.workflows.namespaces;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let cluster = Arc::new(KubeCluster::start(client.clone(), namespaces, Arc::clone(&clock)));
    // Whoever writes objects waits until the adapter that answers reads has seen them.
    let barrier = Arc::clone(&cluster) as Arc<dyn Barrier>;
    let server = settings.cluster.server.clone();
    let gateway_rights = rights_of(server.gateway);
    let native = NativeInstaller::start(client.clone(), namespaces, server, barrier, Arc::clone(&clock));
    let installer = engine(settings, native).await?;
    let store = StoreSettings::new(settings.workflows.lock_stale_after);
    let operations = Arc::new(KubeOperationStore::start(client.clone(), settings.workflows.home(), store));
    let events = Arc::new(KubeEvents::start(client.clone(), Arc::clone(&cluster), instance(), Arc::clone(&clock)));
    tokio::spawn(tell_missing_rights(client, namespaces.clone(), gateway_rights));
    let ports = Ports {
        installer,
        cluster,
        connections,
        events: Some(events),
        operations: Arc::clone(&operations) as _,
        clock,
        random: Arc::new(SystemRandom),
    };
    Ok(Cluster { ports, operations })
}

/// What this process is called in Events: in a pod, the host's name is the pod's.
fn instance() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if host.is_empty() { "dbt-api-service-controller".to_owned() } else { host }
}

/// What writes releases.
async fn engine(settings: &Settings, native: NativeInstaller) -> anyhow::Result<Arc<dyn ChartInstaller>> {
    match settings.cluster.engine {
        HelmEngine::Native => Ok(Arc::new(native)),
        HelmEngine::Command => {
            let handed_on = |name: &str| Some((name.to_owned(), process_environment(name).ok()?));
            let environment = HelmAccess::VARIABLES.into_iter().filter_map(handed_on).collect();
            let access = HelmAccess { environment, context: settings.cluster.context.clone(), starter: tethered::starter() };
            let helm = Helm::find(access).await.context("HELM_ENGINE is `command`")?;
            tracing::info!(helm.version = helm.version(), "releases are written by the helm program");
            Ok(Arc::new(CommandInstaller::new(native, helm)))
        }
    }
}

/// What is needed beside the rights that every service needs.
fn rights_of(gateway: Gateway) -> &'static [Right] {
    match gateway {
        Gateway::Ingress => &[],
        Gateway::IngressRoute => &[INGRESS_ROUTES],
        Gateway::HttpRoute => &[HTTP_ROUTES],
    }
}

/// Says once what the service's account may not do, and what does not work without it.
async fn tell_missing_rights(client: Client, namespaces: Vec<Namespace>, more: &[Right]) {
    let missing = loop {
        match missing_rights(client.clone(), &namespaces, more).await {
            Ok(missing) => break missing,
            Err(fault) => {
                tracing::debug!(%fault, "the rights of the service's account cannot be read yet");
                tokio::time::sleep(RIGHTS_PAUSE).await;
            }
        }
    };
    for right in missing {
        if right.essential {
            tracing::error!(%right, "a right is missing that the service cannot do without");
        } else {
            tracing::warn!(%right, "a right is missing");
        }
    }
}
