//! What a failed server looked like, on the wire.

use dbt_controller_domain::model::{Autopsy, ClusterEvent, ContainerReport, VolumeReport};
use schemars::JsonSchema;
use serde::Serialize;

use crate::words::Moment;

/// What a server that did not come up looked like before it was taken back. Without secrets.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Autopsy")]
pub(crate) struct AutopsyAnswer {
    /// One report per container of each pod.
    containers: Vec<ContainerAnswer>,
    /// Events of the server's objects, newest last, at most 20.
    events: Vec<ClusterEventAnswer>,
    /// The scheduler's words, when no node was found.
    scheduling: Option<String>,
    /// State of the claims and volumes.
    volumes: Vec<VolumeAnswer>,
    /// What could not be read, and why.
    gaps: Vec<String>,
}

/// One container.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "AutopsyContainer")]
struct ContainerAnswer {
    /// Its pod.
    pod: String,
    /// Its name.
    container: String,
    /// `running`, `waiting` or `terminated`.
    state: String,
    /// Kubernetes' word, such as `ImagePullBackOff`.
    reason: Option<String>,
    /// Kubernetes' sentence.
    message: Option<String>,
    /// Exit code of its last end.
    exit_code: Option<i32>,
    /// How often it was restarted.
    restarts: u32,
    /// The last lines of its log.
    log: Vec<String>,
}

/// A Kubernetes event.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "AutopsyEvent")]
struct ClusterEventAnswer {
    /// When it was last seen.
    at: Moment,
    /// `Kind/name` of what it is about.
    object: String,
    /// Kubernetes' word.
    reason: String,
    /// Kubernetes' sentence.
    message: String,
    /// How often it was seen.
    count: u32,
}

/// A volume claim.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "AutopsyVolume")]
struct VolumeAnswer {
    /// The claim.
    claim: String,
    /// `Bound`, `Pending` or `Lost`.
    phase: String,
    /// More, when known.
    message: Option<String>,
}

impl From<Autopsy> for AutopsyAnswer {
    fn from(autopsy: Autopsy) -> Self {
        let Autopsy { containers, events, scheduling, volumes, gaps } = autopsy;
        Self {
            containers: containers.into_iter().map(ContainerAnswer::from).collect(),
            events: events.into_iter().map(ClusterEventAnswer::from).collect(),
            scheduling,
            volumes: volumes.into_iter().map(VolumeAnswer::from).collect(),
            gaps,
        }
    }
}

impl From<ContainerReport> for ContainerAnswer {
    fn from(report: ContainerReport) -> Self {
        let ContainerReport { pod, container, state, reason, message, exit_code, restarts, log } = report;
        Self { pod, container, state, reason, message, exit_code, restarts, log }
    }
}

impl From<ClusterEvent> for ClusterEventAnswer {
    fn from(event: ClusterEvent) -> Self {
        let ClusterEvent { at, object, reason, message, count } = event;
        Self { at: Moment(at), object, reason, message, count }
    }
}

impl From<VolumeReport> for VolumeAnswer {
    fn from(report: VolumeReport) -> Self {
        let VolumeReport { claim, phase, message } = report;
        Self { claim, phase, message }
    }
}
