//! What the reading calls of the domain return.

use std::sync::Arc;

use dbt_controller_naming::{ConnectionId, Identity, ReleaseName};
use jiff::Timestamp;

use super::{
    Claim, DagsReading, Debt, Failure, FinishedOperation, Health, Namespace, OperationEvent, OperationId, OperationInfo, OperationRecord,
    Phase, ReleaseKey, ReleaseSummary, RunningOperation, ServerPhase, Success,
};
use crate::words;

/// A deployment as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name in the path: the release name, or what the lookup rule makes of it.
    pub name: String,
    /// The namespace, when the caller gave one.
    pub namespace: Option<Namespace>,
}

/// Which deployments a list shows. What is none matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentFilter {
    /// Exact project name.
    pub project_name: Option<String>,
    /// Exact branch; an empty text matches deployments without a branch.
    pub git_branch: Option<String>,
    /// Exact namespace.
    pub namespace: Option<String>,
    /// Helm's status.
    pub status: Option<String>,
}

/// One deployment, whole.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Its release.
    pub release: Arc<ReleaseSummary>,
    /// Its server.
    pub server: ServerReport,
    /// Its last health probe; none until probed.
    pub health: Option<Health>,
    /// Its claims.
    pub claims: Vec<Claim>,
    /// Its connection; none when the release knows none.
    pub connection: Option<ConnectionReading>,
    /// Its DAGs, when they could be read.
    pub dags: Option<DagsReading>,
    /// What runs or waits for it now, the running one first.
    pub operation: Option<Arc<OperationView>>,
}

/// A server in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReport {
    /// In one word.
    pub phase: ServerPhase,
    /// Wanted replicas.
    pub replicas: u32,
    /// Restarts of all containers.
    pub restarts: u32,
    /// Kubernetes' word for what is wrong, such as `ImagePullBackOff`.
    pub reason: Option<String>,
    /// A sentence about it.
    pub message: Option<String>,
    /// Since when, as far as it is known.
    pub since: Option<Timestamp>,
}

words! {
    /// Whether the recorded connection is there.
    pub enum ConnectionPresence {
        /// It is, and it is ours.
        Registered = "registered",
        /// It is not.
        Missing = "missing",
        /// Somebody else's has the id.
        Foreign = "foreign",
        /// Airflow could not be asked.
        Unknown = "unknown",
        /// The service runs without Airflow.
        NotConfigured = "not_configured",
    }
}

/// The connection of a deployment as last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionReading {
    /// Its id.
    pub id: ConnectionId,
    /// The URL it should hold.
    pub url: String,
    /// Whether it is there.
    pub presence: ConnectionPresence,
    /// When Airflow was asked.
    pub checked_at: Option<Timestamp>,
}

words! {
    /// Where an operation stands.
    pub enum OperationState {
        /// Waits.
        Queued = "queued",
        /// Runs.
        Running = "running",
        /// Ended well.
        Succeeded = "succeeded",
        /// Ended otherwise.
        Failed = "failed",
    }
}

/// An operation as a caller sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationView {
    /// What it is.
    pub info: OperationInfo,
    /// Where it stands.
    pub state: OperationState,
    /// Its phase.
    pub phase: Phase,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Result<Success, Failure>>,
    /// What it had to leave.
    pub debts: Vec<Debt>,
    /// Its story.
    pub events: Vec<OperationEvent>,
}

impl OperationView {
    /// Every operation of a record: ended ones first, then the running one, then those that wait.
    pub fn all_of(record: &OperationRecord) -> Vec<Self> {
        let finished = record.finished.iter().map(|finished| Self::from(&**finished));
        let running = record.running.iter().map(Self::from);
        let waiting = record.waiting.iter().map(|queued| Self {
            info: queued.info.clone(),
            state: OperationState::Queued,
            phase: Phase::Queued,
            started_at: None,
            finished_at: None,
            outcome: None,
            debts: Vec::new(),
            events: Vec::new(),
        });
        finished.chain(running).chain(waiting).collect()
    }
}

impl From<&RunningOperation> for OperationView {
    fn from(running: &RunningOperation) -> Self {
        let queued = running.phase == Phase::Queued;
        Self {
            info: running.info.clone(),
            state: if queued { OperationState::Queued } else { OperationState::Running },
            phase: running.phase,
            started_at: (!queued).then_some(running.started_at),
            finished_at: None,
            outcome: None,
            debts: Vec::new(),
            events: running.events.clone(),
        }
    }
}

impl From<&FinishedOperation> for OperationView {
    fn from(finished: &FinishedOperation) -> Self {
        Self {
            info: finished.info.clone(),
            state: if finished.outcome.is_ok() { OperationState::Succeeded } else { OperationState::Failed },
            phase: Phase::Done,
            started_at: finished.started_at,
            finished_at: Some(finished.finished_at),
            outcome: Some(finished.outcome.clone()),
            debts: finished.debts.clone(),
            events: finished.events.clone(),
        }
    }
}

/// What an identity is or would be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesReport {
    /// The identity.
    pub identity: Identity,
    /// Its deployment, if it has one.
    pub deployed: Option<ReleaseKey>,
    /// The release name it has or would get; none when all are taken.
    pub release_name: Option<ReleaseName>,
    /// The connection id it has or would get, as far as releases tell; none when all are taken.
    pub connection_id: Option<ConnectionId>,
    /// Every name it can have, in order of preference, and who holds each now.
    pub candidates: Vec<NameCandidate>,
}

/// One name an identity can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameCandidate {
    /// The name.
    pub release_name: ReleaseName,
    /// Who holds it now, in words; none when it is free or the identity's own.
    pub held_by: Option<String>,
}

/// What the probes ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerHealth {
    /// The service takes no new operations any more.
    pub shutting_down: bool,
    /// Whether the cluster answers, or why not.
    pub cluster: Result<(), String>,
    /// Whether the releases and their objects are known and current, or why not.
    pub releases: Result<(), String>,
    /// Whether the operation records are known and current, or why not.
    pub operations: Result<(), String>,
}

/// The receipt of a submitted operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The operation.
    pub id: OperationId,
    /// Its release.
    pub key: ReleaseKey,
    /// Whether an equal operation was already under way and this caller joined it.
    pub joined: bool,
}
