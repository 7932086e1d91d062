//! The crash matrix in memory: whoever does the work is frozen at each of its calls, somebody else goes on, and the first one wakes.
//!
//! To be frozen before a call is to be frozen after the one before it, so each call needs to be met once. What comes by the clock, such as a
//! renewal or a look around, is met as often as it comes in a run that nobody disturbs.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_memory::{AirflowLink, Call, Fault, FaultKind};
use dbt_controller_domain::Controller;
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::ConnectionId;

use crate::adoption::{long_request, old_connection, old_key, plant};
use crate::freezing::Freezing;
use crate::stage::{NAME, Stage, caller, deploy, key, main_request, replica, revision, server, settings, target, world};

/// Until what was left behind is taken over and done, and until whoever wakes has noticed.
const TAKEN_OVER: Duration = Duration::from_secs(400);
const WOKEN: Duration = Duration::from_secs(120);

/// Somebody who will be frozen, and the stage of whoever goes on.
struct Scene {
    stage: Stage,
    store: Arc<Freezing>,
    doomed: Arc<Controller>,
}

impl Scene {
    fn new() -> Self {
        let (world, settings) = (world(), Settings { sleep_with_dags: true, ..settings() });
        let store = Freezing::new(world.operations());
        let doomed = replica(&world, store.clone(), settings.clone());
        let controller = replica(&world, world.operations(), settings);
        Self { stage: Stage { world, controller }, store, doomed }
    }

    /// Sends a request to whoever will be frozen, and waits for its end, whatever that is.
    async fn ask(&self, request: DeployRequest) {
        drop(deploy(&self.doomed, request).await);
    }

    /// The background work of whoever will be frozen, until this holds.
    async fn works_until(&self, mut holds: impl AsyncFnMut(&Stage) -> bool) {
        let done = async {
            while !holds(&self.stage).await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = self.doomed.run_background() => panic!("the background work has ended"),
            () = done => {}
        }
    }

    /// The calls made while something is done, and how often each.
    async fn calls(&self, act: impl AsyncFn(&Self)) -> Vec<(Call, u64)> {
        let calls = self.stage.world.calls();
        let before: Vec<_> = Call::ALL.iter().map(|call| (*call, calls.count(*call))).collect();
        act(self).await;
        before.into_iter().map(|(call, before)| (call, calls.count(call) - before)).filter(|(_, made)| *made > 0).collect()
    }

    /// Does something until its `nth` call of this kind, at which whoever makes it is frozen.
    async fn freeze_at(&self, call: Call, nth: u64, act: impl AsyncFn(&Self)) {
        let world = &self.stage.world;
        world.faults().plan(Fault::new(call, u32::try_from(nth).unwrap(), FaultKind::Hang));
        let last = world.calls().count(call) + nth;
        let met = async {
            while world.calls().count(call) < last {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            biased;
            () = met => {}
            () = act(self) => assert!(world.calls().count(call) >= last, "{call} #{nth} did not come again"),
        }
        self.store.freeze(true);
    }

    /// Somebody else does the background work for long enough, and then the frozen one wakes.
    async fn go_on(&self) {
        let controller = Arc::clone(&self.stage.controller);
        let background = tokio::spawn(async move { controller.run_background().await });
        tokio::time::sleep(TAKEN_OVER).await;
        self.store.freeze(false);
        tokio::time::sleep(WOKEN).await;
        background.abort();
    }
}

/// Freezes at every call that is made while something is done, each in a world of its own that was prepared alike.
async fn at_every_call(prepare: impl AsyncFn(&Scene), act: impl AsyncFn(&Scene), check: impl AsyncFn(&Stage, &str)) {
    let scene = Scene::new();
    prepare(&scene).await;
    let calls = scene.calls(&act).await;
    scene.go_on().await;
    check(&scene.stage, "undisturbed").await;
    for (call, made) in &calls {
        for nth in 1..=*made {
            let scene = Scene::new();
            prepare(&scene).await;
            scene.freeze_at(*call, nth, &act).await;
            scene.go_on().await;
            check(&scene.stage, &format!("frozen at {call} #{nth}")).await;
        }
    }
    assert!(calls.len() > 4, "it makes other calls: {calls:?}");
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
    let store = Freezing::new(scene.stage.world.operations());
    let first = replica(&scene.stage.world, store.clone(), settings());
    let ticket = submit(&first).await;
    let mut views = first.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == phase).await.unwrap();
    store.freeze(true);
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
