//! What a person needs to see of a server that does not come up.

use std::time::Duration;

use dbt_controller_domain::model::{
    Autopsy, ClusterEvent, ContainerReport, ContainerState, ContainerStatus, Namespace, PodState, ServerKey, VolumeReport,
};
use dbt_controller_kube_access::Fault;
use futures_util::future::join_all;
use kube::Client;
use tokio::time::timeout;

use super::events::{About, SeenEvent, events};
use super::servers::Server;
use super::{KubeCluster, logs};

/// The most events that are shown.
const EVENTS: usize = 20;

/// How long events are waited for that must come: the cluster writes them a moment after the status that they are about, and a verdict at
/// first sight is faster.
const EVENTS_LAG: Duration = Duration::from_secs(3);
/// Between two looks for them.
const EVENTS_PAUSE: Duration = Duration::from_millis(300);

/// Collects an autopsy: one request per container that has run (for its log) and one per object (for its events), all at the same time
/// and each with a limit of its own.
pub(super) async fn autopsy(cluster: &KubeCluster, key: &ServerKey) -> Autopsy {
    let mut gaps = Vec::new();
    if let Err(error) = cluster.readable(&key.namespace) {
        gaps.push(format!("the server was not seen: {error}"));
    }
    let seen = cluster.servers.look(key, |server| Seen::of(key, server));
    let (client, namespace) = (&cluster.client, &key.namespace);
    let containers = seen.pods.iter().flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)));
    let reports = join_all(containers.map(|(pod, container)| report(client, namespace, pod, container)));
    let (reports, found) = futures_util::future::join(reports, seen.events(client, namespace)).await;

    let mut containers = Vec::new();
    for (report, gap) in reports {
        containers.push(report);
        gaps.extend(gap);
    }
    let mut all = Vec::new();
    for (about, found) in seen.objects.iter().zip(found) {
        match found {
            Ok(events) => all.extend(events),
            Err(fault) => gaps.push(gap("events", &format!("{} `{}`", about.kind, about.name), &fault)),
        }
    }
    all.sort_by_key(|seen| seen.event.at);
    // A missing right is the same for all objects.
    gaps.dedup();
    Autopsy {
        containers,
        scheduling: seen.pods.iter().find_map(|pod| pod.unschedulable.clone()),
        volumes: seen.volumes(&all),
        events: newest(all),
        gaps,
    }
}

/// What is said of a pod on its way, whatever becomes of its containers. A claim is bound a moment after its pod is made, so the first
/// attempt to schedule a pod often fails.
const ROUTINE: [&str; 6] = ["FailedScheduling", "Scheduled", "Pulling", "Pulled", "Created", "Started"];

/// What was seen of the server at the moment of the autopsy.
struct Seen {
    pods: Vec<PodState>,
    claims: Vec<(String, String)>,
    objects: Vec<About>,
}

impl Seen {
    fn of(key: &ServerKey, server: &Server) -> Self {
        let set = server.set.as_ref().map(|set| About { kind: "StatefulSet", name: key.name.to_string(), uid: set.uid.clone() });
        let pods = server.pods.values().map(|view| About { kind: "Pod", name: view.state.name.clone(), uid: view.state.uid.clone() });
        let claims = server.claims.values();
        let claims = claims.map(|view| About { kind: "PersistentVolumeClaim", name: view.claim.name.clone(), uid: view.uid.clone() });
        Self {
            objects: set.into_iter().chain(pods).chain(claims).collect(),
            pods: server.pods.values().map(|view| view.state.clone()).collect(),
            claims: server.claims.values().map(|view| (view.claim.name.clone(), view.claim.phase.clone())).collect(),
        }
    }

    /// What was said of each object, in their order.
    async fn events(&self, client: &Client, namespace: &Namespace) -> Vec<Result<Vec<SeenEvent>, Fault>> {
        let read = || join_all(self.objects.iter().map(|about| events(client, namespace, about)));
        let is_silent = |about: &About, found: &Result<Vec<SeenEvent>, Fault>| {
            let in_trouble = || self.pods.iter().any(|pod| pod.uid == about.uid && is_in_trouble(pod));
            found.as_ref().is_ok_and(|found| !found.iter().any(|seen| tells_of_containers(&seen.event))) && in_trouble()
        };
        let mut found = read().await;
        let wait = async {
            while self.objects.iter().zip(&found).any(|(about, found)| is_silent(about, found)) {
                tokio::time::sleep(EVENTS_PAUSE).await;
                found = read().await;
            }
        };
        // Out of time: what was found so far has to do.
        let _ = timeout(EVENTS_LAG, wait).await;
        found
    }

