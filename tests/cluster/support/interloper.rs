//! A human who does something with Helm just before the service takes a step.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::Ports;
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use dbt_controller_domain::ports::{ChartInstaller, ConnectionError, ConnectionStore, Fence, InstallerError};
use dbt_controller_tests::{Helm, HelmVersion, Namespace};

/// A step of a deploy that goes through a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Record,
    Apply,
    Connect,
    Commit,
}

/// What the human does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// `helm rollback` to the first revision.
    RollBack,
    /// `helm uninstall`.
    Uninstall,
}

/// A human with both Helms. What is planned is done once, and seen by the service before its step goes on.
pub(crate) struct Interloper {
    installer: Arc<dyn ChartInstaller>,
    connections: Arc<dyn ConnectionStore>,
    helms: [Helm; 2],
    plans: Mutex<Vec<Plan>>,
}

struct Plan {
    release: String,
    step: Step,
    helm: HelmVersion,
    act: Act,
}

impl Step {
    pub(crate) const ALL: [Self; 4] = [Self::Record, Self::Apply, Self::Connect, Self::Commit];
}

impl Act {
    pub(crate) const ALL: [Self; 2] = [Self::RollBack, Self::Uninstall];
}

impl Interloper {
    /// A human between the service and its ports.
    pub(crate) fn between(ports: Ports, namespace: &Namespace) -> (Arc<Self>, Ports) {
        let connections = ports.connections.clone().expect("a stage has an Airflow");
        let helms = HelmVersion::ALL.map(|version| Helm::new(version, namespace));
        let interloper = Arc::new(Self { installer: Arc::clone(&ports.installer), connections, helms, plans: Mutex::default() });
        let wrapped = Ports { installer: Arc::clone(&interloper) as _, connections: Some(Arc::clone(&interloper) as _), ..ports };
        (interloper, wrapped)
    }

    /// Plans an act for the next time that a deploy of this release comes to this step.
    pub(crate) fn plan(&self, release: &str, step: Step, helm: HelmVersion, act: Act) {
        self.plans.lock().unwrap().push(Plan { release: release.to_owned(), step, helm, act });
    }

    /// Acts at once.
    pub(crate) async fn act(&self, release: &str, helm: HelmVersion, act: Act) {
        let helm = &self.helms[helm as usize];
        let before = self.newest(release).await.map(|(revision, _)| revision);
        match act {
            Act::RollBack => helm.run(&["rollback", release, "1"]).await,
            Act::Uninstall => helm.run(&["uninstall", release]).await,
        };
        // The service's caller waits, and gives up in time.
        while !match (act, self.newest(release).await) {
            (Act::RollBack, Some((revision, status))) => Some(revision) > before && status == ReleaseStatus::Deployed,
            (Act::Uninstall, newest) => newest.is_none(),
            (Act::RollBack, None) => false,
        } {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The newest revision that the service sees.
    async fn newest(&self, release: &str) -> Option<(RevisionNumber, ReleaseStatus)> {
        let releases = self.installer.list().await.unwrap();
        let seen = releases.iter().find(|seen| seen.key.name.as_str() == release)?;
        Some((seen.revision, seen.status))
    }

    async fn before(&self, step: Step, release: &ReleaseName) {
        let planned = {
            let mut plans = self.plans.lock().unwrap();
            let found = plans.iter().position(|plan| plan.step == step && plan.release == release.as_str());
            found.map(|found| plans.swap_remove(found))
        };
        if let Some(Plan { release, helm, act, .. }) = planned {
            self.act(&release, helm, act).await;
        }
    }
}

#[async_trait]
impl ChartInstaller for Interloper {
    async fn list(&self) -> Result<Vec<Arc<ReleaseSummary>>, InstallerError> {
        self.installer.list().await
    }

    async fn summary(&self, key: &ReleaseKey) -> Result<Option<Arc<ReleaseSummary>>, InstallerError> {
        self.installer.summary(key).await
    }

    fn behind(&self) -> Option<Duration> {
        self.installer.behind()
    }

    async fn check(&self) -> Result<(), InstallerError> {
        self.installer.check().await
    }

    async fn get(&self, key: &ReleaseKey, revision: Option<RevisionNumber>) -> Result<Option<Release>, InstallerError> {
        self.installer.get(key, revision).await
    }

    async fn manifest_hash(&self, desired: &DesiredRelease) -> Result<ManifestHash, InstallerError> {
        self.installer.manifest_hash(desired).await
    }

    async fn begin(&self, desired: &DesiredRelease, fence: &Fence) -> Result<RevisionHandle, InstallerError> {
        self.before(Step::Record, &desired.key.name).await;
        self.installer.begin(desired, fence).await
    }

    async fn apply(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        self.before(Step::Apply, &revision.key.name).await;
        self.installer.apply(revision, fence).await
    }

    async fn commit(&self, revision: &RevisionHandle, fence: &Fence) -> Result<(), InstallerError> {
        self.before(Step::Commit, &revision.key.name).await;
        self.installer.commit(revision, fence).await
    }

    async fn fail(&self, revision: &RevisionHandle, description: &str, fence: &Fence) -> Result<(), InstallerError> {
        self.installer.fail(revision, description, fence).await
    }

    async fn roll_back(
        &self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        description: &str,
        fence: &Fence,
    ) -> Result<RevisionHandle, InstallerError> {
        self.installer.roll_back(failed, to, description, fence).await
    }

    async fn repair(&self, key: &ReleaseKey, fence: &Fence) -> Result<Vec<String>, InstallerError> {
        self.installer.repair(key, fence).await
    }

    async fn objects(&self, key: &ReleaseKey) -> Result<Vec<String>, InstallerError> {
        self.installer.objects(key).await
    }

    async fn uninstall(&self, key: &ReleaseKey, fence: &Fence) -> Result<Uninstalled, InstallerError> {
        self.installer.uninstall(key, fence).await
    }
}

#[async_trait]
impl ConnectionStore for Interloper {
    async fn get(&self, id: &ConnectionId) -> Result<Option<StoredConnection>, ConnectionError> {
        self.connections.get(id).await
    }

    async fn put<'a>(
        &self,
        connection: &Connection,
        known: Option<&'a StoredConnection>,
        fence: &Fence,
    ) -> Result<PutOutcome, ConnectionError> {
        self.before(Step::Connect, &connection.owner.name).await;
        self.connections.put(connection, known, fence).await
    }

    async fn delete(&self, id: &ConnectionId, fence: &Fence) -> Result<DeleteOutcome, ConnectionError> {
        self.connections.delete(id, fence).await
    }

    async fn list_ours(&self) -> Result<Vec<StoredConnection>, ConnectionError> {
        self.connections.list_ours().await
    }

    async fn check(&self) -> Result<ConnectionStoreHealth, ConnectionError> {
        self.connections.check().await
    }

    async fn all_dags(&self) -> Result<AllDagsReading, ConnectionError> {
        self.connections.all_dags().await
    }

    async fn dags(&self, release: &ReleaseName) -> Result<DagsReading, ConnectionError> {
        self.connections.dags(release).await
    }
}
