//! The record and its operations.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::{self, HolderId, Namespace, OperationId, OperationKind, Phase, RequestHash, ServerName};
use dbt_controller_domain::naming::{self, ConnectionId, GitBranch, ProjectName, ReleaseName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use super::outcome::Outcome;
use super::request::Request;
use super::text;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    key: Key,
    running: Option<Running>,
    waiting: Vec<Queued>,
    finished: Vec<Finished>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    #[serde(with = "text")]
    namespace: Namespace,
    #[serde(with = "text")]
    release: ReleaseName,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    #[serde(with = "text")]
    project: ProjectName,
    #[serde(with = "text::optional")]
    branch: Option<GitBranch>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    #[serde(with = "text")]
    id: OperationId,
    #[serde(with = "text")]
    kind: OperationKind,
    key: Key,
    identity: Option<Identity>,
    task_hash: String,
    caller: Caller,
    #[serde(with = "text")]
    submitted_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Caller {
    request_id: String,
    actor: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Task {
    Deploy(Box<Request>),
    Delete,
    Suspend { force: bool },
    Resume,
    Settle,
    FollowDags,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Running {
    info: Info,
    task: Task,
    holder: String,
    #[serde(default)]
    stale_after_ms: u64,
    renewal: u64,
    released: bool,
    #[serde(with = "text::optional")]
    cancelled_by: Option<OperationId>,
    #[serde(with = "text")]
    started_at: Timestamp,
    #[serde(with = "text")]
    phase: Phase,
    ledger: Ledger,
    events: Vec<Event>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Queued {
    info: Info,
    task: Task,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finished {
    info: Info,
    #[serde(with = "text::optional")]
    started_at: Option<Timestamp>,
    #[serde(with = "text")]
    finished_at: Timestamp,
    outcome: Outcome,
    debts: Vec<Debt>,
    events: Vec<Event>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    sequence: u64,
    #[serde(with = "text")]
    at: Timestamp,
    #[serde(with = "text")]
    phase: Phase,
    begins_phase: bool,
    message: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Debt {
    Connection(#[serde(with = "text")] ConnectionId),
    OwnConnections,
    Login(#[serde(with = "text")] ConnectionId),
    Claim {
        #[serde(with = "text")]
        server: ServerName,
        name: String,
    },
    Replaced(#[serde(with = "text")] ReleaseName),
    Remains {
        #[serde(with = "text")]
        server: ServerName,
        claims_before: Vec<String>,
    },
}

// === into the stored form ===

impl From<&model::OperationRecord> for Record {
    fn from(model::OperationRecord { key, running, waiting, finished }: &model::OperationRecord) -> Self {
        Self {
            key: key.into(),
            running: running.as_ref().map(Running::from),
            waiting: waiting.iter().map(Queued::from).collect(),
            finished: finished.iter().map(|finished| Finished::from(&**finished)).collect(),
        }
    }
}

impl From<&model::ReleaseKey> for Key {
    fn from(model::ReleaseKey { namespace, name }: &model::ReleaseKey) -> Self {
        Self { namespace: namespace.clone(), release: name.clone() }
    }
}

impl From<&naming::Identity> for Identity {
    fn from(identity: &naming::Identity) -> Self {
        Self { project: identity.project().clone(), branch: identity.branch().cloned() }
    }
}

impl From<&model::OperationInfo> for Info {
    fn from(info: &model::OperationInfo) -> Self {
        let model::OperationInfo { id, kind, key, identity, task_hash, caller, submitted_at } = info;
        let model::Caller { request_id, actor } = caller.clone();
        Self {
            id: id.clone(),
            kind: *kind,
            key: key.into(),
            identity: identity.as_ref().map(Identity::from),
            task_hash: task_hash.as_str().to_owned(),
            caller: Caller { request_id, actor },
            submitted_at: *submitted_at,
        }
    }
}

impl From<&model::Task> for Task {
    fn from(task: &model::Task) -> Self {
        match task {
            model::Task::Deploy(request) => Self::Deploy(Box::new(Request::from(&**request))),
            model::Task::Delete => Self::Delete,
            model::Task::Suspend { force } => Self::Suspend { force: *force },
            model::Task::Resume => Self::Resume,
            model::Task::Settle => Self::Settle,
            model::Task::FollowDags => Self::FollowDags,
        }
    }
}

impl From<&model::RunningOperation> for Running {
    fn from(running: &model::RunningOperation) -> Self {
        let model::RunningOperation {
            info,
            task,
            holder: HolderId(holder),
            stale_after,
            renewal,
            released,
            cancelled_by,
            started_at,
            phase,
            ledger,
            events,
        } = running;
        Self {
            info: info.into(),
            task: task.into(),
            holder: holder.clone(),
            stale_after_ms: u64::try_from(stale_after.as_millis()).unwrap_or(u64::MAX),
            renewal: *renewal,
            released: *released,
            cancelled_by: cancelled_by.clone(),
            started_at: *started_at,
            phase: *phase,
            ledger: ledger.into(),
            events: events.iter().map(Event::from).collect(),
        }
    }
}

impl From<&model::QueuedOperation> for Queued {
    fn from(model::QueuedOperation { info, task }: &model::QueuedOperation) -> Self {
        Self { info: info.into(), task: task.into() }
    }
}

impl From<&model::FinishedOperation> for Finished {
    fn from(finished: &model::FinishedOperation) -> Self {
        let model::FinishedOperation { info, started_at, finished_at, outcome, debts, events } = finished;
        Self {
            info: info.into(),
            started_at: *started_at,
            finished_at: *finished_at,
            outcome: outcome.into(),
            debts: debts.iter().map(Debt::from).collect(),
            events: events.iter().map(Event::from).collect(),
        }
    }
}

impl From<&model::OperationEvent> for Event {
    fn from(event: &model::OperationEvent) -> Self {
        let model::OperationEvent { sequence, at, phase, begins_phase, message } = event;
        Self { sequence: *sequence, at: *at, phase: *phase, begins_phase: *begins_phase, message: message.clone() }
    }
}

impl From<&model::Debt> for Debt {
    fn from(debt: &model::Debt) -> Self {
        match debt {
            model::Debt::Connection(id) => Self::Connection(id.clone()),
            model::Debt::OwnConnections => Self::OwnConnections,
            model::Debt::Login(id) => Self::Login(id.clone()),
            model::Debt::Claim { server, name } => Self::Claim { server: server.clone(), name: name.clone() },
            model::Debt::Replaced(release) => Self::Replaced(release.clone()),
            model::Debt::Remains { server, claims_before } => {
                Self::Remains { server: server.clone(), claims_before: claims_before.clone() }
            }
        }
    }
}

// === out of the stored form ===

impl From<Record> for model::OperationRecord {
    fn from(Record { key, running, waiting, finished }: Record) -> Self {
        Self {
            key: key.into(),
            running: running.map(model::RunningOperation::from),
            waiting: waiting.into_iter().map(model::QueuedOperation::from).collect(),
            finished: finished.into_iter().map(|finished| Arc::new(finished.into())).collect(),
        }
    }
}

impl From<Key> for model::ReleaseKey {
    fn from(Key { namespace, release }: Key) -> Self {
        Self { namespace, name: release }
    }
}

impl From<Identity> for naming::Identity {
    fn from(Identity { project, branch }: Identity) -> Self {
        Self::new(project, branch)
    }
}

impl From<Info> for model::OperationInfo {
    fn from(Info { id, kind, key, identity, task_hash, caller, submitted_at }: Info) -> Self {
        let Caller { request_id, actor } = caller;
        Self {
            id,
            kind,
            key: key.into(),
            identity: identity.map(naming::Identity::from),
            task_hash: RequestHash::from_recorded(task_hash),
            caller: model::Caller { request_id, actor },
            submitted_at,
        }
    }
}

impl From<Task> for model::Task {
    fn from(task: Task) -> Self {
        match task {
            Task::Deploy(request) => Self::Deploy(Box::new((*request).into())),
            Task::Delete => Self::Delete,
            Task::Suspend { force } => Self::Suspend { force },
            Task::Resume => Self::Resume,
            Task::Settle => Self::Settle,
            Task::FollowDags => Self::FollowDags,
        }
    }
}

impl From<Running> for model::RunningOperation {
    fn from(running: Running) -> Self {
        let Running { info, task, holder, stale_after_ms, renewal, released, cancelled_by, started_at, phase, ledger, events } = running;
        Self {
            info: info.into(),
            task: task.into(),
            holder: HolderId(holder),
            stale_after: Duration::from_millis(stale_after_ms),
            renewal,
            released,
            cancelled_by,
            started_at,
            phase,
            ledger: ledger.into(),
            events: events.into_iter().map(model::OperationEvent::from).collect(),
        }
    }
}

impl From<Queued> for model::QueuedOperation {
    fn from(Queued { info, task }: Queued) -> Self {
        Self { info: info.into(), task: task.into() }
    }
}

impl From<Finished> for model::FinishedOperation {
    fn from(Finished { info, started_at, finished_at, outcome, debts, events }: Finished) -> Self {
        Self {
            info: info.into(),
            started_at,
            finished_at,
            outcome: outcome.into(),
            debts: debts.into_iter().map(model::Debt::from).collect(),
            events: events.into_iter().map(model::OperationEvent::from).collect(),
        }
    }
}

impl From<Event> for model::OperationEvent {
    fn from(Event { sequence, at, phase, begins_phase, message }: Event) -> Self {
        Self { sequence, at, phase, begins_phase, message }
    }
}

impl From<Debt> for model::Debt {
    fn from(debt: Debt) -> Self {
        match debt {
            Debt::Connection(id) => Self::Connection(id),
            Debt::OwnConnections => Self::OwnConnections,
            Debt::Login(id) => Self::Login(id),
            Debt::Claim { server, name } => Self::Claim { server, name },
            Debt::Replaced(release) => Self::Replaced(release),
            Debt::Remains { server, claims_before } => Self::Remains { server, claims_before },
        }
    }
}
