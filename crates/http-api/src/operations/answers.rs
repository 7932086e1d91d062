//! Operations on the wire.

use dbt_controller_domain::model::{
    Debt, Failure, OperationEvent, OperationInfo, OperationKind, OperationState, OperationView, Phase, Success, UndoOutcome,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::AutopsyAnswer;
use crate::deployments::{SuccessDetails, success_message};
use crate::error::ErrorCode;
use crate::words::{Moment, Word};

/// An operation: a deploy, delete, suspend or resume from its submission to its end.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Operation")]
pub(crate) struct OperationAnswer {
    /// Its id.
    id: String,
    /// What it does.
    kind: Word<OperationKind>,
    /// Where it stands.
    state: Word<OperationState>,
    /// The step it is in.
    phase: Word<Phase>,
    /// The release it is about.
    release_name: String,
    /// The namespace of the release.
    namespace: String,
    /// The project, where it is known.
    project_name: Option<String>,
    /// The branch; null when there is none or it is not known.
    git_branch: Option<String>,
    /// The name of the token that asked for it.
    requested_by: String,
    /// The id of the request that asked for it.
    request_id: String,
    /// When it was submitted.
    submitted_at: Moment,
    /// When it began to run.
    started_at: Option<Moment>,
    /// When it ended.
    finished_at: Option<Moment>,
    /// How it ended; null until then.
    outcome: Option<OutcomeAnswer>,
    /// What it had to leave; it is paid later.
    debts: Vec<DebtAnswer>,
    /// Its story so far.
    events: Vec<EventAnswer>,
}

/// The operations that are readable, oldest submission first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OperationList")]
pub(crate) struct OperationListAnswer(pub(crate) Vec<OperationAnswer>);

/// How an operation ended.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "OperationOutcome")]
pub(crate) struct OutcomeAnswer {
    /// Whether it worked.
    status: OutcomeWord,
    /// What happened in a sentence.
    message: String,
    /// The kind of error in one stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Word<ErrorCode>>,
    /// The kind of error in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// The step that ended this way.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<Word<Phase>>,
    /// How the undo ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<Word<UndoOutcome>>,
    /// What the server looked like before the undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    autopsy: Option<AutopsyAnswer>,
    /// What a caller who waited got as `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<SuccessDetails>,
}

/// Whether an operation worked.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum OutcomeWord {
    Success,
    Error,
}

/// Something an operation had to leave.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "OperationDebt")]
pub(crate) struct DebtAnswer {
    /// What kind of thing it is.
    kind: DebtWord,
    /// Its name; empty where it is not known (connections are then found by their description).
    name: String,
}

/// What kind of thing was left.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum DebtWord {
    AirflowConnection,
    AirflowConnectionLogin,
    VolumeClaim,
    ReplacedRelease,
    FailedDeployment,
}

/// A line of an operation's story; also the data of the events `phase` and `progress` of its stream.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "OperationEvent")]
pub(crate) struct EventAnswer {
    /// Counts from 1 within the operation.
    sequence: u64,
    /// When it happened.
    at: Moment,
    /// The step it belongs to.
    phase: Word<Phase>,
    /// Whether the step begins with it; otherwise it is progress within the step.
    begins_phase: bool,
    /// A sentence about it.
    message: String,
}

impl From<&OperationView> for OperationAnswer {
    fn from(view: &OperationView) -> Self {
        let OperationView { info, state, phase, started_at, finished_at, outcome, debts, events } = view;
        let OperationInfo { id, kind, key, identity, task_hash: _, caller, submitted_at } = info;
        Self {
            id: id.to_string(),
            kind: Word(*kind),
            state: Word(*state),
            phase: Word(*phase),
            release_name: key.name.to_string(),
            namespace: key.namespace.to_string(),
            project_name: identity.as_ref().map(|identity| identity.project().to_string()),
            git_branch: identity.as_ref().and_then(|identity| identity.branch()).map(ToString::to_string),
            requested_by: caller.actor.clone(),
            request_id: caller.request_id.clone(),
            submitted_at: Moment(*submitted_at),
            started_at: started_at.map(Moment),
            finished_at: finished_at.map(Moment),
            outcome: outcome.as_ref().map(|outcome| OutcomeAnswer::of(info, outcome)),
            debts: debts.iter().map(DebtAnswer::from).collect(),
            events: events.iter().map(EventAnswer::from).collect(),
        }
    }
}

impl OutcomeAnswer {
    fn of(info: &OperationInfo, outcome: &Result<Success, Failure>) -> Self {
        match outcome {
            Ok(success) => Self {
                status: OutcomeWord::Success,
                message: success_message(info, success),
                code: None,
                error: None,
                phase: None,
                undo: None,
                autopsy: None,
                details: Some(SuccessDetails::of(info, success, Vec::new())),
            },
            Err(failure) => Self::of_failure(failure.clone()),
        }
    }

    fn of_failure(failure: Failure) -> Self {
        let Failure { code, message, phase, undo, autopsy, available: _ } = failure;
        let code = ErrorCode::from(code);
        Self {
            status: OutcomeWord::Error,
            message,
            code: Some(Word(code)),
            error: Some(code.row().title),
            phase: phase.map(Word),
            undo: Some(Word(undo)),
            autopsy: autopsy.map(|autopsy| AutopsyAnswer::from(*autopsy)),
            details: None,
        }
    }
}

impl From<&Debt> for DebtAnswer {
    fn from(debt: &Debt) -> Self {
        match debt {
            Debt::Connection(id) => Self { kind: DebtWord::AirflowConnection, name: id.to_string() },
            Debt::Login(id) => Self { kind: DebtWord::AirflowConnectionLogin, name: id.to_string() },
            Debt::OwnConnections => Self { kind: DebtWord::AirflowConnection, name: String::new() },
            Debt::Claim { server: _, name } => Self { kind: DebtWord::VolumeClaim, name: name.clone() },
            Debt::Replaced(name) => Self { kind: DebtWord::ReplacedRelease, name: name.to_string() },
            Debt::Remains { server, claims_before: _ } => Self { kind: DebtWord::FailedDeployment, name: server.to_string() },
        }
    }
}

impl From<&OperationEvent> for EventAnswer {
    fn from(event: &OperationEvent) -> Self {
        let OperationEvent { sequence, at, phase, begins_phase, message } = event;
        Self { sequence: *sequence, at: Moment(*at), phase: Word(*phase), begins_phase: *begins_phase, message: message.clone() }
    }
}
