//! How a server comes up, and how it is told that it does not.

use dbt_controller_domain::model::{Autopsy, ContainerState, ContainerStatus, ServerState};

use super::{ClusterHarness, Played, is_ready};
use crate::check::{Outcome, Stopped, ensure, ensure_eq};
use crate::fixtures::fence;
use crate::harness::fresh_request;

pub(super) async fn a_server_without_anything_is_an_empty_state(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness));
    ensure_eq!(*played.state().await?, ServerState::default(), "the state");
    ensure_eq!(played.cluster.claims(&played.key).await?.len(), 0, "how many claims it has");
    Ok(())
}

pub(super) async fn a_server_becomes_ready(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::written(harness, fresh_request(harness)).await?;
    let first = played.state().await?;
    // Some servers are quick, but none is ready without its pod.
    ensure!(!is_ready(&first) || first.pods.iter().any(|pod| pod.ready), "it is ready before it can be");
    let state = played.until_ready().await?;
    let Some(set) = &state.stateful_set else { return Err(Stopped::broken("it has no StatefulSet")) };
    ensure_eq!((set.replicas, set.ready_replicas, set.updated_replicas), (1, 1, 1), "replicas: wanted, ready, updated");
    ensure!(!set.update_revision.is_empty(), "it has no update revision");
    ensure_eq!(set.release.as_ref(), Some(&played.desired.key), "whose it is");
    ensure_eq!(set.pod_refusal, None, "why it has no pod");
    ensure_eq!(state.pods.len(), 1, "how many pods it has");
    let pod = &state.pods[0];
    ensure_eq!(pod.name, played.desired.key.name.pod_name(0), "the pod's name");
    ensure_eq!(pod.revision, set.update_revision, "the pod's revision");
    ensure!(!pod.uid.is_empty(), "the pod has no uid");
    ensure!(pod.ready && !pod.terminating, "the pod is not ready, or terminating");
    ensure!(pod.created_at >= set.created_at, "the pod is older than its StatefulSet");
    ensure_eq!((&pod.unschedulable, &pod.volume_failure), (&None, &None), "the pod's troubles");
    let names: Vec<_> = pod.containers.iter().map(|container| container.name.as_str()).collect();
    ensure_eq!(names, ["dbt-server", "dbt-server-nginx-proxy"], "the containers");
    for container in &pod.containers {
        let runs = matches!(container.status, ContainerStatus::Running { .. });
        ensure!(container.ready && runs && container.restarts == 0, "container {container:?} is not well");
    }
    Ok(())
}

pub(super) async fn a_watch_shows_the_present_and_each_change(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let mut watch = played.cluster.watch(&played.key).await?;
    ensure!(is_ready(&watch.borrow_and_update()), "the first value of a watch is not the present state");
    played.cluster.set_replicas(&played.key, 0, &fence()).await?;
    let limit = harness.patience().change;
    let asleep = |state: &ServerState| state.pods.is_empty() && state.stateful_set.as_ref().is_some_and(|set| set.replicas == 0);
    let seen = tokio::time::timeout(limit, watch.wait_for(|state| asleep(state))).await;
    ensure!(matches!(seen, Ok(Ok(_))), "the watch did not show that the server went to sleep");
    drop(seen);
    played.cluster.set_replicas(&played.key, 1, &fence()).await?;
    let seen = tokio::time::timeout(limit, watch.wait_for(|state| is_ready(state))).await;
    ensure!(matches!(seen, Ok(Ok(_))), "the watch did not show that the server woke");
    Ok(())
}

pub(super) async fn a_watch_begins_before_the_server_exists(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness));
    let mut watch = played.cluster.watch(&played.key).await?;
    ensure_eq!(**watch.borrow_and_update(), ServerState::default(), "the state of a server that does not exist");
    played.write(&played.desired).await?;
    let seen = tokio::time::timeout(harness.patience().change, watch.wait_for(|state| is_ready(state))).await;
    ensure!(matches!(seen, Ok(Ok(_))), "the watch did not show that the server came up");
    Ok(())
}

pub(super) async fn two_watches_show_the_same(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::written(harness, fresh_request(harness)).await?;
    let mut one = played.cluster.watch(&played.key).await?;
    let mut two = harness.cluster().watch(&played.key).await?;
    let limit = harness.patience().change;
    for watch in [&mut one, &mut two] {
        let seen = tokio::time::timeout(limit, watch.wait_for(|state| is_ready(state))).await;
        ensure!(matches!(seen, Ok(Ok(_))), "a watch did not show that the server came up");
    }
    ensure_eq!(*one.borrow(), *two.borrow(), "what the watches show");
    ensure_eq!(*played.state().await?, **one.borrow(), "the state, compared with the watch");
    Ok(())
}

fn server_container(state: &ServerState) -> Option<&ContainerState> {
    state.pods.first()?.containers.iter().find(|container| container.name == "dbt-server")
}

