//! When a server is ready, and when waiting for it is hopeless. Pure: an observation and the time in, a verdict out.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    ContainerState, ContainerStatus, FailureCode, Patience, PodState, ServerPhase, ServerReport, ServerState, StatefulSetState,
};

/// What an observation means for a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The server of the newest revision serves.
    Ready,
    /// Not yet.
    Waiting(Waiting),
    /// It will not come up by itself.
    Hopeless {
        /// Why.
        code: FailureCode,
        /// Cause and remedy.
        message: String,
    },
    /// It is scaled to 0.
    Asleep,
}

/// A wait that goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// What it waits for.
    pub message: String,
    /// When time alone may change the verdict.
    pub look_again_in: Option<Duration>,
    /// No pod was made for a while: worth asking the cluster why.
    pub ask_why_no_pod: bool,
    /// A broken pod of an older revision stands in the way: it has to be deleted.
    pub delete_broken_pods: bool,
}

impl Waiting {
    fn for_(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

/// Judges one observation.
///
/// Ready means: the controller has seen the newest spec, every wanted pod is ready and of the one newest revision. `without_pod` is since when
/// no pod was seen, by one who watches; others count from the StatefulSet's creation.
pub fn judge(state: &ServerState, without_pod: Option<Timestamp>, patience: &Patience, now: Timestamp) -> Verdict {
    let Some(set) = &state.stateful_set else {
        return Verdict::Waiting(Waiting::for_("waiting for the StatefulSet"));
    };
    if set.replicas == 0 {
        return Verdict::Asleep;
    }
    if set.observed_generation < set.generation {
        return Verdict::Waiting(Waiting::for_("waiting for the cluster to see the new StatefulSet"));
    }
    if is_ready(set) {
        return Verdict::Ready;
    }
    if let Some(refusal) = &set.pod_refusal {
        return refused(refusal.by_quota, &refusal.message);
    }
    let pods = || state.pods.iter().filter(|pod| !pod.terminating);
    if pods().any(|pod| !pod.ready && pod.revision != set.update_revision) {
        let waiting = Waiting::for_("replacing a pod of the previous revision that is not ready");
        // A deletion that met somebody else's write shows no change: it is tried again.
        return Verdict::Waiting(Waiting { delete_broken_pods: true, look_again_in: Some(DELETE_AGAIN), ..waiting });
    }
    let mut verdict = None;
    for pod in pods().filter(|pod| pod.revision == set.update_revision) {
        match judge_pod(pod, patience, now) {
            hopeless @ Verdict::Hopeless { .. } => return hopeless,
            other => verdict = verdict.or(Some(other)),
        }
    }
    verdict.unwrap_or_else(|| no_pod(set, state, without_pod, patience, now))
}

/// The verdict for a pod that the cluster refuses to create.
pub fn refused(by_quota: bool, message: &str) -> Verdict {
    let (code, what, remedy) = if by_quota {
        (FailureCode::QuotaExceeded, "a quota of the namespace refuses the pod", "raise the quota or ask for less cpu and memory")
    } else {
        (FailureCode::AdmissionRefused, "the cluster refuses the pod", "change what the admission policy objects to")
    };
    Verdict::Hopeless { code, message: format!("{what}: {message}; {remedy}") }
}

fn is_ready(set: &StatefulSetState) -> bool {
    set.updated_replicas == set.replicas && set.ready_replicas == set.replicas && set.current_revision == set.update_revision
}

fn no_pod(set: &StatefulSetState, state: &ServerState, without_pod: Option<Timestamp>, patience: &Patience, now: Timestamp) -> Verdict {
    if !state.pods.is_empty() {
        return Verdict::Waiting(Waiting::for_("waiting for the previous pod to end"));
    }
    let age = elapsed(without_pod.unwrap_or(set.created_at), now);
    let rest = patience.no_pod_window.saturating_sub(age);
    Verdict::Waiting(Waiting {
        ask_why_no_pod: rest.is_zero(),
        look_again_in: Some(if rest.is_zero() { patience.no_pod_window } else { rest }),
        ..Waiting::for_("waiting for a pod")
    })
}

fn judge_pod(pod: &PodState, patience: &Patience, now: Timestamp) -> Verdict {
    if let Some(failure) = &pod.volume_failure {
        return Verdict::Hopeless {
            code: FailureCode::VolumeFailed,
            message: format!(
                "a volume of pod `{}` cannot be used: {failure}; check the claim, its storage class and the Secrets it mounts",
                pod.name
            ),
        };
    }
    let mut look_again_in = None;
    for container in &pod.containers {
        match judge_container(pod, container, patience, now) {
            ContainerVerdict::Hopeless(code, message) => return Verdict::Hopeless { code, message },
            ContainerVerdict::LookAgain(rest) => look_again_in = Some(look_again_in.map_or(rest, |other: Duration| other.min(rest))),
            ContainerVerdict::Fine => {}
        }
    }
    Verdict::Waiting(Waiting { look_again_in, ..Waiting::for_(describe(pod)) })
}

enum ContainerVerdict {
    Fine,
    LookAgain(Duration),
    Hopeless(FailureCode, String),
}

/// Reasons that the image itself is wrong: no time mends them.
const BAD_IMAGE: &[&str] = &["InvalidImageName", "ErrImageNeverPull"];
/// Reasons of a pull that may pass (registry away, credentials just made) and may not.
const PULL_ERRORS: &[&str] = &["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"];
/// Between two tries to delete a broken pod.
const DELETE_AGAIN: Duration = Duration::from_secs(1);
/// A container that ran for so long before it ended is in no crash loop, however often it was restarted in its life: the kubelet forgets its
/// crashes too (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy).
const LONG_RUN: Duration = Duration::from_secs(600);
/// Reasons that the container cannot be made as it is written.
const CONFIG_ERRORS: &[&str] = &["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"];
/// What the kubelet says when it has not read a Secret or ConfigMap yet that was made a moment ago ("failed to sync secret cache: timed out
/// waiting for the condition"): it tries again by itself (https://github.com/Shopify/krane/issues/886).
const NOT_SYNCED: &str = "timed out waiting for the condition";

fn judge_container(pod: &PodState, container: &ContainerState, patience: &Patience, now: Timestamp) -> ContainerVerdict {
    let name = &container.name;
    if let ContainerStatus::Waiting { reason, message, since } = &container.status {
        let reason = reason.as_str();
        if BAD_IMAGE.contains(&reason) {
            return ContainerVerdict::Hopeless(
                FailureCode::ImagePullFailed,
                format!("the image of container `{name}` cannot be used ({reason}): {message}; correct `repository`, `image` or `tag`"),
            );
        }
        if PULL_ERRORS.contains(&reason) {
            let rest = patience.pull_error_window.saturating_sub(elapsed(*since, now));
            if !rest.is_zero() {
                return ContainerVerdict::LookAgain(rest);
            }
            return ContainerVerdict::Hopeless(
                FailureCode::ImagePullFailed,
                format!(
                    "the image of container `{name}` cannot be pulled ({reason}): {message}; check that the tag exists and that the cluster may pull it"
                ),
            );
        }
        if CONFIG_ERRORS.contains(&reason) {
            let rest = patience.pull_error_window.saturating_sub(elapsed(*since, now));
            if message.contains(NOT_SYNCED) && !rest.is_zero() {
                return ContainerVerdict::LookAgain(rest);
            }
            return ContainerVerdict::Hopeless(
                FailureCode::ContainerConfig,
                format!(
                    "container `{name}` of pod `{}` cannot be made ({reason}): {message}; check the Secrets and keys it needs",
                    pod.name
                ),
            );
        }
    }
    let ran_long = container.last_exit.as_ref().and_then(|exit| exit.ran_for).is_some_and(|ran| ran >= LONG_RUN);
    if container.restarts >= patience.crash_loop_restarts && !container.ready && !ran_long {
        let exit =
            container.last_exit.as_ref().map_or_else(String::new, |exit| format!(", last with exit code {} ({})", exit.code, exit.reason));
        return ContainerVerdict::Hopeless(
            FailureCode::CrashLoop,
            format!(
                "container `{name}` ended {} times{exit}; its last log lines are in the autopsy; correct the project or the image",
                container.restarts
            ),
        );
    }
    ContainerVerdict::Fine
}

fn describe(pod: &PodState) -> String {
    if let Some(scheduler) = &pod.unschedulable {
        return format!("no node takes pod `{}` yet: {scheduler}", pod.name);
    }
    for container in &pod.containers {
        match &container.status {
            ContainerStatus::Waiting { reason, .. } => return format!("container `{}` waits: {reason}", container.name),
            ContainerStatus::Terminated(exit) => return format!("container `{}` ended with exit code {}", container.name, exit.code),
            ContainerStatus::Running { .. } if !container.ready => {
                return format!("container `{}` runs and is not ready yet", container.name);
            }
            ContainerStatus::Running { .. } => {}
        }
    }
    format!("waiting for pod `{}`", pod.name)
}

/// The server in words, for readers.
pub fn report(state: &ServerState, patience: &Patience, now: Timestamp) -> ServerReport {
    let Some(set) = &state.stateful_set else {
        return ServerReport { phase: ServerPhase::Missing, replicas: 0, restarts: 0, reason: None, message: None, since: None };
    };
    let restarts = state.pods.iter().flat_map(|pod| &pod.containers).map(|container| container.restarts).sum();
    let (phase, message) = match judge(state, None, patience, now) {
        Verdict::Ready => (ServerPhase::Ready, None),
        Verdict::Asleep => (ServerPhase::Sleeping, None),
        Verdict::Hopeless { message, .. } => (ServerPhase::Failing, Some(message)),
        Verdict::Waiting(waiting) => (ServerPhase::Starting, Some(waiting.message)),
    };
    let trouble = state.pods.iter().flat_map(|pod| &pod.containers).find_map(|container| match &container.status {
        ContainerStatus::Waiting { reason, since, .. } => Some((reason.clone(), *since)),
        ContainerStatus::Terminated(exit) => Some((exit.reason.clone(), exit.at)),
        ContainerStatus::Running { .. } => None,
    });
    let phase = match (phase, &trouble) {
        // A pull error within its window still waits in a deploy; for a reader it is trouble already.
        (ServerPhase::Starting, Some((reason, _))) if PULL_ERRORS.contains(&reason.as_str()) || reason == "CrashLoopBackOff" => {
            ServerPhase::Failing
        }
        (phase, _) => phase,
    };
    let running_since = || {
        let starts = state.pods.iter().flat_map(|pod| &pod.containers).filter_map(|container| match container.status {
            ContainerStatus::Running { since } => Some(since),
            ContainerStatus::Waiting { .. } | ContainerStatus::Terminated(_) => None,
        });
        starts.max()
    };
    let (reason, since) = match phase {
        ServerPhase::Ready => (None, running_since()),
        ServerPhase::Sleeping | ServerPhase::Missing => (None, None),
        ServerPhase::Starting | ServerPhase::Failing => match trouble {
            Some((reason, since)) => (Some(reason), Some(since)),
            None => (None, running_since().or(Some(set.created_at))),
        },
    };
    ServerReport { phase, replicas: set.replicas, restarts, reason, message, since }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
