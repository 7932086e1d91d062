//! Whoever takes over what another one left behind, or follows what DAGs do.

use super::*;
use crate::stage::{caller, server};

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
    scene.works_until(is_at_rest).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_deploy_that_is_finished() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        deploy_left_behind(scene, Phase::Ready, changed()).await;
    };
    at_every_call(prepare, works_until_it_rests, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_deploy_that_is_undone() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        deploy_left_behind(scene, Phase::Ready, failing()).await;
    };
    at_every_call(prepare, works_until_it_rests, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn of_an_adoption_that_is_undone() {
    let prepare = async |scene: &Scene| {
        planted(scene).await;
        deploy_left_behind(scene, Phase::Ready, main_request("missing-1")).await;
    };
    at_every_call(prepare, works_until_it_rests, assert_adopted_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn of_an_undo() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        deploy_left_behind(scene, Phase::Undo, failing()).await;
    };
    at_every_call(prepare, works_until_it_rests, assert_own_is_whole_and_goes_on).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_delete() {
    let prepare = async |scene: &Scene| {
        deployed(scene).await;
        left_behind(scene, Phase::Uninstall, async |first| first.delete(&target(NAME), caller()).await.unwrap()).await;
    };
    at_every_call(prepare, works_until_it_rests, assert_nothing_is_left_and_goes_on).await;
}

/// How many replicas the server is asked to have.
fn replicas(stage: &Stage) -> u32 {
    stage.world.servers().get(&server(NAME)).stateful_set.unwrap().replicas
}

#[tokio::test(start_paused = true)]
async fn of_a_server_by_its_dags() {
    let set_dag = |scene: &Scene, paused| scene.stage.world.airflow().set_dag(&key(NAME).name, "dag", paused);
    let prepare = async |scene: &Scene| {
        set_dag(scene, false);
        deployed(scene).await;
        set_dag(scene, true);
    };
    let act = async |scene: &Scene| scene.works_until(async |stage| replicas(stage) == 0 && is_at_rest(stage).await).await;
    at_every_call(prepare, act, async |stage, case| {
        assert_eq!(replicas(stage), 0, "{case}");
        assert_own_is_whole_and_goes_on(stage, case).await;
    })
    .await;
}
