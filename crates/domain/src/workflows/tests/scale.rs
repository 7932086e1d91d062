use super::stage::{Script, dag, failure, success};
use crate::model::*;

#[tokio::test(start_paused = true)]
async fn suspend_scales_to_zero_and_waits_for_the_pods() {
    let (ending, stage) = Script { dags: vec![dag("nightly", true)], ..Script::deployed() }.play(Task::Suspend { force: false }).await;
    assert_eq!(success(ending), Success::Suspended);
    assert_eq!(stage.writes(), ["operations.write", "cluster.set_replicas(0)"]);
}

#[tokio::test(start_paused = true)]
async fn suspend_is_refused_while_an_unpaused_dag_uses_the_server_unless_forced() {
    let script = Script { dags: vec![dag("nightly", true), dag("hourly", false)], ..Script::deployed() };
    let (ending, stage) = script.clone().play(Task::Suspend { force: false }).await;
    let failure = failure(ending);
    assert_eq!(failure.code, FailureCode::DagsActive);
    assert!(failure.message.contains("`hourly`") && !failure.message.contains("nightly"), "{}", failure.message);
    assert!(stage.writes().is_empty());

    let (ending, _) = script.play(Task::Suspend { force: true }).await;
    assert_eq!(success(ending), Success::Suspended);
}

#[tokio::test(start_paused = true)]
async fn suspend_does_not_guess_when_airflow_cannot_be_asked() {
    let (ending, stage) = Script::deployed().failing("connections.dags").play(Task::Suspend { force: false }).await;
    let failure = failure(ending);
    assert_eq!(failure.code, FailureCode::AirflowRefused);
    assert!(failure.message.contains("?force=true"), "{}", failure.message);
    assert!(stage.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn resume_scales_to_one_and_waits_until_ready() {
    let (ending, stage) = Script { replicas: 0, ..Script::deployed() }.play(Task::Resume).await;
    assert_eq!(success(ending), Success::Resumed);
    assert_eq!(stage.writes(), ["cluster.set_replicas(1)"]);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_server_that_does_not_come_up_is_left_for_the_caller_to_see() {
    let (ending, stage) = Script::deployed().failing("cluster.watch").play(Task::Resume).await;
    let failure = failure(ending);
    assert_eq!((failure.code, failure.undo), (FailureCode::ImagePullFailed, UndoOutcome::LeftAsIs));
    assert!(failure.autopsy.is_some());
    assert_eq!(stage.writes(), ["cluster.set_replicas(1)"]);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_server_is_neither_scaled_nor_noted_on() {
    for task in [Task::Suspend { force: true }, Task::Resume, Task::FollowDags] {
        let dags = vec![dag("nightly", true)];
        let (ending, stage) = Script { dags, foreign_since: Some("installer.get"), ..Script::deployed() }.play(task.clone()).await;
        if task.kind() != OperationKind::FollowDags {
            assert_eq!(failure(ending).code, FailureCode::ForeignObject);
        }
        assert!(stage.writes().is_empty(), "{task:?}");
    }
}

/// It waits for a server that will never come, and theirs may be ready.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_somebody_elses_by_now_is_not_waited_for() {
    let script = Script { replicas: 0, foreign_since: Some("cluster.set_replicas(1)"), ..Script::deployed() };
    let (ending, stage) = script.play(Task::Resume).await;
    let failure = failure(ending);
    assert_eq!((failure.code, failure.phase), (FailureCode::ForeignObject, Some(Phase::Ready)));
    assert_eq!(stage.writes(), ["cluster.set_replicas(1)"]);
}

#[tokio::test(start_paused = true)]
async fn neither_works_on_what_is_not_there() {
    for task in [Task::Suspend { force: true }, Task::Resume] {
        let (ending, stage) = Script::first().play(task).await;
        assert_eq!(failure(ending).code, FailureCode::NotFound);
        assert!(stage.writes().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_scaling_says_so() {
    for (task, call) in [(Task::Suspend { force: true }, "cluster.set_replicas(0)"), (Task::Resume, "cluster.set_replicas(1)")] {
        let (ending, _) = Script::deployed().failing(call).play(task).await;
        assert_eq!(failure(ending).phase, Some(Phase::Scale));
    }
}
