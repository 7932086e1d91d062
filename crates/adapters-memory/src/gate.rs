//! The gate through which every call of every port goes: it counts, asks the fence, and lets planned faults and outages strike.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dbt_controller_domain::ports::{BoxError, ClusterError, ConnectionError, Fence, FenceDown, InstallerError, StoreError};

use crate::faults::{Call, Fault, FaultKind};
use crate::world::{AirflowLink, ClusterLink, Inner, Scene};

/// The longest that a read lasts ("reads: 10 s" in the rules of the ports).
const READ_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Gate {
    counts: Vec<AtomicU64>,
    planned: Mutex<Vec<Fault>>,
}

/// Leave to go on, and whether the answer will be lost.
#[must_use]
struct Pass {
    loses_answer: bool,
}

/// The errors that can meet a call of any port.
pub(crate) trait PortError: Sized + Send {
    fn unavailable(why: BoxError) -> Self;
    fn forbidden(why: String) -> Self;
    /// Nobody was reached by this call.
    fn unreachable(why: BoxError, _method: Call) -> Self {
        Self::unavailable(why)
    }
    fn fenced(down: FenceDown) -> Self;
}

// === impl Inner ===

impl Inner {
    /// One call of a port: through the gate, then `act` on the world, then back with the answer.
    pub(crate) async fn call<T, E: PortError>(
        &self,
        method: Call,
        fence: Option<&Fence>,
        act: impl FnOnce(&mut Scene<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        let pass = self.enter(method, fence).await?;
        let answer = act(&mut self.scene());
        if pass.loses_answer { Err(E::unavailable("planned fault: the answer was lost".into())) } else { answer }
    }

    async fn enter<E: PortError>(&self, method: Call, fence: Option<&Fence>) -> Result<Pass, E> {
        let strike = self.gate.strike(method);
        // A real call lets other tasks run while it is under way.
        tokio::task::yield_now().await;
        let check = || fence.map_or(Ok(()), Fence::check).map_err(E::fenced);
        check()?;
        self.check_link(method)?;
        match strike {
            None => Ok(Pass { loses_answer: false }),
            Some(FaultKind::LoseAnswer) => Ok(Pass { loses_answer: true }),
            Some(FaultKind::Fail) => Err(E::unavailable("planned fault: no answer".into())),
            Some(FaultKind::Forbid) => Err(E::forbidden(format!("planned fault: {method}"))),
            Some(FaultKind::Hang) => {
                tokio::time::sleep(fence.map_or(method.read_limit(), Fence::call_limit)).await;
                check()?;
                Err(E::unavailable("planned fault: no answer in time".into()))
            }
        }
    }

    fn check_link<E: PortError>(&self, method: Call) -> Result<(), E> {
        let scene = self.scene();
        match (method.path(), scene.state.cluster_link, scene.state.airflow_link) {
            (Path::Cache, ClusterLink::NeverSynced, _) => Err(E::unavailable("the cluster's state was not read yet".into())),
            (Path::Cluster, ClusterLink::Lost | ClusterLink::NeverSynced, _) => {
                Err(E::unavailable("connection refused (the cluster was taken down)".into()))
            }
            (Path::Airflow, _, AirflowLink::Down) => Err(E::unreachable("connection refused (Airflow was taken down)".into(), method)),
            (Path::Airflow, _, AirflowLink::RefusesUs) => Err(E::forbidden("wrong user or password".to_owned())),
            // A role that may not see connections may list DAGs all the same.
            (Path::Airflow, _, AirflowLink::RoleTooLow)
                if !matches!(method, Call::ConnectionsCheck | Call::ConnectionsDags | Call::ConnectionsAllDags) =>
            {
                Err(E::forbidden("the role may not see connections; it needs Op".to_owned()))
            }
            (Path::Cache | Path::Cluster, ..) | (Path::Airflow, _, AirflowLink::Up | AirflowLink::RoleTooLow) => Ok(()),
        }
    }
}

// === impl Gate ===

impl Gate {
    pub(crate) fn new() -> Self {
        Self { counts: Call::ALL.iter().map(|_| AtomicU64::new(0)).collect(), planned: Mutex::default() }
    }

