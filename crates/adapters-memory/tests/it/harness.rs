//! A world behind the harnesses of the contract suites, and short ways to do common things in it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_adapters_memory::{AirflowLink, Call, Fault, FaultKind, ForeignConnection, Hindrance, MemoryWorld, WorldOptions};
use dbt_controller_domain::model::{
    DesiredRelease, Namespace, PodRefusal, ReleaseKey, RevisionHandle, RevisionNumber, ServerKey, ServerState, Warehouse,
};
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use dbt_controller_domain::ports::{ChartInstaller, Cluster, ConnectionStore, InstallerError, OperationStore};
use dbt_controller_port_contracts::fixtures::{self, RequestBuilder};
use dbt_controller_port_contracts::{
    ClusterHarness, ConnectionHarness, FarSide, Harness, Hook, InstallerHarness, OperationHarness, Patience,
};
use secrecy::SecretString;

/// How long servers take to become ready in these tests.
pub(crate) const READY_AFTER: Duration = Duration::from_secs(1);

pub(crate) fn world() -> MemoryWorld {
    MemoryWorld::new(WorldOptions { ready_after: READY_AFTER, ..WorldOptions::default() })
}

/// A request for `test-project` and `main`.
pub(crate) fn request() -> RequestBuilder {
    fixtures::request("test-project", Some("main"))
}

/// Records and applies what is wanted; nothing is waited for.
pub(crate) async fn apply(world: &MemoryWorld, desired: &DesiredRelease) -> ServerKey {
    let installer = world.installer();
    let handle = begin(world, desired).await.expect("nothing is in the way");
    installer.apply(&handle, &fixtures::fence()).await.expect("nothing is in the way");
    fixtures::server_key(&desired.key)
}

/// Records what was decided on the newest revision that there is.
pub(crate) async fn begin(world: &MemoryWorld, desired: &DesiredRelease) -> Result<RevisionHandle, InstallerError> {
    let newest = world.releases().get(&desired.key).map(|newest| newest.summary.revision);
    world.installer().begin(&DesiredRelease { after: newest, ..desired.clone() }, &fixtures::fence()).await
}

/// Waits by a watch, at most an hour.
pub(crate) async fn until(world: &MemoryWorld, key: &ServerKey, wanted: impl Fn(&ServerState) -> bool) -> Arc<ServerState> {
    let mut watch = world.cluster().watch(key).await.expect("the cluster is up");
    let state = tokio::time::timeout(Duration::from_secs(3600), watch.wait_for(|state| wanted(state))).await;
    let state = state.unwrap_or_else(|_| panic!("it never came to it: {:?}", world.servers().get(key)));
    Arc::clone(&state.expect("the watch stands"))
}

pub(crate) fn is_ready(state: &ServerState) -> bool {
    state.stateful_set.as_ref().is_some_and(|set| {
        set.observed_generation == set.generation && set.updated_replicas == 1 && set.ready_replicas == 1 && set.replicas == 1
    })
}

/// The reason for which the server's container waits.
pub(crate) fn waits_for(state: &ServerState) -> Option<&str> {
    use dbt_controller_domain::model::ContainerStatus;
    match &state.pods.first()?.containers.first()?.status {
        ContainerStatus::Waiting { reason, .. } => Some(reason),
        ContainerStatus::Running { .. } | ContainerStatus::Terminated(_) => None,
    }
}

/// A world for the suites.
pub(crate) struct MemoryHarness {
    pub(crate) world: MemoryWorld,
    /// Whether its far sides may hang, which costs half a minute in real time.
    pub(crate) hangs: bool,
}

/// Supports every hook, so that a check that is skipped fails the test.
#[async_trait]
impl Harness for MemoryHarness {
    fn namespace(&self) -> Namespace {
        fixtures::namespace()
    }

    fn patience(&self) -> Patience {
        // In real time a broken simulation shall not take minutes to be seen as such.
        Patience { change: READY_AFTER * 8, check: Duration::from_secs(60) }
    }

    async fn set_far_side(&self, far_side: FarSide) -> Hook {
        let kind = match far_side {
            FarSide::Answers => {
                self.world.faults().clear();
                return Hook::Done;
            }
            FarSide::Down => FaultKind::Fail,
            FarSide::Hangs if !self.hangs => return Hook::NotSupported,
            FarSide::Hangs => FaultKind::Hang,
        };
        for method in Call::ALL {
            self.world.faults().plan(Fault::new(*method, 1, kind).times(u32::MAX));
        }
        Hook::Done
    }
}

#[async_trait]
impl InstallerHarness for MemoryHarness {
    fn installer(&self) -> Arc<dyn ChartInstaller> {
        self.world.installer()
    }

