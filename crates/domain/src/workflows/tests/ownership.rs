//! Somebody puts a StatefulSet of their own in the place of the release's.

use super::stage::{Script, dag, failure};
use crate::model::*;
use crate::test_support::request;

/// The answer of the first try came late, and somebody was quicker than the second.
#[tokio::test(start_paused = true)]
async fn whose_a_server_is_is_asked_before_each_try() {
    let mut larger = request();
    larger.resources.storage_size = "2Gi".parse().unwrap();
    let (larger, first) = (Task::Deploy(Box::new(larger)), Task::Deploy(Box::new(request())));
    let deployed = Script { passing: true, dags: vec![dag("nightly", true)], ..Script::deployed() };
    let active = Script { dags_noted: Some(DagState::SomeActive), ..deployed.clone() };
    let failing = Script { passing: true, ..Script::first() }.failing("installer.apply");
    let table = [
        (&deployed, "cluster.set_replicas(0)", Task::Suspend { force: true }),
        (&deployed, "cluster.set_dag_state", Task::FollowDags),
        (&active, "cluster.follow_dags", Task::FollowDags),
        (&deployed, "cluster.delete_claims", Task::Delete),
        (&deployed, "cluster.grow_claims", larger.clone()),
        (&deployed, "cluster.delete_stateful_set", larger),
        (&failing, "cluster.delete_claims", first),
    ];
    for (script, call, task) in table {
        for (foreign_since, tries) in [(Some(call), 1), (None, 2)] {
            let script = Script { foreign_since, ..script.clone() }.failing(&format!("{call}@1"));
            let (_, stage) = script.play(task.clone()).await;
            let made = stage.writes().into_iter().filter(|made| made == call).count();
            assert_eq!(made, tries, "{call}, foreign: {}", foreign_since.is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_somebody_elses_server_is_refused() {
    let deployed = Script { passing: true, dags: vec![dag("nightly", true)], ..Script::deployed() };
    let active = Script { dags_noted: Some(DagState::SomeActive), ..deployed.clone() };
    let table = [
        (&deployed, "cluster.set_replicas(0)", Task::Suspend { force: true }),
        (&deployed, "cluster.set_dag_state", Task::FollowDags),
        (&active, "cluster.follow_dags", Task::FollowDags),
    ];
    for (script, call, task) in table {
        let script = Script { foreign_since: Some(call), ..script.clone() }.failing(&format!("{call}@1"));
        let (ending, stage) = script.play(task).await;
        assert_eq!(failure(ending).code, FailureCode::ForeignObject, "{call}");
        assert_eq!(stage.writes(), [call]);
    }
}

/// Whatever it was that went wrong.
#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_somebody_elses_server() {
    let script = Script::first().failing("connections.put");
    let (ending, _) = script.clone().play(Task::Deploy(Box::new(request()))).await;
    assert!(failure(ending).autopsy.is_some());
    let (ending, stage) = Script { foreign_since: Some("connections.put"), ..script }.play(Task::Deploy(Box::new(request()))).await;
    assert_eq!(failure(ending).autopsy, None);
    assert!(!stage.called("cluster.autopsy"));
}
