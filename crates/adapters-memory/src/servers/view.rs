//! What of a server can be seen at a moment.

use dbt_controller_domain::model::{ContainerExit, ContainerState, ContainerStatus, PodState, ServerKey, ServerState, StatefulSetState};

use super::pod::{PROXY_CONTAINER, SERVER_CONTAINER, Stage};
use super::{Hindrance, Pace, Pod, Server, StatefulSet};
use crate::clock::{Moment, Timeline};

impl Server {
    /// The server as seen at `now`, up to which it was played.
    pub(crate) fn view(&self, key: &ServerKey, pace: &Pace, timeline: &Timeline, now: Moment) -> ServerState {
        ServerState {
            stateful_set: self.stateful_set.as_ref().map(|set| self.view_stateful_set(set, pace, timeline, now)),
            pods: self.pods.iter().map(|pod| pod.view(key, pace, timeline, now)).collect(),
        }
    }

    fn view_stateful_set(&self, set: &StatefulSet, pace: &Pace, timeline: &Timeline, now: Moment) -> StatefulSetState {
        let own = || self.pods.iter().filter(|pod| pod.selector == set.fixed.selector);
        let update_revision = set.update_revision().unwrap_or_default().to_owned();
        let updated = own().filter(|pod| !pod.is_terminating() && pod.template.revision == update_revision);
        StatefulSetState {
            generation: set.generation,
            observed_generation: set.observed.as_ref().map_or(0, |observed| observed.generation),
            replicas: set.spec.replicas,
            // Terminating pods count here, as with the real controller.
            ready_replicas: count(own().filter(|pod| pod.is_ready(pace, now))),
            updated_replicas: count(updated),
            current_revision: set.observed.as_ref().map(|observed| observed.current_revision.clone()).unwrap_or_default(),
            update_revision,
            created_at: timeline.timestamp(set.created),
            release: Some(set.release.clone()),
            // The status does not tell; see `Hindrance::Refused`.
            pod_refusal: None,
            dag_state: set.dag_state,
        }
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

impl Pod {
    pub(super) fn name(&self, key: &ServerKey) -> String {
        format!("{}-{}", key.name, self.ordinal)
    }

    fn view(&self, key: &ServerKey, pace: &Pace, timeline: &Timeline, now: Moment) -> PodState {
        PodState {
            name: self.name(key),
            uid: self.uid.clone(),
            revision: self.template.revision.clone(),
            ready: self.is_ready(pace, now),
            created_at: timeline.timestamp(self.created),
            terminating: self.is_terminating(),
            unschedulable: match &self.started {
                Err(Hindrance::Unschedulable(words)) => Some(words.clone()),
                _ => None,
            },
            volume_failure: match &self.started {
                Err(Hindrance::VolumeFailure(words)) => Some(words.clone()),
                _ => None,
            },
            containers: self.containers(key, pace, timeline, now),
        }
    }

    /// Its containers; none as long as no node has taken the pod.
    pub(super) fn containers(&self, key: &ServerKey, pace: &Pace, timeline: &Timeline, now: Moment) -> Vec<ContainerState> {
        if matches!(self.started, Err(Hindrance::Unschedulable(_))) {
            return Vec::new();
        }
        let container = |name: &str, stage, ready| self.container(name, stage, ready, key, timeline);
        let proxy = self.proxy_stage(pace, now);
        vec![
            container(SERVER_CONTAINER, self.server_stage(pace, now), self.is_ready(pace, now)),
            container(PROXY_CONTAINER, proxy, matches!(proxy, Stage::Running { .. })),
        ]
    }

    fn container(&self, name: &str, stage: Stage, ready: bool, key: &ServerKey, timeline: &Timeline) -> ContainerState {
        let waiting = |reason: &str, message: String, since| ContainerStatus::Waiting {
            reason: reason.to_owned(),
            message,
            since: timeline.timestamp(since),
        };
        let image = &self.template.image;
        let (status, restarts, last_end) = match stage {
            Stage::Creating => (self.creating(name, timeline), 0, None),
            Stage::PullFailed { since } => {
                let message = format!("failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": not found");
                (waiting("ErrImagePull", message, since), 0, None)
            }
            Stage::PullBackOff { since } => {
                let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {image}: not found");
                (waiting("ImagePullBackOff", message, since), 0, None)
            }
            Stage::Running { since, restarts, last_end } => {
                (ContainerStatus::Running { since: timeline.timestamp(since) }, restarts, last_end)
            }
            Stage::CrashBackOff { restarts, since, delay } => {
                let pod = self.name(key);
                let message = format!("back-off {delay:?} restarting failed container={name} pod={pod}_{}", key.namespace);
                (waiting("CrashLoopBackOff", message, since), restarts, Some(since))
            }
        };
        ContainerState {
            name: name.to_owned(),
            ready,
            restarts,
            status,
            last_exit: last_end.map(|at| ContainerExit { code: 1, reason: "Error".to_owned(), at: timeline.timestamp(at), ran_for: None }),
        }
    }

    fn creating(&self, container: &str, timeline: &Timeline) -> ContainerStatus {
        let (reason, message) = match &self.started {
            Err(Hindrance::ContainerConfig(words)) if container == SERVER_CONTAINER => ("CreateContainerConfigError", words.clone()),
            _ => ("ContainerCreating", String::new()),
        };
        let since = *self.started.as_ref().unwrap_or(&self.created);
        ContainerStatus::Waiting { reason: reason.to_owned(), message, since: timeline.timestamp(since) }
    }
}
