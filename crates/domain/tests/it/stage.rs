//! One or more controllers over one world.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_memory::{Call, MemoryWorld, WorldOptions};
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::ConnectionId;
use dbt_controller_domain::ports::{ConnectionStore, OperationStore};
use dbt_controller_domain::{Controller, Ports};
use dbt_controller_port_contracts::fixtures;

pub(crate) struct Stage {
    pub(crate) world: MemoryWorld,
    pub(crate) controller: Arc<Controller>,
}

pub(crate) fn settings() -> Settings {
    let namespaces = ["dbt-server", "data"].map(|name| name.parse().unwrap()).to_vec();
    Settings { namespaces, ..Settings::new("dbt-server".parse().unwrap()) }
}

pub(crate) fn world() -> MemoryWorld {
    MemoryWorld::new(WorldOptions { namespaces: settings().namespaces, ..WorldOptions::default() })
}

/// A replica of the service on this world.
pub(crate) fn replica(world: &MemoryWorld, operations: Arc<dyn OperationStore>, settings: Settings) -> Arc<Controller> {
    replica_with(world, operations, Some(world.connections()), settings)
}

/// The same with this Airflow, or none.
pub(crate) fn replica_with(
    world: &MemoryWorld,
    operations: Arc<dyn OperationStore>,
    connections: Option<Arc<dyn ConnectionStore>>,
    settings: Settings,
) -> Arc<Controller> {
    Controller::new(ports(world, operations, connections), settings)
}

/// The ports of a world, with this store and this Airflow, or none.
pub(crate) fn ports(world: &MemoryWorld, operations: Arc<dyn OperationStore>, connections: Option<Arc<dyn ConnectionStore>>) -> Ports {
    Ports {
        installer: world.installer(),
        cluster: world.cluster(),
        connections,
        events: None,
        operations,
        clock: world.clock(),
        random: world.random(),
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let world = world();
        let controller = replica(&world, world.operations(), settings);
        Self { world, controller }
    }

    pub(crate) async fn deploy(&self, request: DeployRequest) -> Result<Success, Failure> {
        deploy(&self.controller, request).await
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<Success, Failure> {
        let ticket = self.controller.delete(&target(name), caller()).await?;
        self.controller.wait(&ticket).await?.outcome.clone()
    }

    /// Waits for the next call of this kind.
    pub(crate) async fn next(&self, call: Call) {
        let before = self.world.calls().count(call);
        while self.world.calls().count(call) == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every open debt.
    pub(crate) async fn debts(&self) -> Vec<Debt> {
        self.controller.operations().await.unwrap().iter().flat_map(|view| view.debts.clone()).collect()
    }

    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.world.leftovers(), Vec::<String>::new());
    }
}

pub(crate) async fn deploy(controller: &Arc<Controller>, request: DeployRequest) -> Result<Success, Failure> {
    let ticket = controller.deploy(request, caller()).await?;
    controller.wait(&ticket).await?.outcome.clone()
}

pub(crate) fn target(name: &str) -> Target {
    Target { name: name.to_owned(), namespace: None }
}

pub(crate) fn caller() -> Caller {
    fixtures::caller()
}

pub(crate) fn key(name: &str) -> ReleaseKey {
    ReleaseKey { namespace: "dbt-server".parse().unwrap(), name: name.parse().unwrap() }
}

pub(crate) fn server(name: &str) -> ServerKey {
    ServerKey { namespace: "dbt-server".parse().unwrap(), name: name.parse().unwrap() }
}

pub(crate) fn request(project: &str, branch: Option<&str>, tag: &str) -> DeployRequest {
    let request = fixtures::request(project, branch).tag(tag).warehouse(Warehouse::Bigquery);
    request.git_url("https://bot:git-canary@git.example.com/r.git").build()
}

pub(crate) const NAME: &str = "dbt-server-test-project-main";

pub(crate) fn main_request(tag: &str) -> DeployRequest {
    request("test-project", Some("main"), tag)
}

/// Lets a replica do the background work for a while.
pub(crate) async fn background_for(replica: Arc<Controller>, time: Duration) {
    let ended = tokio::time::timeout(time, replica.run_background()).await;
    assert!(ended.is_err(), "the background work ended by itself");
}

/// Its connection.
pub(crate) fn connection() -> ConnectionId {
    "test_project_main".parse().unwrap()
}

pub(crate) fn with_password(tag: &str, password: &str) -> DeployRequest {
    let mut request = main_request(tag);
    request.credentials.password = Some(password.to_owned().into());
    request
}

#[track_caller]
pub(crate) fn revision(outcome: Result<Success, Failure>) -> u32 {
    match outcome {
        Ok(Success::Deployed { revision, .. }) => revision.0,
        other => panic!("expected a deployment, not {other:?}"),
    }
}

#[track_caller]
pub(crate) fn code(outcome: Result<Success, Failure>) -> FailureCode {
    match outcome {
        Err(failure) => failure.code,
        Ok(success) => panic!("expected a failure, not {success:?}"),
    }
}

/// Somebody's `helm upgrade` to a server that crashes and logs a secret of its own, which only who knows it can tell from other text.
pub(crate) async fn crashing(world: &MemoryWorld, storage_size: &str) -> RevisionNumber {
    let mut request =
        fixtures::request("test-project", Some("main")).tag("crash-1").git_url("https://git.example.com/r.git?token=old-secret").build();
    request.resources.storage_size = storage_size.parse().unwrap();
    let revision = world.releases().deploy(&fixtures::desired(request)).unwrap();
    // Until the pod of the revision before is gone and the new one has crashed.
    tokio::time::sleep(Duration::from_secs(60)).await;
    revision
}

/// The autopsy has the log of the server of [`crashing`], and not its secret.
#[track_caller]
pub(crate) fn assert_tells_no_secret(failure: &Failure) {
    let told = format!("{failure:?}");
    assert!(told.contains("Cloning into") && !told.contains("old-secret"), "{told}");
}

/// The revisions of the deployment and their statuses, oldest first.
pub(crate) fn statuses(stage: &Stage) -> Vec<(u32, ReleaseStatus)> {
    stage.world.releases().history(&key(NAME)).iter().map(|row| (row.revision.0, row.status)).collect()
}