    fn missing_namespace(&self) -> Option<Namespace> {
        Some("nowhere".parse().expect("it is a DNS label"))
    }

    async fn human_rolls_back(&self, key: &ReleaseKey, to: RevisionNumber) -> Hook {
        self.world.releases().roll_back(key, to).expect("the revision exists");
        Hook::Done
    }

    async fn human_upgrades(&self, key: &ReleaseKey) -> Hook {
        self.world.releases().upgrade(key).expect("nothing is pending");
        Hook::Done
    }

    async fn human_leaves_pending(&self, key: &ReleaseKey) -> Hook {
        self.world.releases().leave_pending(key).expect("the release exists");
        Hook::Done
    }

    async fn human_leaves_uninstalling(&self, key: &ReleaseKey) -> Hook {
        assert!(self.world.releases().leave_uninstalling(key), "the release exists");
        Hook::Done
    }

    async fn human_uninstalls(&self, key: &ReleaseKey, keep_history: bool) -> Hook {
        assert!(self.world.releases().uninstall(key, keep_history), "the release exists");
        Hook::Done
    }

    async fn forget_records(&self, key: &ReleaseKey) -> Hook {
        self.world.releases().forget(key);
        Hook::Done
    }

    async fn plant_object(&self, namespace: &Namespace, object: &str) -> Hook {
        self.world.releases().plant_object(namespace, object, None);
        Hook::Done
    }

    async fn remove_object(&self, key: &ReleaseKey, object: &str) -> Hook {
        self.world.releases().remove_object(key, object);
        Hook::Done
    }

    async fn disturb_object(&self, key: &ReleaseKey, object: &str) -> Hook {
        assert!(self.world.releases().disturb_object(key, object), "the object exists");
        Hook::Done
    }

    async fn break_record(&self, key: &ReleaseKey) -> Hook {
        assert!(self.world.releases().break_record(key, "gzip: invalid header"), "the release exists");
        Hook::Done
    }
}

#[async_trait]
impl ClusterHarness for MemoryHarness {
    fn cluster(&self) -> Arc<dyn Cluster> {
        self.world.cluster()
    }

    async fn write_server(&self, desired: &DesiredRelease) -> ServerKey {
        self.world.releases().deploy(desired).expect("nothing is in the way");
        fixtures::server_key(&desired.key)
    }

    fn crashing_tag(&self) -> Option<String> {
        Some("crash-1".to_owned())
    }

    fn servers_answer(&self) -> bool {
        true
    }

    async fn set_warehouse_secret(&self, namespace: &Namespace, warehouse: Warehouse, exists: bool) -> Hook {
        if exists {
            self.world.servers().restore_warehouse_secret(namespace, warehouse);
        } else {
            self.world.servers().remove_warehouse_secret(namespace, warehouse);
        }
        Hook::Done
    }

    async fn refuse_pods(&self, key: &ServerKey) -> Hook {
        let refusal = PodRefusal { by_quota: true, message: "exceeded quota: compute-resources".to_owned() };
        self.world.servers().hinder(key, Some(Hindrance::Refused(refusal)));
        Hook::Done
    }

    async fn forbid_growth(&self, key: &ServerKey) -> Hook {
        self.world.claims().can_grow(key, false);
        Hook::Done
    }

    async fn human_scales(&self, key: &ServerKey, replicas: u32) -> Hook {
        assert!(self.world.servers().scale(key, replicas), "the server exists");
        Hook::Done
    }
}

#[async_trait]
impl ConnectionHarness for MemoryHarness {
    fn connections(&self) -> Arc<dyn ConnectionStore> {
        self.world.connections()
    }

    async fn plant_foreign(&self, id: &ConnectionId) -> Hook {
        self.world.airflow().plant(ForeignConnection::new(id.clone()));
        Hook::Done
    }

    async fn password(&self, id: &ConnectionId) -> Result<Option<SecretString>, Hook> {
        Ok(self.world.airflow().login(id).map(|(_, password)| password.into()))
    }

    async fn set_dag(&self, release: &ReleaseName, id: &str, paused: bool) -> Hook {
        self.world.airflow().set_dag(release, id, paused);
        Hook::Done
    }

    async fn refuse_login(&self, refuse: bool) -> Hook {
        self.world.set_airflow_link(if refuse { AirflowLink::RefusesUs } else { AirflowLink::Up });
        Hook::Done
    }
}

#[async_trait]
impl OperationHarness for MemoryHarness {
    fn operations(&self) -> Arc<dyn OperationStore> {
        self.world.operations()
    }

    fn other_replica(&self) -> Option<Arc<dyn OperationStore>> {
        Some(self.world.clone().operations())
    }
}
