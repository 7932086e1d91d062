//! Holders that die, stop or lose the store: another goes on, and the first one writes nothing more.

mod delete;
mod every_call;
mod stop;
mod undo;

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_memory::{AirflowLink, Call, Fault, FaultKind, MemoryWorld};
use dbt_controller_domain::Controller;
use dbt_controller_domain::model::*;

use crate::freezing::Freezing;
use crate::stage::{
    NAME, Stage, caller, deploy, key, main_request, replica, replica_with, request, revision, server, settings, target, world,
};

/// A replica that can be frozen, and one that survives.
struct Pair {
    world: MemoryWorld,
    store: Arc<Freezing>,
    frozen: Arc<Controller>,
    survivor: Arc<Controller>,
}

impl Pair {
    fn new() -> Self {
        Self::with(&settings())
    }

    fn with(settings: &Settings) -> Self {
        let world = world();
        let store = Freezing::new(world.operations());
        let frozen = replica(&world, store.clone(), settings.clone());
        let survivor = replica(&world, world.operations(), settings.clone());
        Self { world, store, frozen, survivor }
    }

    fn without_airflow() -> Self {
        let world = world();
        let store = Freezing::new(world.operations());
        let frozen = replica_with(&world, store.clone(), None, settings());
        let survivor = replica_with(&world, world.operations(), None, settings());
        Self { world, store, frozen, survivor }
    }

    fn survivor_works(&self) -> tokio::task::JoinHandle<()> {
        let survivor = self.survivor.clone();
        tokio::spawn(async move { survivor.run_background().await })
    }

    /// Freezes the first replica when the operation is in this phase.
    async fn freeze_in(&self, ticket: &Ticket, phase: Phase) {
        let mut views = self.frozen.follow(&ticket.id).await.unwrap().unwrap();
        views.wait_for(|view| view.phase == phase).await.unwrap();
        self.store.freeze(true);
    }

    /// What becomes of a deploy whose holder is gone while it makes room for its claim.
    async fn die_while_the_claim_grows(&self, request: DeployRequest) -> Result<Success, Failure> {
        self.world.faults().plan(Fault::new(Call::ClusterGrowClaims, 1, FaultKind::Hang).times(2));
        let ticket = self.frozen.deploy(request, caller()).await.unwrap();
        self.freeze_in(&ticket, Phase::Apply).await;
        let background = self.survivor_works();
        let ended = self.survivor.wait(&ticket).await.unwrap();
        background.abort();
        ended.outcome.clone()
    }