pub(super) async fn a_missing_image_is_told(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::written(harness, fresh_request(harness).tag(&harness.missing_tag())).await?;
    let reason = |state: &ServerState| match &server_container(state)?.status {
        ContainerStatus::Waiting { reason, since, .. } => Some((reason.clone(), *since)),
        ContainerStatus::Running { .. } | ContainerStatus::Terminated(_) => None,
    };
    let is = |state: &ServerState, words: &[&str]| reason(state).is_some_and(|(reason, _)| words.contains(&reason.as_str()));
    let first = played.until("a pull that went wrong", |state| is(state, &["ErrImagePull", "ImagePullBackOff"])).await?;
    let later = played.until("ImagePullBackOff", |state| is(state, &["ImagePullBackOff"])).await?;
    let (first, later) = (reason(&first).map(|(_, since)| since), reason(&later).map(|(_, since)| since));
    ensure_eq!(later, first, "since when the pull goes wrong");
    ensure!(!played.state().await?.pods.iter().any(|pod| pod.ready), "the pod is called ready");
    Ok(())
}

fn restarts(state: &ServerState) -> u32 {
    server_container(state).map_or(0, |container| container.restarts)
}

async fn crashing<'a>(harness: &'a dyn ClusterHarness) -> Outcome<Played<'a>> {
    let Some(tag) = harness.crashing_tag() else { return Err(Stopped::Skipped("crashing_tag")) };
    Played::written(harness, fresh_request(harness).tag(&tag)).await
}

pub(super) async fn a_crashing_server_is_told(harness: &dyn ClusterHarness) -> Outcome {
    let played = crashing(harness).await?;
    let waits = |state: &ServerState| {
        let status = server_container(state).map(|container| container.status.clone());
        matches!(status, Some(ContainerStatus::Waiting { reason, .. }) if reason == "CrashLoopBackOff")
    };
    played.until("CrashLoopBackOff", waits).await?;
    let state = played.until("three restarts", |state| restarts(state) >= 3).await?;
    let exit = server_container(&state).and_then(|container| container.last_exit.clone());
    ensure_eq!(exit.map(|exit| (exit.code, exit.reason)), Some((1, "Error".to_owned())), "how it ended last");
    ensure!(state.pods.iter().all(|pod| !pod.ready), "the pod is called ready");
    Ok(())
}

pub(super) async fn an_autopsy_tells_why_a_server_crashes(harness: &dyn ClusterHarness) -> Outcome {
    let played = crashing(harness).await?;
    played.until("a restart", |state| restarts(state) >= 1).await?;
    let autopsy = played.cluster.autopsy(&played.key).await;
    let report = autopsy.containers.iter().find(|report| report.container == "dbt-server");
    let Some(report) = report else { return Err(Stopped::broken(&format!("nothing is reported of the server: {autopsy:?}"))) };
    ensure_eq!(report.pod, played.desired.key.name.pod_name(0), "the pod");
    ensure_eq!(report.exit_code, Some(1), "the exit code");
    ensure!(report.restarts >= 1, "it was never restarted");
    ensure!(!report.log.is_empty() && report.log.len() <= 20, "the log has {} lines", report.log.len());
    ensure!(["running", "waiting", "terminated"].contains(&report.state.as_str()), "the state is `{}`", report.state);
    ensure!(autopsy.events.len() <= 20, "there are {} events", autopsy.events.len());
    ensure!(autopsy.events.windows(2).all(|pair| pair[0].at <= pair[1].at), "the newest event is not last");
    ensure!(!autopsy.volumes.is_empty(), "nothing is reported of the claim");
    Ok(())
}

pub(super) async fn an_autopsy_of_nothing_is_empty(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness));
    ensure_eq!(played.cluster.autopsy(&played.key).await, Autopsy::default(), "the autopsy");
    Ok(())
}

pub(super) async fn a_refused_pod_is_explained(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness));
    harness.refuse_pods(&played.key).await.or_skip("refuse_pods")?;
    played.write(&played.desired).await?;
    let seen = |state: &ServerState| state.stateful_set.as_ref().is_some_and(|set| set.observed_generation == set.generation);
    let state = played.until("that the controller has seen the StatefulSet", seen).await?;
    ensure!(state.pods.is_empty(), "it has a pod all the same");
    match played.cluster.why_no_pod(&played.key).await? {
        Some(refusal) => ensure!(refusal.by_quota && !refusal.message.is_empty(), "the reason is {refusal:?}"),
        None => return Err(Stopped::broken("nobody knows why there is no pod")),
    }
    Ok(())
}

pub(super) async fn a_server_that_gets_its_pod_needs_no_explanation(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    ensure_eq!(played.cluster.why_no_pod(&played.key).await?, None, "why there is no pod");
    Ok(())
}

pub(super) async fn a_ready_server_answers_its_probe(harness: &dyn ClusterHarness) -> Outcome {
    if !harness.servers_answer() {
        return Err(Stopped::Skipped("servers_answer"));
    }
    let played = Played::ready(harness).await?;
    ensure!(played.cluster.probe(&played.key).await.is_some(), "it does not answer");
    Ok(())
}

pub(super) async fn a_sleeping_or_absent_server_does_not_answer_its_probe(harness: &dyn ClusterHarness) -> Outcome {
    let absent = Played::new(harness, fresh_request(harness));
    ensure_eq!(absent.cluster.probe(&absent.key).await, None, "the answer of a server that does not exist");
    let sleeping = Played::ready(harness).await?;
    sleeping.cluster.set_replicas(&sleeping.key, 0, &fence()).await?;
    sleeping.until_no_pods().await?;
    ensure_eq!(sleeping.cluster.probe(&sleeping.key).await, None, "the answer of a server that sleeps");
    Ok(())
}
