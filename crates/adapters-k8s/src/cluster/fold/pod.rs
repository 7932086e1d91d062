//! Pods.

use std::time::Duration;

use dbt_controller_domain::model::{ContainerExit, ContainerState, ContainerStatus, PodState};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState as KubeState, ContainerStateTerminated, ContainerStatus as KubeStatus, Pod, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{count, created_at, server_of_claim, server_of_pod, time, uid_of};

/// The label that the StatefulSet controller gives each pod; an orphan keeps it.
const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";

/// What is kept of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct PodView {
    /// The uid of its StatefulSet; none for an orphan.
    pub(in crate::cluster) owner: Option<String>,
    /// A node has taken it, and its volumes and network are not there yet.
    pub(in crate::cluster) preparing: bool,
    /// It uses a claim of its server's own template.
    pub(in crate::cluster) has_claim: bool,
    /// How long it has to end, once it is being deleted.
    pub(in crate::cluster) grace: Duration,
    pub(in crate::cluster) state: PodState,
}

/// Folds a pod as it is seen at `now`; none when it is no StatefulSet's.
pub(in crate::cluster) fn pod(pod: Pod, now: Timestamp) -> Option<PodView> {
    let Pod { metadata: meta, spec, status } = pod;
    let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
    let name = meta.name.clone()?;
    let namespace = meta.namespace.as_deref()?;
    let (server, ordinal) = server_of_pod(namespace, &name)?;
    let owner = owner(&meta, server.name.as_str());
    if owner.is_none() && label(&meta, POD_NAME_LABEL) != Some(&name) {
        return None;
    }
    let is = |condition, wanted| condition_status(&status, condition) == Some(wanted);
    let mut claims = spec.volumes.iter().flatten().filter_map(|volume| volume.persistent_volume_claim.as_ref());
    Some(PodView {
        has_claim: claims.any(|claim| server_of_claim(namespace, &claim.claim_name).is_some_and(|own| own == (server.clone(), ordinal))),
        grace: meta
            .deletion_grace_period_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(Duration::ZERO, Duration::from_secs),
        owner,
        preparing: is("PodScheduled", "True") && !is("PodReadyToStartContainers", "True") && !is("ContainersReady", "True"),
        state: PodState {
            uid: uid_of(&meta),
            revision: label(&meta, "controller-revision-hash").cloned().unwrap_or_default(),
            ready: is("Ready", "True"),
            created_at: created_at(&meta),
            terminating: meta.deletion_timestamp.is_some(),
            unschedulable: unschedulable(&status),
            // The pod says nothing of it; claims and events do.
            volume_failure: None,
            containers: containers(&meta, &spec, &status, now),
            name,
        },
    })
}

/// Whether two reasons to wait are one trouble that Kubernetes tells in turns, so that it has stood since the first.
pub(in crate::cluster) fn is_same_family(one: &str, other: &str) -> bool {
    const FAMILIES: &[&[&str]] = &[
        &["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"],
        &["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"],
        PREPARATION,
    ];
    one == other || FAMILIES.iter().any(|family| family.contains(&one) && family.contains(&other))
}

/// Reasons that are the ordinary course of things.
const PREPARATION: &[&str] = &["ContainerCreating", "PodInitializing"];

fn owner(meta: &ObjectMeta, server: &str) -> Option<String> {
    let mut owners = meta.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true) && owner.kind == "StatefulSet" && owner.name == server)?;
    Some(owner.uid.clone())
}

fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a String> {
    meta.labels.as_ref()?.get(key)
}

fn condition_status<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a str> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str())
}

fn unschedulable(status: &PodStatus) -> Option<String> {
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled")?;
    let is_refused = condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable");
    is_refused.then(|| condition.message.clone().unwrap_or_default())
}

/// The containers in the order of the spec, before them the init containers that stand in the way.
fn containers(meta: &ObjectMeta, spec: &PodSpec, status: &PodStatus, now: Timestamp) -> Vec<ContainerState> {
    let started_at = time(status.start_time.as_ref()).unwrap_or_else(|| created_at(meta));
    let fold = |containers: &[Container], statuses: Option<&Vec<KubeStatus>>| -> Vec<ContainerState> {
        let statuses = statuses.map(Vec::as_slice).unwrap_or_default();
        // The kubelet sorts statuses by name.
        let ordered = containers.iter().filter_map(|container| statuses.iter().find(|status| status.name == container.name));
        ordered.map(|status| container(status, started_at, now)).collect()
    };
    let init = fold(spec.init_containers.as_deref().unwrap_or_default(), status.init_container_statuses.as_ref());
    let main = fold(&spec.containers, status.container_statuses.as_ref());
    init.into_iter().filter(|container| !is_done(container)).chain(main).collect()
}

/// An init container that has done its part, or a sidecar that is well.
fn is_done(container: &ContainerState) -> bool {
    match &container.status {
        ContainerStatus::Terminated(exit) => exit.code == 0,
        ContainerStatus::Running { .. } => container.ready,
        // Before its turn.
        ContainerStatus::Waiting { reason, .. } => PREPARATION.contains(&reason.as_str()) && container.last_exit.is_none(),
    }
}

fn container(status: &KubeStatus, started_at: Timestamp, now: Timestamp) -> ContainerState {
    let last_end = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let present_end = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let last_exit = present_end.or(last_end).map(|end| exit(end, started_at));
    ContainerState {
        name: status.name.clone(),
        ready: status.ready,
        restarts: count(Some(status.restart_count)),
        status: container_status(status.state.as_ref(), last_exit.as_ref(), started_at, now),
        last_exit,
    }
}

fn container_status(
    state: Option<&KubeState>,
    last_exit: Option<&ContainerExit>,
    started_at: Timestamp,
    now: Timestamp,
) -> ContainerStatus {
    if let Some(running) = state.and_then(|state| state.running.as_ref()) {
        return ContainerStatus::Running { since: time(running.started_at.as_ref()).unwrap_or(started_at) };
    }
    if let Some(end) = state.and_then(|state| state.terminated.as_ref()) {
        return ContainerStatus::Terminated(exit(end, started_at));
    }
    // The default state is waiting.
    let waiting = state.and_then(|state| state.waiting.clone()).unwrap_or_default();
    let reason = waiting.reason.unwrap_or_else(|| PREPARATION[0].to_owned());
    let since = match reason.as_str() {
        // It waits since its last end.
        "CrashLoopBackOff" => last_exit.map_or(now, |exit| exit.at),
        reason if PREPARATION.contains(&reason) => started_at,
        // Kubernetes does not tell since when. Whoever keeps the pod's last view knows better; see `Servers`.
        _ => now,
    };
    ContainerStatus::Waiting { reason, message: waiting.message.unwrap_or_default(), since }
}

fn exit(end: &ContainerStateTerminated, started_at: Timestamp) -> ContainerExit {
    let by_signal = end.signal.filter(|_| end.exit_code == 0).map(|signal| 128 + signal);
    ContainerExit {
        code: by_signal.unwrap_or(end.exit_code),
        reason: end.reason.clone().unwrap_or_else(|| if end.exit_code == 0 { "Completed" } else { "Error" }.to_owned()),
        at: time(end.finished_at.as_ref()).unwrap_or(started_at),
        ran_for: time(end.started_at.as_ref())
            .zip(time(end.finished_at.as_ref()))
            .and_then(|(from, to)| to.duration_since(from).try_into().ok()),
    }
}