    fn writes(&self) -> u64 {
        let writing = [Call::InstallerBegin, Call::InstallerApply, Call::InstallerCommit, Call::InstallerUninstall, Call::ConnectionsPut];
        writing.iter().map(|call| self.world.calls().count(*call)).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn a_deploy_whose_holder_is_gone_is_finished_when_its_server_is_ready() {
    let pair = Pair::new();
    let _background = pair.survivor_works();
    let ticket = pair.frozen.deploy(main_request("v1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    let ended = pair.survivor.wait(&ticket).await.unwrap();
    assert_eq!(revision(ended.outcome.clone()), 1);

    let writes = pair.writes();
    pair.store.freeze(false);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(pair.writes(), writes, "the woken writer writes nothing");
    assert_eq!(revision(pair.frozen.wait(&ticket).await.unwrap().outcome.clone()), 1, "its caller gets the survivor's answer");
}

#[tokio::test(start_paused = true)]
async fn a_deploy_whose_holder_is_gone_is_undone_when_its_server_is_not_ready() {
    let pair = Pair::new();
    let _background = pair.survivor_works();
    let ticket = pair.frozen.deploy(main_request("missing-1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    let failure = pair.survivor.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.undo, failure.phase), (UndoOutcome::Undone, Some(Phase::Ready)), "{failure}");
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
    pair.store.freeze(false);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_a_holder_made_before_it_first_renewed_is_taken_back_too() {
    let pair = Pair::without_airflow();
    let _background = pair.survivor_works();
    let ticket = pair.frozen.deploy(main_request("missing-1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    // Its claim is there by now.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let failure = pair.survivor.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!(failure.undo, UndoOutcome::Undone, "{failure}");
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn no_call_is_made_between_half_the_stale_time_and_the_takeover() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    let ticket = pair.frozen.deploy(main_request("missing-1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let writes = pair.writes();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(pair.writes(), writes, "nobody has taken over, and the holder that cannot renew does nothing");
}

#[tokio::test(start_paused = true)]
async fn what_is_half_done_waits_for_no_other_deploy() {
    let busy = Settings { max_concurrent: 1, ..settings() };
    let patient = Settings { patience: Patience { pull_error_window: Duration::from_secs(900), ..Patience::default() }, ..busy };
    let pair = Pair::with(&patient);
    pair.survivor.deploy(request("other", None, "missing-1"), caller()).await.unwrap();
    let ticket = pair.frozen.deploy(main_request("v1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    let _background = pair.survivor_works();
    let ended = tokio::time::timeout(Duration::from_secs(60), pair.survivor.wait(&ticket)).await.expect("within a minute").unwrap();
    assert_eq!(revision(ended.outcome.clone()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_deploy_that_is_taken_over_owes_the_connection_that_may_still_be_made() {
    let pair = Pair::with(&Settings { max_concurrent: 1, ..settings() });
    // All that the survivor may do side by side.
    pair.survivor.deploy(request("other", None, "missing-1"), caller()).await.unwrap();
    pair.world.faults().plan(Fault::new(Call::ConnectionsPut, 1, FaultKind::Fail).times(1000));
    let ticket = pair.frozen.deploy(main_request("v1"), caller()).await.unwrap();
    while pair.world.calls().count(Call::ConnectionsPut) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    pair.store.freeze(true);
    let delete = pair.survivor.delete(&target(NAME), caller()).await.unwrap();
    let background = pair.survivor_works();
    assert!(pair.survivor.wait(&delete).await.unwrap().outcome.is_ok());
    let deploy = pair.survivor.operation(&ticket.id).await.unwrap().unwrap();
    assert_eq!(deploy.debts, [Debt::Connection("test_project_main".parse().unwrap())]);
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_woken_by_a_holder_that_is_gone_sleeps_again() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    let ticket = pair.frozen.suspend(&target(NAME), false, caller()).await.unwrap();
    assert!(pair.frozen.wait(&ticket).await.unwrap().outcome.is_ok());
    let ticket = pair.frozen.deploy(main_request("v1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    let _background = pair.survivor_works();
    let failure = pair.survivor.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::Interrupted, UndoOutcome::Undone), "{failure}");
    assert_eq!(pair.survivor.inspect(&target(NAME)).await.unwrap().server.phase, ServerPhase::Sleeping);
}

#[tokio::test(start_paused = true)]
async fn a_new_deploy_takes_over_a_stale_line_at_once_without_the_background_work() {
    let pair = Pair::new();
    let ticket = pair.frozen.deploy(main_request("missing-1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    tokio::time::sleep(Duration::from_secs(32)).await;
    assert_eq!(revision(deploy(&pair.survivor, main_request("v2")).await), 1);
    assert!(pair.survivor.wait(&ticket).await.unwrap().outcome.is_err());
}

/// What a dead holder meant to do may be done, also where whoever takes over cannot store that it means to do the same.
#[tokio::test(start_paused = true)]
async fn a_connection_of_a_holder_that_is_gone_is_taken_back_though_the_store_fails_the_next() {
    let pair = Pair::new();
    pair.world.faults().plan(Fault::new(Call::InstallerCommit, 1, FaultKind::Hang).times(10));
    let ticket = pair.frozen.deploy(main_request("v1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Commit).await;
    assert_eq!(pair.world.airflow().count(), 1);

    // The next write of the record after the apply is that of the intent to connect.
    pair.world.faults().plan(Fault::new(Call::InstallerApply, 1, FaultKind::Hang));
    let applied = pair.world.calls().count(Call::InstallerApply);
    let background = pair.survivor_works();
    while pair.world.calls().count(Call::InstallerApply) == applied {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    pair.world.faults().plan(Fault::new(Call::OperationsCompareAndSwap, 1, FaultKind::Forbid));
    let failure = pair.survivor.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.code, failure.phase), (FailureCode::Internal, Some(Phase::Connect)), "{failure}");
    background.abort();
    assert_eq!(pair.world.leftovers(), Vec::<String>::new(), "{failure}");
}

/// Thousands of records may be past their retention at once, when many requests failed.
#[tokio::test(start_paused = true)]
async fn no_takeover_waits_for_what_is_past_its_retention() {
    let pair = Pair::new();
    for project in 0..20 {
        revision(deploy(&pair.frozen, request(&format!("a-{project}"), None, "v1")).await);
    }
    tokio::time::sleep(settings().operation_retention).await;
    pair.world.faults().plan(Fault::new(Call::OperationsRemove, 1, FaultKind::Hang).times(1000));
    let ticket = pair.frozen.deploy(main_request("v1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Ready).await;
    let begin = tokio::time::Instant::now();
    let background = pair.survivor_works();
    pair.survivor.wait(&ticket).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(60), "after {:?}", begin.elapsed());
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_is_not_taken_over_however_long_it_waits() {
    let pair = Pair::new();
    let _background = pair.survivor_works();
    let patient = Settings { patience: Patience { pull_error_window: Duration::from_secs(900), ..Patience::default() }, ..settings() };
    let holder = replica(&pair.world, pair.world.operations(), patient);
    let ticket = holder.deploy(main_request("missing-1"), caller()).await.unwrap();
    let failure = holder.wait(&ticket).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!(failure.code, FailureCode::ImagePullFailed);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_stops_gives_its_lock_up_and_another_goes_on_at_once() {
    let pair = Pair::new();
    let ticket = pair.frozen.deploy(main_request("missing-1"), caller()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (waiting, ()) = tokio::join!(pair.frozen.wait(&ticket), pair.frozen.shut_down(Duration::from_secs(5)));
    let failure = waiting.unwrap_err();
    assert_eq!(failure.code, FailureCode::ShuttingDown);
    assert!(failure.message.contains(ticket.id.as_str()), "{failure}");
    assert_eq!(pair.frozen.deploy(main_request("v1"), caller()).await.unwrap_err().code, FailureCode::ShuttingDown);

    let _background = pair.survivor_works();
    assert!(pair.survivor.wait(&ticket).await.unwrap().outcome.is_err());
    assert_eq!(pair.world.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_ends_within_the_grace_is_answered() {
    let stage = Stage::new();
    let ticket = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    let (ended, ()) = tokio::join!(stage.controller.wait(&ticket), stage.controller.shut_down(Duration::from_secs(25)));
    assert_eq!(revision(ended.unwrap().outcome.clone()), 1);
    assert!(stage.controller.health().await.shutting_down);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_dies_right_after_it_recorded_a_change_costs_nobody_their_data() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    // Airflow is slow once, so the lock is renewed in the middle of the first steps.
    pair.world.faults().plan(Fault::new(Call::ConnectionsGet, 1, FaultKind::Hang));
    let ticket = pair.frozen.deploy(main_request("v2"), caller()).await.unwrap();
    for moment in [9_000, 1_500] {
        tokio::time::sleep(Duration::from_millis(moment)).await;
        pair.store.freeze(true);
    }
    let _background = pair.survivor_works();
    let _ended = pair.survivor.wait(&ticket).await.unwrap();
    assert!(pair.world.releases().get(&key(NAME)).is_some_and(|release| release.summary.standing.deployed.is_some()));
    assert_eq!(pair.world.claims().of(&server(NAME)).len(), 1);
    assert_eq!(pair.world.airflow().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deploy_whose_holder_died_before_it_made_room_for_a_larger_volume_is_finished() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    let mut larger = main_request("v2");
    larger.resources.storage_size = "30Gi".parse().unwrap();
    assert_eq!(revision(pair.die_while_the_claim_grows(larger).await), 2);
    assert_eq!(pair.world.calls().count(Call::ClusterGrowClaims), 3);
    assert_eq!(pair.world.calls().count(Call::ClusterDeleteStatefulSet), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deploy_over_a_larger_volume_that_failed_and_stayed_is_finished() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    pair.world.faults().plan(Fault::new(Call::InstallerRollBack, 1, FaultKind::Forbid).times(100));
    let mut larger = main_request("missing-1");
    larger.resources.storage_size = "30Gi".parse().unwrap();
    let failure = deploy(&pair.frozen, larger).await.unwrap_err();
    assert_eq!(failure.undo, UndoOutcome::Failed, "{failure}");
    pair.world.faults().clear();
    // The StatefulSet is made for 30Gi, which no revision in force says.
    assert_eq!(revision(pair.die_while_the_claim_grows(main_request("v2")).await), 3);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_broken_off_between_its_two_records_is_finished() {
    let pair = Pair::new();
    revision(deploy(&pair.frozen, main_request("v1")).await);
    let ticket = pair.frozen.deploy(main_request("v2"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Commit).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let commits = pair.world.calls().count(Call::InstallerCommit);
    let _background = pair.survivor_works();
    assert_eq!(revision(pair.survivor.wait(&ticket).await.unwrap().outcome.clone()), 2);
    assert_eq!(pair.world.calls().count(Call::InstallerCommit), commits + 1, "the commit is made sure of");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_lost_its_lock_does_not_run_the_operation_twice() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let ticket = stage.controller.deploy(main_request("missing-1"), caller()).await.unwrap();
    let mut views = stage.controller.follow(&ticket.id).await.unwrap().unwrap();
    views.wait_for(|view| view.phase == Phase::Ready).await.unwrap();
    // Every renewal of the next 31 s gets lost, and then the same process takes over what looks stale.
    stage.world.faults().plan(Fault::new(Call::OperationsCompareAndSwap, 1, FaultKind::Forbid).times(4));
    tokio::time::sleep(Duration::from_secs(31)).await;
    stage.world.faults().clear();
    let other = stage.controller.deploy(main_request("v2"), caller()).await.unwrap();
    assert!(stage.controller.wait(&ticket).await.unwrap().outcome.is_err());
    assert!(stage.controller.wait(&other).await.unwrap().outcome.is_ok());
    assert_eq!(stage.world.calls().count(Call::InstallerRollBack), 1, "one operation, one undo");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_submission_does_not_run_it_twice() {
    for moment in (0..2_000).step_by(50) {
        let stage = Stage::new();
        stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(moment)).await;
        stage.world.faults().plan(Fault::new(Call::OperationsCompareAndSwap, 1, FaultKind::LoseAnswer));
        let second = stage.controller.deploy(main_request("v2"), caller()).await.unwrap();
        assert_eq!(revision(stage.controller.wait(&second).await.unwrap().outcome.clone()), 2);
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(stage.world.calls().count(Call::InstallerCommit), 2, "after {moment} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_committed_deploy_is_finished_whatever_airflow_does() {
    let pair = Pair::new();
    let ticket = pair.frozen.deploy(main_request("v1"), caller()).await.unwrap();
    pair.freeze_in(&ticket, Phase::Commit).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    pair.world.set_airflow_link(AirflowLink::Down);
    // Longer than any deploy may take: the first holder's time is over, the survivor's is not.
    tokio::time::sleep(Duration::from_secs(7200)).await;
    let _background = pair.survivor_works();
    assert_eq!(revision(pair.survivor.wait(&ticket).await.unwrap().outcome.clone()), 1);
}

/// A suspend was decided and done; a DAG is unpaused before its end is on record.
#[tokio::test(start_paused = true)]
async fn a_suspend_that_is_taken_over_is_not_decided_again() {
    for follows in [false, true] {
        let pair = Pair::with(&Settings { sleep_with_dags: follows, ..settings() });
        revision(deploy(&pair.frozen, main_request("v1")).await);
        let set_dag = |paused| pair.world.airflow().set_dag(&key(NAME).name, "daily", paused);
        set_dag(true);
        let ticket = pair.frozen.suspend(&target(NAME), false, caller()).await.unwrap();
        pair.freeze_in(&ticket, Phase::Drain).await;
        set_dag(false);
        let _background = pair.survivor_works();
        assert_eq!(pair.survivor.wait(&ticket).await.unwrap().outcome.clone().unwrap(), Success::Suspended);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let replicas = pair.world.servers().get(&server(NAME)).stateful_set.unwrap().replicas;
        assert_eq!(replicas, u32::from(follows), "a DAG that was unpaused since wakes a server that follows its DAGs");
    }
}
