//! The crash matrix in memory: whoever does the work is frozen before each of its calls or killed after it, somebody else goes on, and whoever
//! was frozen wakes.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_memory::{AirflowLink, Call, Fault, FaultKind, MemoryWorld};
use dbt_controller_domain::Controller;
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::ConnectionId;
use dbt_controller_port_contracts::mortal::{self, Life, Process};

use crate::adoption::{long_request, old_connection, old_key, plant};
use crate::stage::{NAME, Stage, caller, deploy, key, main_request, ports, revision, server, settings, target, world};

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

fn own_connection() -> ConnectionId {
    "test_project_main".parse().unwrap()
}

/// Nothing is under way or owed, and the deployment is whole: a release in force, its server and its connection.
async fn assert_whole(stage: &Stage, (key, connection): (&ReleaseKey, &ConnectionId), case: &str) {
    for view in stage.controller.operations().await.unwrap() {
        assert!(view.finished_at.is_some() && view.debts.is_empty(), "{case}: {view:?}");
    }
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
async fn assert_goes_on(stage: &Stage, of: (&ReleaseKey, &ConnectionId), next: DeployRequest, case: &str) {
    revision(stage.deploy(next).await);
    assert_whole(stage, of, case).await;
    stage.delete(of.0.name.as_str()).await.unwrap();
    assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{case}");
}

async fn assert_own_is_whole_and_goes_on(stage: &Stage, case: &str) {
    let of = (&key(NAME), &own_connection());
    assert_whole(stage, of, case).await;
    assert_goes_on(stage, of, main_request("v9"), case).await;
}

async fn nothing(_: &Scene) {}

async fn deployed(scene: &Scene) {
    revision(scene.stage.deploy(main_request("v1")).await);
}

fn changed() -> DeployRequest {
    let mut request = main_request("v2");
    request.credentials.password = Some("another-password".into());
    request
}

fn failing() -> DeployRequest {
    DeployRequest { image: main_request("missing-1").image, ..changed() }
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy() {
    let act = async |scene: &Scene| scene.ask(main_request("v1")).await;
    at_every_call(nothing, act, async |stage, case| {
        if stage.world.releases().get(&key(NAME)).is_none() {
            assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{case}");
        } else {
            assert_whole(stage, (&key(NAME), &own_connection()), case).await;
        }
        assert_goes_on(stage, (&key(NAME), &own_connection()), main_request("v9"), case).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_that_fails() {
    let act = async |scene: &Scene| scene.ask(main_request("missing-1")).await;
    at_every_call(nothing, act, async |stage, case| {
        assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{case}");
        assert_goes_on(stage, (&key(NAME), &own_connection()), main_request("v9"), case).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_deploy() {
    let act = async |scene: &Scene| scene.ask(changed()).await;
    at_every_call(deployed, act, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_deploy_that_fails() {
    let act = async |scene: &Scene| scene.ask(failing()).await;
    at_every_call(deployed, act, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_whose_stateful_set_is_made_anew() {
    let act = async |scene: &Scene| {
        let mut larger = main_request("v2");
        larger.resources.storage_size = "30Gi".parse().unwrap();
        scene.ask(larger).await;
    };
    at_every_call(deployed, act, async |stage, case| {
        let of = (&key(NAME), &own_connection());
        assert_whole(stage, of, case).await;
        let mut next = main_request("v9");
        next.resources.storage_size = "30Gi".parse().unwrap();
        assert_goes_on(stage, of, next, case).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_delete() {
    let act = async |scene: &Scene| {
        let ticket = scene.doomed.delete(&target(NAME), caller()).await.unwrap();
        drop(scene.doomed.wait(&ticket).await);
    };
    at_every_call(deployed, act, async |stage, case| {
        // Frozen before its submission was on record, it never began.
        if stage.world.releases().get(&key(NAME)).is_some() {
            return assert_own_is_whole_and_goes_on(stage, case).await;
        }
        assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{case}");
        assert_goes_on(stage, (&key(NAME), &own_connection()), main_request("v9"), case).await;
    })
    .await;
}

/// A deployment of the replaced service.
async fn planted(scene: &Scene) {
    plant(&scene.stage.world, &main_request("v1")).await;
}

async fn assert_adopted_is_whole_and_goes_on(stage: &Stage, case: &str) {
    let (key, connection) = (old_key(&main_request("v1")), old_connection(&main_request("v1")));
    assert_whole(stage, (&key, &connection), case).await;
    assert_goes_on(stage, (&key, &connection), main_request("v9"), case).await;
}

#[tokio::test(start_paused = true)]
async fn an_adoption() {
    let act = async |scene: &Scene| scene.ask(main_request("v2")).await;
    at_every_call(planted, act, assert_adopted_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn an_adoption_that_fails() {
    let act = async |scene: &Scene| scene.ask(main_request("missing-1")).await;
    at_every_call(planted, act, assert_adopted_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_replaces_a_release_with_which_no_server_can_run() {
    let prepare = async |scene: &Scene| plant(&scene.stage.world, &long_request("v1")).await;
    let act = async |scene: &Scene| scene.ask(long_request("v2")).await;
    at_every_call(prepare, act, async |stage, case| {
        let identity = long_request("v1").identity;
        let (key, connection) = (key(identity.release_names()[0].as_str()), &identity.connection_ids()[0]);
        if stage.world.releases().get(&key).is_some() {
            assert_whole(stage, (&key, connection), case).await;
        } else {
            assert!(stage.world.releases().get(&old_key(&long_request("v1"))).is_some(), "{case}: neither of the two is there");
        }
        assert_goes_on(stage, (&key, connection), long_request("v9"), case).await;
    })
    .await;
}

/// Whether nothing is owed any more.
async fn is_paid(stage: &Stage) -> bool {
    stage.controller.operations().await.unwrap().iter().all(|view| view.debts.is_empty())
}

#[tokio::test(start_paused = true)]
async fn a_payment_of_a_connection() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        scene.stage.world.set_airflow_link(AirflowLink::Down);
        scene.stage.delete(NAME).await.unwrap();
        scene.stage.world.set_airflow_link(AirflowLink::Up);
        assert!(!is_paid(&scene.stage).await);
    };
    let act = async |scene: &Scene| scene.works_until(is_paid).await;
    at_every_call(prepare, act, async |stage, case| {
        assert!(is_paid(stage).await, "{case}");
        assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{case}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_payment_of_connections_that_no_record_names() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        assert!(scene.stage.world.releases().uninstall(&key(NAME), false));
        scene.stage.world.set_airflow_link(AirflowLink::Down);
        scene.stage.delete(NAME).await.unwrap();
        scene.stage.world.set_airflow_link(AirflowLink::Up);
        assert!(!is_paid(&scene.stage).await);
    };
    let act = async |scene: &Scene| scene.works_until(is_paid).await;
    at_every_call(prepare, act, async |stage, case| {
        assert!(is_paid(stage).await, "{case}");
        assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{case}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_payment_of_a_claim() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        scene.stage.world.faults().plan(Fault::new(Call::ClusterDeleteClaims, 1, FaultKind::Forbid));
        assert!(scene.stage.delete(NAME).await.is_err() && !is_paid(&scene.stage).await);
    };
    let act = async |scene: &Scene| scene.works_until(is_paid).await;
    at_every_call(prepare, act, async |stage, case| {
        assert!(is_paid(stage).await, "{case}");
        assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{case}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_payment_of_a_login() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        let faults = scene.stage.world.faults();
        faults.plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Forbid));
        faults.plan(Fault::new(Call::ConnectionsPut, 2, FaultKind::Forbid));
        assert_eq!(scene.stage.deploy(changed()).await.unwrap_err().undo, UndoOutcome::Failed);
        assert!(!is_paid(&scene.stage).await);
    };
    let act = async |scene: &Scene| scene.works_until(is_paid).await;
    at_every_call(prepare, act, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_payment_of_a_replaced_release() {
    let prepare = async |scene: &Scene| {
        plant(&scene.stage.world, &long_request("v1")).await;
        scene.stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 1, FaultKind::Forbid));
        revision(scene.stage.deploy(long_request("v1")).await);
        assert!(!is_paid(&scene.stage).await);
    };
    let act = async |scene: &Scene| scene.works_until(is_paid).await;
    at_every_call(prepare, act, async |stage, case| {
        let identity = long_request("v1").identity;
        let of = (&key(identity.release_names()[0].as_str()), &identity.connection_ids()[0]);
        assert_whole(stage, of, case).await;
        assert_goes_on(stage, of, long_request("v9"), case).await;
    })
    .await;
}

/// How many replicas the server is asked to have.
fn replicas(stage: &Stage) -> u32 {
    stage.world.servers().get(&server(NAME)).stateful_set.unwrap().replicas
}

#[tokio::test(start_paused = true)]
async fn a_server_that_follows_its_dags() {
    let set_dag = |scene: &Scene, paused| scene.stage.world.airflow().set_dag(&key(NAME).name, "dag", paused);
    let prepare = async |scene: &Scene| {
        set_dag(scene, false);
        deployed(scene).await;
        set_dag(scene, true);
    };
    let act = async |scene: &Scene| scene.works_until(async |stage| replicas(stage) == 0 && !is_working(stage).await).await;
    at_every_call(prepare, act, async |stage, case| {
        assert_eq!(replicas(stage), 0, "{case}");
        assert_own_is_whole_and_goes_on(stage, case).await;
    })
    .await;
}

/// Whether an operation has not ended.
async fn is_working(stage: &Stage) -> bool {
    stage.controller.operations().await.unwrap().iter().any(|view| view.finished_at.is_none())
}

/// The first holder of an operation is gone for so long that its lock is stale, in this phase.
async fn left_behind(scene: &Scene, phase: Phase, submit: impl AsyncFn(&Arc<Controller>) -> Ticket) {
    let world = &scene.stage.world;
    let process = Arc::new(Process::new());
    let ports = mortal::ports(&process, ports(world, world.operations(), Some(world.connections())));
    let first = Controller::new(ports, settings());
    let ticket = submit(&first).await;
    let mut views = first.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == phase).await.unwrap();
    process.set(Life::Dead);
    tokio::time::sleep(settings().lock_stale_after + Duration::from_secs(1)).await;
}

async fn deploy_left_behind(scene: &Scene, phase: Phase, request: DeployRequest) {
    left_behind(scene, phase, async |first| first.deploy(request.clone(), caller()).await.unwrap()).await;
}

async fn works_until_it_rests(scene: &Scene) {
    scene.works_until(async |stage| !is_working(stage).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_finishes_a_deploy() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        deploy_left_behind(scene, Phase::Ready, changed()).await;
    };
    at_every_call(prepare, works_until_it_rests, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_undoes_a_deploy() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        deploy_left_behind(scene, Phase::Ready, failing()).await;
    };
    at_every_call(prepare, works_until_it_rests, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_undoes_an_adoption() {
    let prepare = async |scene: &Scene| {
        planted(scene).await;
        deploy_left_behind(scene, Phase::Ready, main_request("missing-1")).await;
    };
    at_every_call(prepare, works_until_it_rests, assert_adopted_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_goes_on_with_an_undo() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        deploy_left_behind(scene, Phase::Undo, failing()).await;
    };
    at_every_call(prepare, works_until_it_rests, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn a_takeover_of_a_delete() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        left_behind(scene, Phase::Uninstall, async |first| first.delete(&target(NAME), caller()).await.unwrap()).await;
    };
    at_every_call(prepare, works_until_it_rests, async |stage, case| {
        assert_eq!(stage.world.leftovers(), Vec::<String>::new(), "{case}");
        assert_goes_on(stage, (&key(NAME), &own_connection()), main_request("v9"), case).await;
    })
    .await;
}