    pub(crate) fn count(&self, method: Call) -> u64 {
        self.counts[method as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn plan(&self, fault: Fault) {
        self.planned().push(fault);
    }

    pub(crate) fn clear(&self) {
        self.planned().clear();
    }

    pub(crate) fn pending(&self) -> Vec<Fault> {
        self.planned().clone()
    }

    /// Counts a call, and says which fault strikes it.
    fn strike(&self, method: Call) -> Option<FaultKind> {
        self.counts[method as usize].fetch_add(1, Ordering::Relaxed);
        let mut planned = self.planned();
        let mut kind = None;
        for fault in planned.iter_mut().filter(|fault| fault.method == method) {
            if fault.nth > 1 {
                fault.nth -= 1;
            } else {
                fault.times = fault.times.saturating_sub(1);
                kind = kind.or(Some(fault.kind));
            }
        }
        planned.retain(|fault| fault.times > 0);
        kind
    }

    fn planned(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Call ===

/// Where the answer to a call comes from.
enum Path {
    /// From what this replica keeps of the cluster; answered while the cluster is away.
    Cache,
    Cluster,
    Airflow,
}

impl Call {
    fn path(self) -> Path {
        match self {
            Self::InstallerList
            | Self::InstallerSummary
            | Self::InstallerObjects
            | Self::ClusterServer
            | Self::ClusterWatch
            | Self::ClusterClaims
            | Self::OperationsList
            | Self::OperationsWatch => Path::Cache,
            Self::InstallerGet
            | Self::InstallerManifestHash
            | Self::InstallerBegin
            | Self::InstallerApply
            | Self::InstallerCommit
            | Self::InstallerFail
            | Self::InstallerRollBack
            | Self::InstallerRepair
            | Self::InstallerUninstall
            | Self::ClusterWhyNoPod
            | Self::ClusterAutopsy
            | Self::ClusterProbe
            | Self::ClusterSetReplicas
            | Self::ClusterSetDagState
            | Self::ClusterFollowDags
            | Self::ClusterDeleteClaims
            | Self::ClusterGrowClaims
            | Self::ClusterDeleteStatefulSet
            | Self::ClusterDeleteBrokenPods
            | Self::ClusterDeleteOrphans
            | Self::ClusterClaimsNow
            | Self::ClusterHasWarehouseSecret
            | Self::ClusterCheck
            | Self::OperationsRead
            | Self::OperationsCompareAndSwap
            | Self::OperationsRemove => Path::Cluster,
            Self::ConnectionsGet
            | Self::ConnectionsPut
            | Self::ConnectionsDelete
            | Self::ConnectionsListOurs
            | Self::ConnectionsCheck
            | Self::ConnectionsDags
            | Self::ConnectionsAllDags => Path::Airflow,
        }
    }

    fn read_limit(self) -> Duration {
        match self {
            // "did not answer within 2 s"
            Self::ClusterProbe => Duration::from_secs(2),
            _ => READ_LIMIT,
        }
    }
}

// === impl PortError ===

impl PortError for InstallerError {
    fn unavailable(why: BoxError) -> Self {
        Self::Unavailable(why)
    }

    fn forbidden(why: String) -> Self {
        Self::Forbidden(why)
    }

    fn fenced(down: FenceDown) -> Self {
        Self::Fenced(down)
    }
}

impl PortError for ClusterError {
    fn unavailable(why: BoxError) -> Self {
        Self::Unavailable(why)
    }

    fn forbidden(why: String) -> Self {
        Self::Forbidden(why)
    }

    fn fenced(down: FenceDown) -> Self {
        Self::Fenced(down)
    }
}

impl PortError for ConnectionError {
    fn unavailable(why: BoxError) -> Self {
        Self::Unavailable(why)
    }

    fn forbidden(why: String) -> Self {
        Self::Refused(why)
    }

    fn unreachable(why: BoxError, method: Call) -> Self {
        if method == Call::ConnectionsPut { Self::Unreachable(why) } else { Self::Unavailable(why) }
    }

    fn fenced(down: FenceDown) -> Self {
        Self::Fenced(down)
    }
}

impl PortError for StoreError {
    fn unavailable(why: BoxError) -> Self {
        Self::Unavailable(why)
    }

    fn forbidden(why: String) -> Self {
        Self::Unreadable(why)
    }

    fn fenced(down: FenceDown) -> Self {
        // No method of this port takes a fence: it is what the fence stands on.
        Self::Unexpected(down.into())
    }
}
