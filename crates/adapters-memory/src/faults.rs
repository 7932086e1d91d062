//! Planned faults and counted calls.

use std::sync::Arc;

use dbt_controller_domain::words;

use crate::world::Inner;

words! {
    /// A method of a port, as faults and counts name it. Clock and random have no faults and are not counted.
    pub enum Call {
        /// `ChartInstaller::list`
        InstallerList = "installer.list",
        /// `ChartInstaller::summary`
        InstallerSummary = "installer.summary",
        /// `ChartInstaller::get`
        InstallerGet = "installer.get",
        /// `ChartInstaller::manifest_hash`
        InstallerManifestHash = "installer.manifest_hash",
        /// `ChartInstaller::begin`
        InstallerBegin = "installer.begin",
        /// `ChartInstaller::apply`
        InstallerApply = "installer.apply",
        /// `ChartInstaller::commit`
        InstallerCommit = "installer.commit",
        /// `ChartInstaller::fail`
        InstallerFail = "installer.fail",
        /// `ChartInstaller::roll_back`
        InstallerRollBack = "installer.roll_back",
        /// `ChartInstaller::repair`
        InstallerRepair = "installer.repair",
        /// `ChartInstaller::objects`
        InstallerObjects = "installer.objects",
        /// `ChartInstaller::uninstall`
        InstallerUninstall = "installer.uninstall",
        /// `Cluster::server`
        ClusterServer = "cluster.server",
        /// `Cluster::watch`
        ClusterWatch = "cluster.watch",
        /// `Cluster::why_no_pod`
        ClusterWhyNoPod = "cluster.why_no_pod",
        /// `Cluster::autopsy`: a fault leaves a gap in it.
        ClusterAutopsy = "cluster.autopsy",
        /// `Cluster::probe`: a fault is no answer.
        ClusterProbe = "cluster.probe",
        /// `Cluster::set_replicas`
        ClusterSetReplicas = "cluster.set_replicas",
        /// `Cluster::set_dag_state`
        ClusterSetDagState = "cluster.set_dag_state",
        /// `Cluster::follow_dags`
        ClusterFollowDags = "cluster.follow_dags",
        /// `Cluster::claims`
        ClusterClaims = "cluster.claims",
        /// `Cluster::claims_now`
        ClusterClaimsNow = "cluster.claims_now",
        /// `Cluster::delete_claims`
        ClusterDeleteClaims = "cluster.delete_claims",
        /// `Cluster::grow_claims`
        ClusterGrowClaims = "cluster.grow_claims",
        /// `Cluster::delete_stateful_set`
        ClusterDeleteStatefulSet = "cluster.delete_stateful_set",
        /// `Cluster::delete_broken_pods`
        ClusterDeleteBrokenPods = "cluster.delete_broken_pods",
        /// `Cluster::delete_orphans`
        ClusterDeleteOrphans = "cluster.delete_orphans",
        /// `Cluster::has_warehouse_secret`
        ClusterHasWarehouseSecret = "cluster.has_warehouse_secret",
        /// `Cluster::check`
        ClusterCheck = "cluster.check",
        /// `ConnectionStore::get`
        ConnectionsGet = "connections.get",
        /// `ConnectionStore::put`
        ConnectionsPut = "connections.put",
        /// `ConnectionStore::delete`
        ConnectionsDelete = "connections.delete",
        /// `ConnectionStore::list_ours`
        ConnectionsListOurs = "connections.list_ours",
        /// `ConnectionStore::check`
        ConnectionsCheck = "connections.check",
        /// `ConnectionStore::dags`
        ConnectionsDags = "connections.dags",
        /// `ConnectionStore::all_dags`
        ConnectionsAllDags = "connections.all_dags",
        /// `OperationStore::read`
        OperationsRead = "operations.read",
        /// `OperationStore::compare_and_swap`
        OperationsCompareAndSwap = "operations.compare_and_swap",
        /// `OperationStore::remove`
        OperationsRemove = "operations.remove",
        /// `OperationStore::list`
        OperationsList = "operations.list",
        /// `OperationStore::watch`: a fault gives a watch whose sender is gone.
        OperationsWatch = "operations.watch",
    }
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It is not done, and the answer is `Unavailable`.
    Fail,
    /// It is not done; the answer is `Unavailable` when the longest time that the call may last is over: [`Fence::call_limit`] for
    /// a write, 10 s for a read, 2 s for a probe. With the fence down by then it is `Fenced`.
    ///
    /// [`Fence::call_limit`]: dbt_controller_domain::ports::Fence::call_limit
    Hang,
    /// It is done, and the answer is `Unavailable`.
    LoseAnswer,
    /// It is not done, and the answer is the port's error for a missing right (`Forbidden`; Airflow's `Refused`), or one of the
    /// operation store that does not pass by itself either (`Unreadable`).
    Forbid,
}

/// One planned fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which method.
    pub method: Call,
    /// Its how manieth call from the planning on, from 1.
    pub nth: u32,
    /// What happens.
    pub kind: FaultKind,
    /// How many calls in a row it strikes.
    pub times: u32,
}

impl Fault {
    /// Strikes the `nth` call (from 1, counted from the planning on), once.
    pub fn new(method: Call, nth: u32, kind: FaultKind) -> Self {
        Self { method, nth, kind, times: 1 }
    }

    /// Strikes this many calls in a row instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }
}

/// Plans the faults of a world.
#[derive(Debug, Clone)]
pub struct Faults(pub(crate) Arc<Inner>);

impl Faults {
    /// Plans one fault. Several may be planned for one method; of those that strike one call, the one planned first does.
    pub fn plan(&self, fault: Fault) {
        self.0.gate.plan(fault);
    }

    /// Forgets what was planned and has not struck.
    pub fn clear(&self) {
        self.0.gate.clear();
    }

    /// What was planned and has not yet struck to its end; `nth` is counted from now on. A test asserts that it is empty, lest it pass
    /// because the planned call was never made.
    pub fn pending(&self) -> Vec<Fault> {
        self.0.gate.pending()
    }
}

/// Counts the calls of a world's ports, by all instances together. A call counts even if a fault, the fence or an outage stops it.
#[derive(Debug, Clone)]
pub struct Calls(pub(crate) Arc<Inner>);

impl Calls {
    /// How often a method was called since the world began.
    pub fn count(&self, method: Call) -> u64 {
        self.0.gate.count(method)
    }

    /// Every method that was called, and how often. Subtract an earlier reading to see what a step called.
    pub fn all(&self) -> Vec<(Call, u64)> {
        Call::ALL.iter().map(|method| (*method, self.count(*method))).filter(|(_, count)| *count > 0).collect()
    }
}
