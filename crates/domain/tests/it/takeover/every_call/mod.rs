//! The crash matrix in memory: whoever does the work is frozen before each of its calls or killed after it, somebody else goes on, and whoever
//! was frozen wakes.

mod debts;
mod requests;
mod takeovers;

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_memory::MemoryWorld;
use dbt_controller_domain::Controller;
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::ConnectionId;
use dbt_controller_port_contracts::mortal::{self, Life, Process};

use crate::adoption::{long_request, old_connection, old_key, plant};
use crate::stage::{NAME, Stage, deploy, key, main_request, ports, revision, settings, target, world};

/// Until what was left behind is taken over and done, and until whoever wakes has noticed.
const TAKEN_OVER: Duration = Duration::from_secs(400);
const WOKEN: Duration = Duration::from_secs(120);

/// What happens at a call: the process is frozen before it and wakes when somebody else has gone on, or it is killed when the call is done.
const STRIKES: [(Life, bool); 2] = [(Life::Frozen, false), (Life::Dead, true)];

/// Somebody who is struck at a call, and the stage of whoever goes on.
struct Scene {
    stage: Stage,
    process: Arc<Process>,
    doomed: Arc<Controller>,
}

impl Scene {
    fn new() -> Self {
        let (world, settings) = (world(), Settings { sleep_with_dags: true, ..settings() });
        let process = Arc::new(Process::new());
        let ports = |world: &MemoryWorld| ports(world, world.operations(), Some(world.connections()));
        let doomed = Controller::new(mortal::ports(&process, ports(&world)), settings.clone());
        let controller = Controller::new(ports(&world), settings);
        Self { stage: Stage { world, controller }, process, doomed }
    }

    /// Sends a request to whoever is struck, and waits for its end, whatever that is.
    async fn ask(&self, request: DeployRequest) {
        drop(deploy(&self.doomed, request).await);
    }

    /// The background work of whoever is struck, until this holds.
    async fn works_until(&self, mut holds: impl AsyncFnMut(&Stage) -> bool) {
        let doomed = Arc::clone(&self.doomed);
        let background = tokio::spawn(async move { doomed.run_background().await });
        while !holds(&self.stage).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        background.abort();
    }

    /// Does something until a process is struck at its call after so many others; false when it makes no more than these.
    async fn struck(&self, calls: u16, (life, done): (Life, bool), act: impl AsyncFn(&Self)) -> bool {
        self.process.strike_at(calls, done, life);
        tokio::select! {
            biased;
            () = self.process.stands_still() => true,
            // The strike may be at its last call.
            () = act(self) => self.process.life() != Life::Running,
        }
    }

    /// Somebody else does the background work for long enough, and then whoever was frozen wakes.
    async fn go_on(&self) {
        let controller = Arc::clone(&self.stage.controller);
        let background = tokio::spawn(async move { controller.run_background().await });
        tokio::time::sleep(TAKEN_OVER).await;
        self.process.set(Life::Running);
        tokio::time::sleep(WOKEN).await;
        background.abort();
    }
}

/// Strikes at every call that is made while something is done, each in a world of its own that was prepared alike.
async fn at_every_call(prepare: impl AsyncFn(&Scene), act: impl AsyncFn(&Scene), check: impl AsyncFn(&Stage, &str)) {
    for strike in STRIKES {
        for calls in 0.. {
            let scene = Scene::new();
            prepare(&scene).await;
            let is_struck = scene.struck(calls, strike, &act).await;
            scene.process.spare();
            scene.go_on().await;
            check(&scene.stage, &format!("{strike:?} at the call after {calls} others")).await;
            if !is_struck {
                assert!(calls > 5, "after {calls} calls it was done");
                break;
            }
        }
    }
}

/// What a deployment is called.
struct Names {
    key: ReleaseKey,
    connection: ConnectionId,
}

impl Names {
    /// By our rules.
    fn own() -> Self {
        Self { key: key(NAME), connection: "test_project_main".parse().unwrap() }
    }

