//! How an operation ended.

use dbt_controller_domain::model::{self, ConnectionOutcome, DagState, FailureCode, Phase, ReleaseStatus, RevisionNumber, UndoOutcome};
use dbt_controller_domain::naming::ConnectionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::text;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Outcome {
    Success(Success),
    Failure(Failure),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Success {
    Deployed {
        host: String,
        #[serde(with = "text")]
        status: ReleaseStatus,
        revision: u32,
        unchanged: bool,
        connection: ConnectionReport,
        notes: Vec<String>,
    },
    Deleted {
        claims: Vec<String>,
        connection: ConnectionReport,
    },
    Suspended,
    Resumed,
    Settled,
    FollowedDags {
        #[serde(with = "text::optional")]
        state: Option<DagState>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionReport {
    #[serde(with = "text::optional")]
    id: Option<ConnectionId>,
    url: Option<String>,
    #[serde(with = "text")]
    status: ConnectionOutcome,
    error: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    #[serde(with = "text")]
    code: FailureCode,
    message: String,
    #[serde(with = "text::optional")]
    phase: Option<Phase>,
    #[serde(with = "text")]
    undo: UndoOutcome,
    autopsy: Option<Autopsy>,
    available: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Autopsy {
    containers: Vec<Container>,
    events: Vec<Event>,
    scheduling: Option<String>,
    volumes: Vec<Volume>,
    gaps: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Container {
    pod: String,
    container: String,
    state: String,
    reason: Option<String>,
    message: Option<String>,
    exit_code: Option<i32>,
    restarts: u32,
    log: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    #[serde(with = "text")]
    at: Timestamp,
    object: String,
    reason: String,
    message: String,
    count: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Volume {
    claim: String,
    phase: String,
    message: Option<String>,
}

// === into the stored form ===

impl From<&Result<model::Success, model::Failure>> for Outcome {
    fn from(outcome: &Result<model::Success, model::Failure>) -> Self {
        match outcome {
            Ok(success) => Self::Success(success.clone().into()),
            Err(failure) => Self::Failure(failure.into()),
        }
    }
}

impl From<model::Success> for Success {
    fn from(success: model::Success) -> Self {
        match success {
            model::Success::Deployed { host, status, revision: RevisionNumber(revision), unchanged, connection, notes } => {
                Self::Deployed { host, status, revision, unchanged, connection: connection.into(), notes }
            }
            model::Success::Deleted { claims, connection } => Self::Deleted { claims, connection: connection.into() },
            model::Success::Suspended => Self::Suspended,
            model::Success::Resumed => Self::Resumed,
            model::Success::Settled => Self::Settled,
            model::Success::FollowedDags { state } => Self::FollowedDags { state },
        }
    }
}

impl From<model::ConnectionReport> for ConnectionReport {
    fn from(model::ConnectionReport { id, url, status, error }: model::ConnectionReport) -> Self {
        Self { id, url, status, error }
    }
}

impl From<&model::Failure> for Failure {
    fn from(failure: &model::Failure) -> Self {
        let model::Failure { code, message, phase, undo, autopsy, available } = failure.clone();
        Self { code, message, phase, undo, autopsy: autopsy.map(|autopsy| (*autopsy).into()), available }
    }
}

impl From<model::Autopsy> for Autopsy {
    fn from(model::Autopsy { containers, events, scheduling, volumes, gaps }: model::Autopsy) -> Self {
        Self {
            containers: containers.into_iter().map(Container::from).collect(),
            events: events.into_iter().map(Event::from).collect(),
            scheduling,
            volumes: volumes.into_iter().map(Volume::from).collect(),
            gaps,
        }
    }
}

impl From<model::ContainerReport> for Container {
    fn from(report: model::ContainerReport) -> Self {
        let model::ContainerReport { pod, container, state, reason, message, exit_code, restarts, log } = report;
        Self { pod, container, state, reason, message, exit_code, restarts, log }
    }
}

impl From<model::ClusterEvent> for Event {
    fn from(model::ClusterEvent { at, object, reason, message, count }: model::ClusterEvent) -> Self {
        Self { at, object, reason, message, count }
    }
}

impl From<model::VolumeReport> for Volume {
    fn from(model::VolumeReport { claim, phase, message }: model::VolumeReport) -> Self {
        Self { claim, phase, message }
    }
}

// === out of the stored form ===

impl From<Outcome> for Result<model::Success, model::Failure> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success(success) => Ok(success.into()),
            Outcome::Failure(failure) => Err(failure.into()),
        }
    }
}

impl From<Success> for model::Success {
    fn from(success: Success) -> Self {
        match success {
            Success::Deployed { host, status, revision, unchanged, connection, notes } => {
                Self::Deployed { host, status, revision: RevisionNumber(revision), unchanged, connection: connection.into(), notes }
            }
            Success::Deleted { claims, connection } => Self::Deleted { claims, connection: connection.into() },
            Success::Suspended => Self::Suspended,
            Success::Resumed => Self::Resumed,
            Success::Settled => Self::Settled,
            Success::FollowedDags { state } => Self::FollowedDags { state },
        }
    }
}

impl From<ConnectionReport> for model::ConnectionReport {
    fn from(ConnectionReport { id, url, status, error }: ConnectionReport) -> Self {
        Self { id, url, status, error }
    }
}

impl From<Failure> for model::Failure {
    fn from(Failure { code, message, phase, undo, autopsy, available }: Failure) -> Self {
        Self { code, message, phase, undo, autopsy: autopsy.map(|autopsy| Box::new(autopsy.into())), available }
    }
}

impl From<Autopsy> for model::Autopsy {
    fn from(Autopsy { containers, events, scheduling, volumes, gaps }: Autopsy) -> Self {
        Self {
            containers: containers.into_iter().map(model::ContainerReport::from).collect(),
            events: events.into_iter().map(model::ClusterEvent::from).collect(),
            scheduling,
            volumes: volumes.into_iter().map(model::VolumeReport::from).collect(),
            gaps,
        }
    }
}

impl From<Container> for model::ContainerReport {
    fn from(Container { pod, container, state, reason, message, exit_code, restarts, log }: Container) -> Self {
        Self { pod, container, state, reason, message, exit_code, restarts, log }
    }
}

impl From<Event> for model::ClusterEvent {
    fn from(Event { at, object, reason, message, count }: Event) -> Self {
        Self { at, object, reason, message, count }
    }
}

impl From<Volume> for model::VolumeReport {
    fn from(Volume { claim, phase, message }: Volume) -> Self {
        Self { claim, phase, message }
    }
}
