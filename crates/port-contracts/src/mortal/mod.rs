//! The ports of a replica whose process can be frozen or killed at any of its calls.

mod process;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::Ports;
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use dbt_controller_domain::ports::*;
use tokio::sync::watch;

pub use self::process::{Life, Process};

/// A port, as the process of one replica calls it.
struct Mortal<P: ?Sized> {
    process: Arc<Process>,
    port: Arc<P>,
}

/// The ports of a world, called by a process. Clock and chance are no calls.
pub fn ports(process: &Arc<Process>, world: Ports) -> Ports {
    let Ports { installer, cluster, connections, events, operations, clock, random } = world;
    Ports {
        events,
        installer: Arc::new(Mortal { process: Arc::clone(process), port: installer }),
        cluster: Arc::new(Mortal { process: Arc::clone(process), port: cluster }),
        connections: connections.map(|port| Arc::new(Mortal { process: Arc::clone(process), port }) as _),
        operations: Arc::new(Mortal { process: Arc::clone(process), port: operations }),
        clock,
        random,
    }
}

#[async_trait]
impl ChartInstaller for Mortal<dyn ChartInstaller> {
    async fn list(&self) -> Result<Vec<Arc<ReleaseSummary>>, InstallerError> {
        self.process.call(self.port.list()).await
    }

    async fn summary(&self, key: &ReleaseKey) -> Result<Option<Arc<ReleaseSummary>>, InstallerError> {
        self.process.call(self.port.summary(key)).await
    }

    fn behind(&self) -> Option<Duration> {
        self.port.behind()
    }

    async fn check(&self) -> Result<(), InstallerError> {
        self.process.call(self.port.check()).await
    }

    async fn get(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Option<Release>, InstallerError> {
        self.process.call(self.port.get(key, revision)).await
    }

    async fn manifest_hash(&self, desired: &DesiredRelease) -> Result<ManifestHash, InstallerError> {
        self.process.call(self.port.manifest_hash(desired)).await
    }

    async fn begin(&self, desired: &DesiredRelease, fence: &Fence) -> Result<RevisionHandle, InstallerError> {
        self.process.call(self.port.begin(desired, fence)).await
    }

    async fn apply(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        self.process.call(self.port.apply(revision, fence)).await
    }

    async fn commit(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        self.process.call(self.port.commit(revision, fence)).await
    }

    async fn fail(&self, revision: &RevisionHandle, description: &str, fence: &Fence) -> Result<(), InstallerError> {
        self.process.call(self.port.fail(revision, description, fence)).await
    }

    async fn roll_back(
        &self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        description: &str,
        fence: &Fence,
    ) -> Result<RevisionHandle, InstallerError> {
        self.process.call(self.port.roll_back(failed, to, description, fence)).await
    }

    async fn repair(&self, key: &ReleaseKey, fence: &Fence) -> Result<Vec<String>, InstallerError> {
        self.process.call(self.port.repair(key, fence)).await
    }

    async fn objects(&self, key: &ReleaseKey) -> Result<Vec<String>, InstallerError> {
        self.process.call(self.port.objects(key)).await
    }

    async fn uninstall(&self, key: &ReleaseKey, fence: &Fence) -> Result<Uninstalled, InstallerError> {
        self.process.call(self.port.uninstall(key, fence)).await
    }
}

#[async_trait]
impl Cluster for Mortal<dyn Cluster> {
    async fn server(&self, key: &ServerKey) -> Result<Arc<ServerState>, ClusterError> {
        self.process.call(self.port.server(key)).await
    }

    fn behind(&self) -> Option<Duration> {
        self.port.behind()
    }

    async fn watch(&self, key: &ServerKey) -> Result<watch::Receiver<Arc<ServerState>>, ClusterError> {
        self.process.call(self.port.watch(key)).await
    }

    async fn why_no_pod(&self, key: &ServerKey) -> Result<Option<PodRefusal>, ClusterError> {
        self.process.call(self.port.why_no_pod(key)).await
    }

    async fn autopsy(&self, key: &ServerKey) -> Autopsy {
        self.process.call(self.port.autopsy(key)).await
    }

    async fn probe(&self, key: &ServerKey) -> Option<Duration> {
        self.process.call(self.port.probe(key)).await
    }

    async fn set_replicas(&self, key: &ServerKey, replicas: u32, fence: &Fence) -> Result<(), ClusterError> {
        self.process.call(self.port.set_replicas(key, replicas, fence)).await
    }

