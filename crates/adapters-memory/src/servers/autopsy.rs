//! What is found when a server does not come up.

use dbt_controller_domain::model::{
    Autopsy, ClusterEvent, ContainerReport, ContainerState, ContainerStatus, PodState, ServerKey, VolumeReport,
};
use secrecy::ExposeSecret as _;

use super::pod::SERVER_CONTAINER;
use super::{Fate, Hindrance, Pod, Server};
use crate::clock::Timeline;
use crate::world::Scene;

impl Scene<'_> {
    pub(super) fn autopsy(&mut self, key: &ServerKey) -> Autopsy {
        let (state, _) = self.look(key);
        let timeline = &self.world.timeline;
        let Some(server) = self.state.servers.get(key) else { return Autopsy::default() };
        let pods = || server.pods.iter().zip(&state.pods);
        Autopsy {
            containers: pods().flat_map(|(pod, seen)| seen.containers.iter().map(|container| report(pod, seen, container))).collect(),
            events: refusals(server, key, timeline).chain(pods().flat_map(|(pod, seen)| events(pod, seen, timeline))).collect(),
            scheduling: state.pods.iter().find_map(|pod| pod.unschedulable.clone()),
            volumes: volumes(server, &state.pods),
            gaps: Vec::new(),
        }
    }
}

fn report(pod: &Pod, seen: &PodState, container: &ContainerState) -> ContainerReport {
    let (state, reason, message) = match &container.status {
        ContainerStatus::Running { .. } => ("running", None, None),
        ContainerStatus::Waiting { reason, message, .. } => ("waiting", Some(reason.clone()), Some(message.clone())),
        ContainerStatus::Terminated(exit) => ("terminated", Some(exit.reason.clone()), None),
    };
    ContainerReport {
        pod: seen.name.clone(),
        container: container.name.clone(),
        state: state.to_owned(),
        reason,
        message: message.filter(|message| !message.is_empty()),
        exit_code: container.last_exit.as_ref().map(|exit| exit.code),
        restarts: container.restarts,
        log: if container.name == SERVER_CONTAINER { log(pod, container) } else { Vec::new() },
    }
}

/// The last lines of the server's log, as real ones write them, secrets included.
fn log(pod: &Pod, container: &ContainerState) -> Vec<String> {
    if container.last_exit.is_some() {
        let git_url = pod.template.git_url.expose_secret();
        return vec![
            format!("Cloning into '/data/dbt' from {git_url}"),
            "Running dbt deps".to_owned(),
            "dbt.exceptions.DbtProjectError: no dbt_project.yml found at expected path /data/dbt/dbt_project.yml".to_owned(),
        ];
    }
    match (container.ready, &container.status) {
        (true, _) => vec!["Running dbt deps".to_owned(), "Listening at: http://0.0.0.0:8585".to_owned()],
        (false, ContainerStatus::Running { .. }) => vec!["Running dbt deps".to_owned()],
        (false, _) => Vec::new(),
    }
}

/// Events of the StatefulSet, which tells here why it can make no pod.
fn refusals<'a>(server: &'a Server, key: &'a ServerKey, timeline: &'a Timeline) -> impl Iterator<Item = ClusterEvent> + 'a {
    let set = server.stateful_set.as_ref().filter(|_| server.pods.is_empty());
    set.zip(server.hindrance.as_ref()).into_iter().filter_map(|(set, hindrance)| match hindrance {
        Hindrance::Refused(refusal) => Some(ClusterEvent {
            at: timeline.timestamp(set.created),
            object: format!("StatefulSet/{}", key.name),
            reason: "FailedCreate".to_owned(),
            message: format!("create Pod {0}-0 in StatefulSet {0} failed error: {1}", key.name, refusal.message),
            count: 1,
        }),
        Hindrance::Unschedulable(_) | Hindrance::VolumeFailure(_) | Hindrance::ContainerConfig(_) => None,
    })
}

fn events(pod: &Pod, seen: &PodState, timeline: &Timeline) -> Vec<ClusterEvent> {
    let image = &pod.template.image;
    let event = |at, reason: &str, message: String, count| ClusterEvent {
        at,
        object: format!("Pod/{}", seen.name),
        reason: reason.to_owned(),
        message,
        count,
    };
    let assigned = || event(seen.created_at, "Scheduled", format!("Successfully assigned {} to a node", seen.name), 1);
    let started = match &pod.started {
        Err(Hindrance::Refused(_)) => return Vec::new(),
        Err(Hindrance::Unschedulable(words)) => return vec![event(seen.created_at, "FailedScheduling", words.clone(), 1)],
        Err(Hindrance::VolumeFailure(words)) => return vec![assigned(), event(seen.created_at, "FailedMount", words.clone(), 1)],
        Err(Hindrance::ContainerConfig(words)) => return vec![assigned(), event(seen.created_at, "Failed", words.clone(), 1)],
        Ok(started) => timeline.timestamp(*started),
    };
    let mut events = vec![assigned(), event(started, "Pulling", format!("Pulling image \"{image}\""), 1)];
    match (pod.template.fate, seen.containers.first()) {
        (Fate::NeverPulled, Some(container)) if !matches!(&container.status, ContainerStatus::Waiting { reason, .. } if reason == "ContainerCreating") =>
        {
            events.push(event(started, "Failed", format!("Failed to pull image \"{image}\": not found"), 1));
        }
        (Fate::Crashes, Some(ContainerState { last_exit: Some(exit), restarts, .. })) => {
            let message = format!("Back-off restarting failed container {SERVER_CONTAINER} in pod {}", seen.name);
            events.push(event(exit.at, "BackOff", message, restarts + 1));
        }
        (Fate::Starts | Fate::NeverPulled | Fate::Crashes, _) => {}
    }
    events
}

fn volumes(server: &Server, pods: &[PodState]) -> Vec<VolumeReport> {
    let message = pods.iter().find_map(|pod| pod.volume_failure.clone());
    let report =
        |claim: dbt_controller_domain::model::Claim| VolumeReport { claim: claim.name, phase: claim.phase, message: message.clone() };
    server.list_claims().into_iter().map(report).collect()
}
