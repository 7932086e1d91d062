//! Servers sleep and wake with their DAGs.

use std::time::Duration;

use dbt_controller_adapters_memory::{AirflowLink, Call, Fault, FaultKind, Hindrance};
use dbt_controller_domain::model::*;
use dbt_controller_domain::ports::Cluster as _;

use crate::stage::{NAME, Stage, caller, key, main_request, request, revision, server, settings, target};

/// Longer than the time between two looks, with some for what follows.
const A_LOOK: Duration = Duration::from_secs(90);

/// A service that lets servers sleep with their DAGs, with its background work, and a server that runs.
async fn stage() -> Stage {
    let stage = Stage::with(Settings { sleep_with_dags: true, ..settings() });
    let controller = stage.controller.clone();
    tokio::spawn(async move { controller.run_background().await });
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
    stage
}

fn set_dags(stage: &Stage, paused: &[bool]) {
    let (airflow, release) = (stage.world.airflow(), key(NAME).name);
    for number in 0..2 {
        let id = format!("dag-{number}");
        match paused.get(number) {
            Some(paused) => airflow.set_dag(&release, &id, *paused),
            None => airflow.remove_dag(&release, &id),
        }
    }
}

/// Replicas and note, after a look.
async fn after_a_look(stage: &Stage) -> (u32, Option<DagState>) {
    tokio::time::sleep(A_LOOK).await;
    let set = stage.world.servers().get(&server(NAME)).stateful_set.unwrap();
    (set.replicas, set.dag_state)
}

async fn followed(stage: &Stage) -> Vec<(OperationState, String)> {
    let all = stage.controller.operations().await.unwrap();
    let follows = all.iter().filter(|view| view.info.kind == OperationKind::FollowDags);
    follows.map(|view| (view.state, format!("{:?}", view.outcome))).collect()
}

const PAUSED: Option<DagState> = Some(DagState::AllPaused);
const ACTIVE: Option<DagState> = Some(DagState::SomeActive);