    async fn set_dag_state(&self, key: &ServerKey, state: Option<DagState>, fence: &Fence) -> Result<(), ClusterError> {
        self.process.call(self.port.set_dag_state(key, state, fence)).await
    }

    async fn follow_dags(&self, key: &ServerKey, replicas: u32, state: DagState, fence: &Fence) -> Result<(), ClusterError> {
        self.process.call(self.port.follow_dags(key, replicas, state, fence)).await
    }

    async fn claims(&self, key: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        self.process.call(self.port.claims(key)).await
    }

    async fn claims_now(&self, key: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        self.process.call(self.port.claims_now(key)).await
    }

    async fn delete_claims(&self, key: &ServerKey, claims: &[String], fence: &Fence) -> Result<(), ClusterError> {
        self.process.call(self.port.delete_claims(key, claims, fence)).await
    }

    async fn grow_claims(&self, key: &ServerKey, size: &ByteQuantity, fence: &Fence) -> Result<(), ClusterError> {
        self.process.call(self.port.grow_claims(key, size, fence)).await
    }

    async fn delete_stateful_set(&self, key: &ServerKey, keep_pods: bool, fence: &Fence) -> Result<(), ClusterError> {
        self.process.call(self.port.delete_stateful_set(key, keep_pods, fence)).await
    }

    async fn delete_broken_pods(&self, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError> {
        self.process.call(self.port.delete_broken_pods(key, fence)).await
    }

    async fn delete_orphans(&self, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError> {
        self.process.call(self.port.delete_orphans(key, fence)).await
    }

    async fn has_warehouse_secret(&self, namespace: &Namespace, warehouse: Warehouse) -> Result<bool, ClusterError> {
        self.process.call(self.port.has_warehouse_secret(namespace, warehouse)).await
    }

    async fn check(&self) -> Result<(), ClusterError> {
        self.process.call(self.port.check()).await
    }
}

#[async_trait]
impl ConnectionStore for Mortal<dyn ConnectionStore> {
    async fn get(&self, id: &ConnectionId) -> Result<Option<StoredConnection>, ConnectionError> {
        self.process.call(self.port.get(id)).await
    }

    async fn put<'a>(
        &self,
        connection: &Connection,
        known: Option<&'a StoredConnection>,
        fence: &Fence,
    ) -> Result<PutOutcome, ConnectionError> {
        self.process.call(self.port.put(connection, known, fence)).await
    }

    async fn delete(&self, id: &ConnectionId, fence: &Fence) -> Result<DeleteOutcome, ConnectionError> {
        self.process.call(self.port.delete(id, fence)).await
    }

    async fn list_ours(&self) -> Result<Vec<StoredConnection>, ConnectionError> {
        self.process.call(self.port.list_ours()).await
    }

    async fn check(&self) -> Result<ConnectionStoreHealth, ConnectionError> {
        self.process.call(self.port.check()).await
    }

    async fn all_dags(&self) -> Result<AllDagsReading, ConnectionError> {
        self.process.call(self.port.all_dags()).await
    }

    async fn dags(&self, release: &ReleaseName) -> Result<DagsReading, ConnectionError> {
        self.process.call(self.port.dags(release)).await
    }
}

#[async_trait]
impl OperationStore for Mortal<dyn OperationStore> {
    async fn read(&self, release: &ReleaseName) -> Result<Option<StoredRecord>, StoreError> {
        self.process.call(self.port.read(release)).await
    }

    async fn compare_and_swap(
        &self,
        release: &ReleaseName,
        expected: Option<Version>,
        record: Arc<OperationRecord>,
    ) -> Result<Version, StoreError> {
        self.process.call(self.port.compare_and_swap(release, expected, record)).await
    }

    async fn remove(&self, release: &ReleaseName, expected: Version) -> Result<(), StoreError> {
        self.process.call(self.port.remove(release, expected)).await
    }

    async fn list(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.process.call(self.port.list()).await
    }

    fn behind(&self) -> Option<Duration> {
        self.port.behind()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.process.call(self.port.check()).await
    }

    async fn watch(&self, release: &ReleaseName) -> watch::Receiver<Option<Arc<OperationRecord>>> {
        self.process.call(self.port.watch(release)).await
    }

    fn leadership(&self) -> watch::Receiver<bool> {
        self.port.leadership()
    }
}
