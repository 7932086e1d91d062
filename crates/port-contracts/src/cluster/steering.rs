//! Scaling, replacing, deleting.

use dbt_controller_domain::model::{DagState, ServerState};
use dbt_controller_domain::ports::ClusterError;

use super::{ClusterHarness, Played, is_ready};
use crate::check::{Outcome, Stopped, ensure, ensure_eq, ensure_err};
use crate::fixtures::fence;
use crate::harness::fresh_request;

fn replicas(state: &ServerState) -> Option<u32> {
    state.stateful_set.as_ref().map(|set| set.replicas)
}

fn uids(state: &ServerState) -> Vec<&str> {
    state.pods.iter().map(|pod| pod.uid.as_str()).collect()
}

pub(super) async fn scaling_to_zero_ends_the_pods_and_keeps_the_claims(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let claims = played.cluster.claims(&played.key).await?;
    played.cluster.set_replicas(&played.key, 0, &fence()).await?;
    let state = played.until_no_pods().await?;
    ensure_eq!(replicas(&state), Some(0), "the wanted replicas");
    ensure_eq!(played.cluster.claims(&played.key).await?, claims, "the claims");
    played.cluster.set_replicas(&played.key, 0, &fence()).await?;
    played.cluster.set_replicas(&played.key, 1, &fence()).await?;
    played.until_ready().await?;
    ensure_eq!(played.cluster.claims(&played.key).await?, claims, "the claims after waking");
    Ok(())
}

pub(super) async fn scaling_changes_nothing_else(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let before = played.state().await?;
    played.cluster.set_replicas(&played.key, 1, &fence()).await?;
    ensure_eq!(played.state().await?, before, "the server after it was scaled to what it is");
    played.cluster.set_replicas(&played.key, 0, &fence()).await?;
    played.cluster.set_replicas(&played.key, 1, &fence()).await?;
    let after = played.until_ready().await?;
    let revisions = |state: &ServerState| state.stateful_set.as_ref().map(|set| (set.update_revision.clone(), set.created_at));
    ensure_eq!(revisions(&after), revisions(&before), "update revision and age of the StatefulSet");
    Ok(())
}

pub(super) async fn a_note_of_the_dags_is_kept_and_changes_nothing_else(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let noted = |state: &ServerState| state.stateful_set.as_ref().and_then(|set| set.dag_state);
    let before = played.state().await?;
    ensure_eq!(noted(&before), None, "the note on a new server");
    for state in [Some(DagState::AllPaused), Some(DagState::SomeActive), Some(DagState::SomeActive), None, Some(DagState::AllPaused)] {
        played.cluster.set_dag_state(&played.key, state, &fence()).await?;
        ensure_eq!(noted(&*played.state().await?), state, "the note");
    }
    let after = played.state().await?;
    ensure_eq!(uids(&after), uids(&before), "the pods");
    let spec = |state: &ServerState| state.stateful_set.as_ref().map(|set| (set.generation, set.replicas, set.update_revision.clone()));
    ensure_eq!(spec(&after), spec(&before), "the StatefulSet");
    played.write_tag("2.0.0").await?;
    ensure_eq!(noted(&*played.state().await?), Some(DagState::AllPaused), "the note after the release was written");
    played.cluster.set_replicas(&played.key, 0, &fence()).await?;
    ensure_eq!(noted(&*played.until_no_pods().await?), Some(DagState::AllPaused), "the note after the server was scaled");
    Ok(())
}

pub(super) async fn a_server_follows_its_dags_in_one_write(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let seen = |state: &ServerState| state.stateful_set.as_ref().map(|set| (set.replicas, set.dag_state, set.generation));
    let generation = seen(&*played.state().await?).map(|(_, _, generation)| generation).unwrap_or_default();
    for (changes, replicas, state) in [(1, 0, DagState::AllPaused), (2, 1, DagState::SomeActive), (2, 1, DagState::SomeActive)] {
        played.cluster.follow_dags(&played.key, replicas, state, &fence()).await?;
        ensure_eq!(seen(&*played.state().await?), Some((replicas, Some(state), generation + changes)), "the StatefulSet");
    }
    Ok(())
}

pub(super) async fn scaling_what_does_not_exist_is_not_found(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness));
    let scaled = played.cluster.set_replicas(&played.key, 1, &fence()).await;
    ensure_err!(scaled, ClusterError::NotFound(_), "scaling without a StatefulSet");
    let noted = played.cluster.set_dag_state(&played.key, Some(DagState::AllPaused), &fence()).await;
    ensure_err!(noted, ClusterError::NotFound(_), "a note without a StatefulSet");
    let followed = played.cluster.follow_dags(&played.key, 1, DagState::SomeActive, &fence()).await;
    ensure_err!(followed, ClusterError::NotFound(_), "following DAGs without a StatefulSet");
    ensure_eq!(*played.state().await?, ServerState::default(), "the state");
    Ok(())
}

pub(super) async fn replicas_survive_a_changed_template(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    played.cluster.set_replicas(&played.key, 0, &fence()).await?;
    played.until_no_pods().await?;
    played.write_tag("2.0.0").await?;
    let seen = |state: &ServerState| state.stateful_set.as_ref().is_some_and(|set| set.observed_generation == set.generation);
    let state = played.until("that the controller has seen the template", seen).await?;
    ensure_eq!(replicas(&state), Some(0), "the wanted replicas");
    ensure!(state.pods.is_empty(), "a sleeping server got a pod by an upgrade");
    Ok(())
}

pub(super) async fn what_somebody_else_scales_is_seen(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    harness.human_scales(&played.key, 0).await.or_skip("human_scales")?;
    let state = played.until_no_pods().await?;
    ensure_eq!(replicas(&state), Some(0), "the wanted replicas");
    Ok(())
}