#[tokio::test(start_paused = true)]
async fn a_server_follows_its_dags() {
    let stage = stage().await;
    assert_eq!(after_a_look(&stage).await, (1, None), "without DAGs");
    set_dags(&stage, &[true, true]);
    assert_eq!(after_a_look(&stage).await, (1, PAUSED), "new DAGs start paused: only noted");
    assert_eq!(followed(&stage).await, [], "what was only noted is not told");
    set_dags(&stage, &[true, false]);
    assert_eq!(after_a_look(&stage).await, (1, ACTIVE), "it runs already");
    set_dags(&stage, &[true, true]);
    assert_eq!(after_a_look(&stage).await, (0, PAUSED));
    assert_eq!(stage.world.servers().pods(), 0);
    set_dags(&stage, &[false, true]);
    assert_eq!(after_a_look(&stage).await, (1, ACTIVE));
    assert_eq!(stage.controller.inspect(&target(NAME)).await.unwrap().server.phase, ServerPhase::Ready);
    let told = followed(&stage).await;
    assert_eq!(told.len(), 1, "the last one tells it all: {told:?}");
    set_dags(&stage, &[]);
    assert_eq!(after_a_look(&stage).await, (1, ACTIVE), "a release that lost its DAGs is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_change_costs_no_operation() {
    let stage = stage().await;
    set_dags(&stage, &[true]);
    after_a_look(&stage).await;
    let writes = stage.world.calls().count(Call::OperationsCompareAndSwap);
    let looks = stage.world.calls().count(Call::ConnectionsAllDags);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.world.calls().count(Call::OperationsCompareAndSwap), writes);
    assert!(stage.world.calls().count(Call::ConnectionsAllDags) >= looks + 9);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_decides_holds_until_the_dags_change() {
    let stage = stage().await;
    set_dags(&stage, &[false]);
    assert_eq!(after_a_look(&stage).await, (1, ACTIVE));
    let suspended = stage.controller.suspend(&target(NAME), true, caller()).await.unwrap();
    stage.controller.wait(&suspended).await.unwrap();
    assert_eq!(after_a_look(&stage).await, (0, ACTIVE), "forced to sleep");
    set_dags(&stage, &[true]);
    assert_eq!(after_a_look(&stage).await, (0, PAUSED));
    let resumed = stage.controller.resume(&target(NAME), caller()).await.unwrap();
    stage.controller.wait(&resumed).await.unwrap();
    assert_eq!(after_a_look(&stage).await, (1, PAUSED), "woken while its DAGs are paused");
}

#[tokio::test(start_paused = true)]
async fn a_post_notes_what_the_dags_are_doing() {
    let stage = stage().await;
    set_dags(&stage, &[false]);
    assert_eq!(after_a_look(&stage).await, (1, ACTIVE));
    set_dags(&stage, &[true]);
    // Before anybody has looked: the server that was just asked for must not be put to sleep.
    for (tag, expected) in [("v2", 2), ("v2", 2)] {
        assert_eq!(revision(stage.deploy(main_request(tag)).await), expected);
        assert_eq!(after_a_look(&stage).await, (1, PAUSED));
        set_dags(&stage, &[false]);
        assert_eq!(after_a_look(&stage).await, (1, ACTIVE));
        set_dags(&stage, &[true]);
    }
}

/// What is noted on the server right now.
fn noted(stage: &Stage) -> Option<DagState> {
    stage.world.servers().get(&server(NAME)).stateful_set.unwrap().dag_state
}

/// The size in a claim template cannot be changed: the StatefulSet is made anew.
fn larger(tag: &str, size: &str) -> DeployRequest {
    let mut request = main_request(tag);
    request.resources.storage_size = size.parse().unwrap();
    request
}

#[tokio::test(start_paused = true)]
async fn the_note_survives_a_stateful_set_that_is_made_anew() {
    // Without the setting nobody reads Airflow, so the note can only be the old one.
    let stage = Stage::new();
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
    let fence = dbt_controller_port_contracts::fixtures::fence();
    stage.world.cluster().set_dag_state(&server(NAME), PAUSED, &fence).await.unwrap();
    assert_eq!(revision(stage.deploy(larger("v1", "2Gi")).await), 2);
    assert_eq!(noted(&stage), PAUSED);
}

#[tokio::test(start_paused = true)]
async fn an_undo_brings_the_note_back() {
    let stage = stage().await;
    set_dags(&stage, &[true]);
    assert_eq!(after_a_look(&stage).await, (1, PAUSED));
    let failure = stage.deploy(larger("missing-1", "3Gi")).await.unwrap_err();
    assert_eq!(failure.undo, UndoOutcome::Undone, "{failure}");
    assert_eq!(noted(&stage), PAUSED);
}

#[tokio::test(start_paused = true)]
async fn a_note_that_cannot_be_written_fails_no_deployment() {
    let stage = stage().await;
    set_dags(&stage, &[true]);
    stage.world.faults().plan(Fault::new(Call::ClusterSetDagState, 1, FaultKind::Fail).times(50));
    assert_eq!(revision(stage.deploy(main_request("v2")).await), 2);
    assert_eq!(noted(&stage), None);
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_nothing_follows_and_the_note_stays() {
    let stage = Stage::new();
    let controller = stage.controller.clone();
    tokio::spawn(async move { controller.run_background().await });
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
    set_dags(&stage, &[true]);
    assert_eq!(after_a_look(&stage).await, (1, None));
    assert_eq!(stage.world.calls().count(Call::ConnectionsAllDags), 0);
    assert_eq!(stage.world.calls().count(Call::ConnectionsDags), 0, "a deploy asks for no DAGs");
}

#[tokio::test(start_paused = true)]
async fn airflow_that_is_away_changes_nothing() {
    let stage = stage().await;
    set_dags(&stage, &[false]);
    assert_eq!(after_a_look(&stage).await, (1, ACTIVE));
    stage.world.set_airflow_link(AirflowLink::Down);
    assert_eq!(after_a_look(&stage).await, (1, ACTIVE));
    set_dags(&stage, &[true]);
    assert_eq!(after_a_look(&stage).await, (1, ACTIVE));
    stage.world.set_airflow_link(AirflowLink::Up);
    assert_eq!(after_a_look(&stage).await, (0, PAUSED));
}

#[tokio::test(start_paused = true)]
async fn releases_follow_their_own_dags_only() {
    let stage = stage().await;
    let other = request("other", None, "v1");
    assert_eq!(revision(stage.deploy(other).await), 1);
    set_dags(&stage, &[false]);
    after_a_look(&stage).await;
    set_dags(&stage, &[true]);
    assert_eq!(after_a_look(&stage).await, (0, PAUSED));
    let set = stage.world.servers().get(&server("dbt-server-other")).stateful_set.unwrap();
    assert_eq!((set.replicas, set.dag_state), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_looked_at_keeps_no_other_from_following() {
    let stage = stage().await;
    let names = [NAME, "dbt-server-other"];
    assert_eq!(revision(stage.deploy(request("other", None, "v1")).await), 1);
    let set_all = |paused| names.iter().for_each(|name| stage.world.airflow().set_dag(&key(name).name, name, paused));
    set_all(false);
    after_a_look(&stage).await;
    set_all(true);
    stage.world.faults().plan(Fault::new(Call::ClusterServer, 1, FaultKind::Forbid));
    tokio::time::sleep(Duration::from_secs(45)).await;
    let replicas = names.map(|name| stage.world.servers().get(&server(name)).stateful_set.unwrap().replicas);
    assert_eq!(replicas.iter().sum::<u32>(), 1, "{replicas:?}");
    assert_eq!(after_a_look(&stage).await, (0, PAUSED), "the other one at the next look");
}

/// Ten servers at a time are told, and those that cannot follow do not stand in the way of the others for ever.
#[tokio::test(start_paused = true)]
async fn servers_that_cannot_follow_take_turns_with_the_others() {
    let stage = stage().await;
    let projects: Vec<_> = (0..12).map(|number| format!("p{number:02}")).collect();
    for project in &projects {
        assert_eq!(revision(stage.deploy(request(project, None, "v1")).await), 1);
        stage.world.airflow().set_dag(&key(&format!("dbt-server-{project}")).name, project, false);
    }
    after_a_look(&stage).await;
    after_a_look(&stage).await;
    for project in &projects {
        stage.world.airflow().set_dag(&key(&format!("dbt-server-{project}")).name, project, true);
    }
    // The first ten cannot be scaled, however often they are told.
    stage.world.faults().plan(Fault::new(Call::ClusterSetReplicas, 1, FaultKind::Forbid).times(10));
    after_a_look(&stage).await;
    after_a_look(&stage).await;
    let asleep = |project: &String| {
        let set = stage.world.servers().get(&server(&format!("dbt-server-{project}"))).stateful_set.unwrap();
        set.replicas == 0
    };
    assert!(projects[10..].iter().all(asleep), "the last two had no turn");
}

#[tokio::test(start_paused = true)]
async fn many_deployments_are_read_with_one_look_at_the_dags() {
    let stage = Stage::new();
    assert_eq!(revision(stage.deploy(main_request("v1")).await), 1);
    assert_eq!(revision(stage.deploy(request("other", None, "v1")).await), 1);
    set_dags(&stage, &[false]);
    for (name, count) in [(NAME, 1), ("dbt-server-other", 0), (NAME, 1)] {
        let read = stage.controller.inspect(&target(name)).await.unwrap().dags.unwrap();
        assert_eq!(read.dags.len(), count, "{name}");
    }
    assert_eq!(stage.world.calls().count(Call::ConnectionsAllDags), 1);
    assert_eq!(stage.world.calls().count(Call::ConnectionsDags), 0);
}

#[tokio::test(start_paused = true)]
async fn dags_that_take_long_to_read_hold_nothing_else_of_a_get_back() {
    let stage = Stage::with(settings());
    for project in ["one", "two"] {
        assert_eq!(revision(stage.deploy(request(project, None, "v1")).await), 1);
        stage.world.airflow().set_dag(&format!("dbt-server-{project}").parse().unwrap(), project, false);
    }
    stage.world.faults().plan(Fault::new(Call::ConnectionsAllDags, 1, FaultKind::Hang));
    let get = async |project| stage.controller.inspect(&target(&format!("dbt-server-{project}"))).await.unwrap();
    let began = tokio::time::Instant::now();
    for project in ["one", "two"] {
        let read = get(project).await;
        assert_eq!(read.dags, None);
        assert_eq!(read.connection.unwrap().presence, ConnectionPresence::Registered, "{project}");
        assert!(read.health.unwrap().reachable, "{project}");
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());

    // Whoever waits for a slow reading does not make it again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.world.calls().count(Call::ConnectionsAllDags), 1);
    for project in ["one", "two"] {
        get(project).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for project in ["one", "two"] {
        assert_eq!(get(project).await.dags.unwrap().dags.len(), 1, "{project}");
    }
    assert_eq!(stage.world.calls().count(Call::ConnectionsAllDags), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_wake_keeps_no_post_waiting() {
    let stage = stage().await;
    set_dags(&stage, &[true]);
    after_a_look(&stage).await;
    set_dags(&stage, &[false]);
    after_a_look(&stage).await;
    set_dags(&stage, &[true]);
    assert_eq!(after_a_look(&stage).await, (0, PAUSED));
    stage.world.servers().hinder(&server(NAME), Some(Hindrance::Unschedulable("0/1 nodes are available".to_owned())));
    set_dags(&stage, &[false]);
    assert_eq!(after_a_look(&stage).await, (1, ACTIVE));
    assert!(stage.controller.operations().await.unwrap().iter().all(|view| view.finished_at.is_some()), "nobody waits for the server");
}