    /// By those of the replaced service.
    fn adopted() -> Self {
        Self { key: old_key(&main_request("v1")), connection: old_connection(&main_request("v1")) }
    }

    /// By our rules, beside a release of the replaced service that cannot be adopted.
    fn replacing() -> Self {
        let identity = long_request("v1").identity;
        Self { key: key(identity.release_names()[0].as_str()), connection: identity.connection_ids()[0].clone() }
    }

    /// Nothing is under way or owed, and the deployment is whole: a release in force, its server and its connection.
    async fn assert_whole(&self, stage: &Stage, case: &str) {
        let Self { key, connection } = self;
        assert!(is_at_rest(stage).await && is_paid(stage).await, "{case}: {:?}", stage.controller.operations().await);
        let world = &stage.world;
        let pending = world.releases().history(key).into_iter().filter(|row| row.status.is_pending()).count();
        assert_eq!((world.releases().count(), pending), (1, 0), "{case}");
        let summary = world.releases().get(key).unwrap_or_else(|| panic!("{case}: no {key}")).summary;
        assert!(summary.standing.deployed.is_some(), "{case}: {:?}", summary.standing);
        let deployment = stage.controller.inspect(&target(key.name.as_str())).await.unwrap();
        assert!(matches!(deployment.server.phase, ServerPhase::Ready | ServerPhase::Sleeping), "{case}: {:?}", deployment.server);
        assert_eq!(world.airflow().count(), 1, "{case}");
        let login = world.airflow().login(connection).map(|(user, password)| Credentials { user, password: password.into() });
        assert_eq!(login, world.releases().get(key).unwrap().credentials, "{case}: the login agrees");
    }

    /// The next POST works, and the next DELETE leaves nothing.
    async fn assert_goes_on(&self, stage: &Stage, next: DeployRequest, case: &str) {
        revision(stage.deploy(next).await);
        self.assert_whole(stage, case).await;
        stage.delete(self.key.name.as_str()).await.unwrap();
        assert_nothing_left(stage, case);
    }

    async fn assert_whole_and_goes_on(&self, stage: &Stage, next: DeployRequest, case: &str) {
        self.assert_whole(stage, case).await;
        self.assert_goes_on(stage, next, case).await;
    }
}

#[track_caller]
fn assert_nothing_left(stage: &Stage, case: &str) {
    assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{case}");
}

async fn assert_own_is_whole_and_goes_on(stage: &Stage, case: &str) {
    Names::own().assert_whole_and_goes_on(stage, main_request("v9"), case).await;
}

async fn assert_adopted_is_whole_and_goes_on(stage: &Stage, case: &str) {
    Names::adopted().assert_whole_and_goes_on(stage, main_request("v9"), case).await;
}

async fn assert_nothing_is_left_and_goes_on(stage: &Stage, case: &str) {
    assert_nothing_left(stage, case);
    Names::own().assert_goes_on(stage, main_request("v9"), case).await;
}

/// Whether no operation is under way.
async fn is_at_rest(stage: &Stage) -> bool {
    stage.controller.operations().await.unwrap().iter().all(|view| view.finished_at.is_some())
}

/// Whether nothing is owed.
async fn is_paid(stage: &Stage) -> bool {
    stage.controller.operations().await.unwrap().iter().all(|view| view.debts.is_empty())
}

async fn deployed(scene: &Scene) {
    revision(scene.stage.deploy(main_request("v1")).await);
}

/// A deployment of the replaced service.
async fn planted(scene: &Scene) {
    plant(&scene.stage.world, &main_request("v1")).await;
}

fn changed() -> DeployRequest {
    let mut request = main_request("v2");
    request.credentials.password = Some("another-password".into());
    request
}

fn larger(tag: &str) -> DeployRequest {
    let mut request = main_request(tag);
    request.resources.storage_size = "30Gi".parse().unwrap();
    request
}

fn failing() -> DeployRequest {
    DeployRequest { image: main_request("missing-1").image, ..changed() }
}
