//! The port to the cluster.

mod autopsy;
mod claims;
mod deleting;
mod events;
mod fold;
mod logs;
mod pods;
mod probe;
mod refusal;
mod servers;
mod silence;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::{Autopsy, ByteQuantity, Claim, DagState, Namespace, PodRefusal, ServerKey, ServerState, Warehouse};
use dbt_controller_domain::ports::{Clock, Cluster, ClusterError, Fence};
use dbt_controller_kube_access::{
    Barrier, CHECK_LIMIT, Cache, Changed, Denied, Fault, ObjectKey, READ_LIMIT, SERVER_LABEL, Source, call, fenced,
};
use http::Request;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Client, Resource};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::fold::{ClaimView, PodView, SetView};
use self::probe::Probe;
use self::servers::{Server, Servers};
use self::silence::Silence;
use self::volumes::VolumeInspector;
use crate::FIELD_MANAGER;

/// How long nothing of a server may change while it is waited for, beyond the time that its pods have to end.
const STALL_LIMIT: Duration = Duration::from_secs(120);
/// How often a wait looks whether the lock still stands.
const FENCE_PERIOD: Duration = Duration::from_secs(1);

/// Servers in a Kubernetes cluster: seen by watches, steered by single requests.
///
/// It starts whether or not the cluster answers, and reads say `Unavailable` until it did. A server's watch lives as long as this
/// does: when the cluster's watch behind it breaks, it shows nothing new until that stands again, and then the newest state.
/// All tasks end when it is dropped.
pub struct KubeCluster {
    client: Client,
    namespaces: Vec<Namespace>,
    servers: Arc<Servers>,
    sets: Cache<SetView>,
    pods: Cache<PodView>,
    claims: Cache<ClaimView>,
    probe: Probe,
    silence: Silence,
    _inspector: VolumeInspector,
}