pub(super) async fn a_changed_template_replaces_a_ready_pod(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let before = played.state().await?;
    played.write_tag("2.0.0").await?;
    let after = played.until("another pod, ready", |state| is_ready(state) && uids(state) != uids(&before)).await?;
    ensure_eq!(after.pods.len(), 1, "how many pods it has");
    ensure!(after.pods[0].revision != before.pods[0].revision, "the pod has the old revision");
    ensure_eq!(after.pods[0].name, before.pods[0].name, "the pod's name");
    Ok(())
}

/// Right after a change the status is still that of the old server, which was ready.
pub(super) async fn a_change_counts_as_observed_only_once_it_was(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let before = played.state().await?;
    played.write_tag("2.0.0").await?;
    let wrong = |state: &ServerState| is_ready(state) && uids(state) == uids(&before);
    let generation = before.stateful_set.as_ref().map(|set| set.generation);
    let changed = |state: &ServerState| state.stateful_set.as_ref().map(|set| set.generation) > generation;
    let mut seen = played.until("the new generation", changed).await?;
    let limit = tokio::time::Instant::now() + harness.patience().change;
    while !is_ready(&seen) {
        ensure!(!wrong(&seen), "the old pod is taken for the new one: {seen:?}");
        ensure!(tokio::time::Instant::now() < limit, "the new pod was not ready in time");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        seen = played.state().await?;
    }
    ensure!(uids(&seen) != uids(&before), "the old pod is taken for the new one");
    Ok(())
}

pub(super) async fn a_broken_pod_is_replaced_once_it_was_deleted(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::written(harness, fresh_request(harness).tag(&harness.missing_tag())).await?;
    let broken = played.until("a pod", |state| !state.pods.is_empty()).await?;
    played.write_tag("2.0.0").await?;
    // At once after the change: the adapter must not be fooled by a status that still names the old revision.
    let deleted = played.cluster.delete_broken_pods(&played.key, &fence()).await?;
    ensure_eq!(deleted, vec![broken.pods[0].name.clone()], "the deleted pods");
    let state = played.until_ready().await?;
    ensure!(uids(&state) != uids(&broken), "the pod is the old one");
    Ok(())
}

pub(super) async fn a_ready_pod_and_one_of_the_newest_template_are_not_broken(harness: &dyn ClusterHarness) -> Outcome {
    let ready = Played::ready(harness).await?;
    ensure_eq!(ready.cluster.delete_broken_pods(&ready.key, &fence()).await?, Vec::<String>::new(), "of a ready server, the deleted pods");
    let newest = Played::written(harness, fresh_request(harness).tag(&harness.missing_tag())).await?;
    newest.until("a pod", |state| !state.pods.is_empty()).await?;
    let deleted = newest.cluster.delete_broken_pods(&newest.key, &fence()).await?;
    ensure_eq!(deleted, Vec::<String>::new(), "of a server whose newest template is broken, the deleted pods");
    let absent = Played::new(harness, fresh_request(harness));
    ensure_eq!(absent.cluster.delete_broken_pods(&absent.key, &fence()).await?, Vec::<String>::new(), "of no server, the deleted pods");
    Ok(())
}

pub(super) async fn a_stateful_set_goes_and_its_pods_stay(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let before = played.state().await?;
    played.cluster.delete_stateful_set(&played.key, true, &fence()).await?;
    let state = played.until("that the StatefulSet is gone", |state| state.stateful_set.is_none()).await?;
    ensure_eq!(uids(&state), uids(&before), "the pods");
    ensure!(state.pods.iter().all(|pod| pod.ready && !pod.terminating), "a pod suffered: {state:?}");
    Ok(())
}

pub(super) async fn a_stateful_set_that_comes_back_keeps_its_orphans(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let before = played.state().await?;
    played.cluster.delete_stateful_set(&played.key, true, &fence()).await?;
    played.write(&played.desired).await?;
    let state = played.until_ready().await?;
    ensure_eq!(uids(&state), uids(&before), "the pods");
    Ok(())
}

pub(super) async fn orphans_are_deleted_and_pods_with_a_stateful_set_are_not(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    let (cluster, key) = (&played.cluster, &played.key);
    ensure_eq!(cluster.delete_orphans(key, &fence()).await?, Vec::<String>::new(), "of a server with a StatefulSet, the deleted pods");
    let before = played.state().await?;
    cluster.delete_stateful_set(key, true, &fence()).await?;
    played.until("that the StatefulSet is gone", |state| state.stateful_set.is_none()).await?;
    let deleted = cluster.delete_orphans(key, &fence()).await?;
    ensure_eq!(deleted, before.pods.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>(), "the deleted pods");
    played.until("that they are gone", |state| state.pods.is_empty()).await?;
    ensure_eq!(cluster.delete_orphans(key, &fence()).await?, Vec::<String>::new(), "of no server, the deleted pods");
    Ok(())
}

pub(super) async fn a_stateful_set_goes_with_its_pods(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::ready(harness).await?;
    played.cluster.delete_stateful_set(&played.key, false, &fence()).await?;
    let state = played.state().await?;
    ensure!(state.stateful_set.is_none(), "the StatefulSet is there");
    ensure!(state.pods.is_empty(), "on return there are pods: {state:?}");
    Ok(())
}

pub(super) async fn an_absent_stateful_set_counts_as_deleted(harness: &dyn ClusterHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness));
    for keep_pods in [true, false] {
        if let Err(error) = played.cluster.delete_stateful_set(&played.key, keep_pods, &fence()).await {
            return Err(Stopped::broken(&format!("deleting what does not exist (pods kept: {keep_pods}): {error}")));
        }
    }
    Ok(())
}