    /// The claims, each with the last that was said of it, else with what the pods say of their volumes.
    fn volumes(&self, events: &[SeenEvent]) -> Vec<VolumeReport> {
        let of_pods = self.pods.iter().find_map(|pod| pod.volume_failure.clone());
        let report = |(claim, phase): &(String, String)| {
            let object = format!("PersistentVolumeClaim/{claim}");
            let said = events.iter().rfind(|seen| seen.event.object == object && phase != "Bound");
            let message = said.map(|seen| seen.event.message.clone()).or_else(|| of_pods.clone());
            VolumeReport { claim: claim.clone(), phase: phase.clone(), message }
        };
        self.claims.iter().map(report).collect()
    }
}

/// Whether an event may be the one that says why a container does not run.
fn tells_of_containers(event: &ClusterEvent) -> bool {
    !ROUTINE.contains(&event.reason.as_str())
}

/// Whether something went wrong with a container of a pod, of which there must be an event.
fn is_in_trouble(pod: &PodState) -> bool {
    let is_failing = |container: &ContainerState| match &container.status {
        ContainerStatus::Waiting { reason, .. } => !matches!(reason.as_str(), "ContainerCreating" | "PodInitializing"),
        ContainerStatus::Terminated(_) => true,
        ContainerStatus::Running { .. } => false,
    };
    pod.containers.iter().any(is_failing)
}

/// What is to say of a container, and what of it could not be read.
async fn report(client: &Client, namespace: &Namespace, pod: &PodState, container: &ContainerState) -> (ContainerReport, Option<String>) {
    let (state, reason, message) = match &container.status {
        ContainerStatus::Running { .. } => ("running", None, None),
        ContainerStatus::Waiting { reason, message, .. } => ("waiting", Some(reason), Some(message)),
        ContainerStatus::Terminated(exit) => ("terminated", Some(&exit.reason), None),
    };
    let (log, gap) = match log(client, namespace, pod, container).await {
        Ok(log) => (log, None),
        Err(fault) => (Vec::new(), Some(gap("logs", &format!("container `{}` of pod `{}`", container.name, pod.name), &fault))),
    };
    let report = ContainerReport {
        pod: pod.name.clone(),
        container: container.name.clone(),
        state: state.to_owned(),
        reason: reason.cloned(),
        message: message.filter(|message| !message.is_empty()).cloned(),
        exit_code: container.last_exit.as_ref().map(|exit| exit.code),
        restarts: container.restarts,
        log,
    };
    (report, gap)
}

/// The log of the container that ended, else of the one that runs. One that never ran has none.
async fn log(client: &Client, namespace: &Namespace, pod: &PodState, container: &ContainerState) -> Result<Vec<String>, Fault> {
    let previous = match (&container.status, &container.last_exit) {
        (ContainerStatus::Waiting { .. }, None) => return Ok(Vec::new()),
        (ContainerStatus::Terminated(_), _) | (ContainerStatus::Running { .. }, None) => false,
        (ContainerStatus::Running { .. } | ContainerStatus::Waiting { .. }, Some(_)) => true,
    };
    logs::tail(client, namespace, &pod.name, &container.name, previous).await
}

fn gap(what: &str, of: &str, fault: &Fault) -> String {
    match fault {
        Fault::Forbidden(reason) => format!("the {what} could not be read: {reason}"),
        other => format!("the {what} of {of} could not be read: {other}"),
    }
}

fn newest(events: Vec<SeenEvent>) -> Vec<ClusterEvent> {
    let surplus = events.len().saturating_sub(EVENTS);
    events.into_iter().skip(surplus).map(|seen| seen.event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_to_schedule_says_nothing_of_a_container() {
        let event = |reason: &str| ClusterEvent {
            at: jiff::Timestamp::UNIX_EPOCH,
            object: "Pod/dbt-server-a-0".to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            count: 1,
        };
        for routine in ["FailedScheduling", "Scheduled", "Pulled"] {
            assert!(!tells_of_containers(&event(routine)), "{routine}");
        }
        for trouble in ["Failed", "InspectFailed", "BackOff"] {
            assert!(tells_of_containers(&event(trouble)), "{trouble}");
        }
    }
}