impl KubeCluster {
    /// Begins to watch the servers of these namespaces, the first of which must be readable. Makes no request itself.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(client: Client, namespaces: &[Namespace], clock: Arc<dyn Clock>) -> Self {
        let servers = Arc::new(Servers::new());
        // StatefulSets and claims are few, and all of them are watched: a label that is missing must hide neither a server nor data.
        // Pods may be many (Airflow's tasks run in such namespaces). Those of all servers carry the label, the replaced service's
        // too: it is in the pod template, and an overlay cannot take it away.
        let any = watcher::Config::default();
        let labelled = watcher::Config::default().labels(&format!("{}={}", SERVER_LABEL.0, SERVER_LABEL.1));
        let sets = {
            let table = Arc::clone(&servers);
            let source = Source::new("StatefulSets", apis::<StatefulSet>(&client, namespaces), any.clone());
            let on_change = move |changed: Changed<'_, SetView>| table.set_changed(changed.key, changed.value.map(AsRef::as_ref));
            Cache::start(source, |set| Some(fold::stateful_set(set)), on_change)
        };
        let pods = {
            let (table, clock) = (Arc::clone(&servers), Arc::clone(&clock));
            let source = Source::new("pods", apis::<Pod>(&client, namespaces), labelled);
            let on_change = move |changed: Changed<'_, PodView>| table.pod_changed(changed.key, changed.value.map(AsRef::as_ref));
            Cache::start(source, move |pod| fold::pod(pod, clock.now()), on_change)
        };
        let claims = {
            let table = Arc::clone(&servers);
            let source = Source::new("claims", apis::<PersistentVolumeClaim>(&client, namespaces), any);
            let on_change = move |changed: Changed<'_, ClaimView>| table.claim_changed(changed.key, changed.value.map(AsRef::as_ref));
            Cache::start(source, fold::claim, on_change)
        };
        let inspector = VolumeInspector::start(client.clone(), Arc::clone(&servers), clock);
        Self {
            client,
            namespaces: namespaces.to_vec(),
            servers,
            sets,
            pods,
            claims,
            probe: Probe::new(),
            silence: Silence::default(),
            _inspector: inspector,
        }
    }

    /// Whether everything was read once.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn synced(&self) -> Result<(), Fault> {
        self.sets.synced().and_then(|()| self.pods.synced()).and_then(|()| self.claims.synced())
    }

    /// The uid of a server's StatefulSet, as far as it was seen.
    pub(crate) fn uid(&self, key: &ServerKey) -> Option<String> {
        self.servers.look(key, |server| server.set.as_ref().map(|set| set.uid.clone()))
    }

    fn api<K>(&self, namespace: &Namespace) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace.as_str())
    }

    /// Merges something into a StatefulSet, and waits until reads show it.
    async fn patch(&self, key: &ServerKey, change: serde_json::Value, fence: &Fence) -> Result<(), ClusterError> {
        let api = self.api::<StatefulSet>(&key.namespace);
        let written = fenced(fence, api.patch_metadata(key.name.as_str(), &own_patch(), &Patch::Merge(change))).await;
        let written = written.map_err(|refusal| match refusal {
            Denied::Fault(Fault::NotFound(_)) => ClusterError::NotFound(format!("StatefulSet {key}")),
            other => denied(other),
        })?;
        let version = written.metadata.resource_version.unwrap_or_default();
        self.sets.seen(&object_key(key), &version, fence.call_limit()).await.map_err(Fault::of_cluster)
    }

    /// Whether what was seen of a namespace can be relied on.
    fn readable(&self, namespace: &Namespace) -> Result<(), ClusterError> {
        self.synced().map_err(Fault::of_cluster)?;
        // Nothing is seen of it, which is not the same as that there is nothing: what is owed there stays owed.
        if !self.namespaces.contains(namespace) {
            return Err(ClusterError::Forbidden(format!(
                "`{namespace}` is none of the namespaces that this service works in (`ALLOWED_NAMESPACES`)"
            )));
        }
        let namespace = namespace.as_str();
        let refusal =
            || self.sets.forbidden(namespace).or_else(|| self.pods.forbidden(namespace)).or_else(|| self.claims.forbidden(namespace));
        match refusal() {
            Some(reason) => Err(ClusterError::Forbidden(reason)),
            None => Ok(()),
        }
    }

    /// Waits until a server is as wanted. It ends early when the lock may be lost, or when nothing moves any more.
    async fn wait(&self, key: &ServerKey, fence: &Fence, arrived: impl Fn(&Server) -> bool + Send) -> Result<(), ClusterError> {
        let mut changes = self.servers.changes();
        let mut states = self.servers.watch(key);
        let mut moved = Instant::now();
        loop {
            changes.mark_unchanged();
            if self.servers.look(key, &arrived) {
                return Ok(());
            }
            // The sender lives as long as the table.
            if states.has_changed().unwrap_or_default() {
                states.mark_unchanged();
                moved = Instant::now();
            }
            let limit = STALL_LIMIT + self.servers.look(key, Server::longest_grace);
            if moved.elapsed() >= limit {
                return Err(ClusterError::Unavailable(format!("nothing has changed of server {key} for {limit:?}").into()));
            }
            fence.check()?;
            // An elapsed period is no error: it is time to look at the fence again.
            let _ = timeout(FENCE_PERIOD, changes.changed()).await;
        }
    }

    /// Waits until reads show a write of ours.
    async fn shown(&self, key: &ServerKey, fence: &Fence, is_shown: impl Fn(&Server) -> bool) -> Result<(), ClusterError> {
        let mut changes = self.servers.changes();
        let shown = changes.wait_for(|_| self.servers.look(key, &is_shown));
        match timeout(fence.call_limit(), shown).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ClusterError::Unavailable(format!("the change of server {key} is not seen yet: the watches are behind").into())),
        }
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    async fn server(&self, key: &ServerKey) -> Result<Arc<ServerState>, ClusterError> {
        self.readable(&key.namespace)?;
        Ok(self.servers.state(key))
    }

    fn behind(&self) -> Option<Duration> {
        let ages = [self.sets.behind(), self.pods.behind(), self.claims.behind()];
        ages.into_iter().flatten().map(|(age, _)| age).chain(self.silence.age()).max()
    }

    async fn watch(&self, key: &ServerKey) -> Result<watch::Receiver<Arc<ServerState>>, ClusterError> {
        self.readable(&key.namespace)?;
        Ok(self.servers.watch(key))
    }

    async fn why_no_pod(&self, key: &ServerKey) -> Result<Option<PodRefusal>, ClusterError> {
        refusal::why_no_pod(self, key).await
    }

    async fn autopsy(&self, key: &ServerKey) -> Autopsy {
        autopsy::autopsy(self, key).await
    }

    async fn probe(&self, key: &ServerKey) -> Option<Duration> {
        self.probe.ask(key).await
    }

    /// By a merge patch of the StatefulSet: its subresource `scale` would need a right of its own.
    async fn set_replicas(&self, key: &ServerKey, replicas: u32, fence: &Fence) -> Result<(), ClusterError> {
        self.patch(key, json!({ "spec": { "replicas": replicas } }), fence).await
    }

    async fn set_dag_state(&self, key: &ServerKey, state: Option<DagState>, fence: &Fence) -> Result<(), ClusterError> {
        self.patch(key, json!({ "metadata": noted(state) }), fence).await
    }

    async fn follow_dags(&self, key: &ServerKey, replicas: u32, state: DagState, fence: &Fence) -> Result<(), ClusterError> {
        self.patch(key, json!({ "metadata": noted(Some(state)), "spec": { "replicas": replicas } }), fence).await
    }

    async fn claims(&self, key: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        self.readable(&key.namespace)?;
        Ok(self.servers.claims(key))
    }

    async fn claims_now(&self, key: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        claims::now(self, key).await
    }

    async fn delete_claims(&self, key: &ServerKey, claims: &[String], fence: &Fence) -> Result<(), ClusterError> {
        claims::delete(self, key, claims, fence).await
    }

    async fn grow_claims(&self, key: &ServerKey, size: &ByteQuantity, fence: &Fence) -> Result<(), ClusterError> {
        claims::grow(self, key, size, fence).await
    }

    async fn delete_stateful_set(&self, key: &ServerKey, keep_pods: bool, fence: &Fence) -> Result<(), ClusterError> {
        deleting::delete_stateful_set(self, key, keep_pods, fence).await
    }

    async fn delete_broken_pods(&self, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError> {
        pods::delete_broken(self, key, fence).await
    }

    async fn delete_orphans(&self, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError> {
        fence.check()?;
        self.readable(&key.namespace)?;
        pods::delete_orphans(self, key, fence).await
    }

    async fn has_warehouse_secret(&self, namespace: &Namespace, warehouse: Warehouse) -> Result<bool, ClusterError> {
        let api = self.api::<Secret>(namespace);
        let found = call(READ_LIMIT, api.get_metadata_opt(&warehouse.secret_name())).await;
        Ok(found.map_err(Fault::of_cluster)?.is_some())
    }

    async fn check(&self) -> Result<(), ClusterError> {
        // A watch that broke is begun anew at once; only one that stays broken is worth a word.
        let begun = Instant::now();
        let request = Request::get("/version").body(Vec::new()).map_err(|error| ClusterError::Unexpected(error.into()))?;
        let answer = match call(CHECK_LIMIT, self.client.request_text(request)).await {
            // Whoever refuses has answered.
            Ok(_) | Err(Fault::Forbidden(_) | Fault::Refused(_) | Fault::NotFound(_)) => Ok(()),
            Err(fault) => Err(fault.of_cluster()),
        };
        self.silence.note(begun, answer.is_ok());
        answer?;
        let deadline = begun + CHECK_LIMIT;
        self.sets.current(deadline).await.map_err(Fault::of_cluster)?;
        self.pods.current(deadline).await.map_err(Fault::of_cluster)?;
        self.claims.current(deadline).await.map_err(Fault::of_cluster)
    }
}

#[async_trait]
impl Barrier for KubeCluster {
    async fn seen(&self, kind: &str, key: &ObjectKey, version: &str, limit: Duration) -> Result<(), Fault> {
        if !self.namespaces.iter().any(|namespace| namespace.as_str() == key.namespace) {
            return Ok(());
        }
        match kind {
            "StatefulSet" => self.sets.seen(key, version, limit).await,
            "PersistentVolumeClaim" => self.claims.seen(key, version, limit).await,
            _ => Ok(()),
        }
    }

    async fn gone(&self, kind: &str, key: &ObjectKey, uid: &str, limit: Duration) -> Result<(), Fault> {
        match kind {
            "StatefulSet" => {
                let Some(server) = fold::server_key(&key.namespace, &key.name) else { return Ok(()) };
                let is_gone = || self.servers.look(&server, |server| server.set.as_ref().is_none_or(|set| set.uid != uid));
                self.sets.until(limit, is_gone).await
            }
            "PersistentVolumeClaim" => {
                let Some((server, ordinal)) = fold::server_of_claim(&key.namespace, &key.name) else { return Ok(()) };
                let is_gone = || self.servers.look(&server, |server| server.claims.get(&ordinal).is_none_or(|view| view.uid != uid));
                self.claims.until(limit, is_gone).await
            }
            _ => Ok(()),
        }
    }
}

fn apis<K>(client: &Client, namespaces: &[Namespace]) -> Vec<(String, Api<K>)>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let api = |namespace: &Namespace| (namespace.to_string(), Api::namespaced(client.clone(), namespace.as_str()));
    namespaces.iter().map(api).collect()
}

fn object_key(server: &ServerKey) -> ObjectKey {
    ObjectKey::new(server.namespace.as_str(), server.name.as_str())
}

/// The note of what the DAGs were doing, for a merge patch, which takes an annotation away that is null in it.
fn noted(state: Option<DagState>) -> serde_json::Value {
    json!({ "annotations": { (fold::DAG_STATE): state.map(DagState::as_str) } })
}

fn own_patch() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn denied(denied: Denied) -> ClusterError {
    match denied {
        Denied::Fenced(down) => ClusterError::Fenced(down),
        Denied::Fault(fault) => fault.of_cluster(),
    }
}
