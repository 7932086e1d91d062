//! What a caller who waited is told when it went well.
//!
//! CI logs are searched for `fail`, `error`, `forbidden` and `denied`: no message here contains one of them.

use dbt_controller_domain::model::{ConnectionOutcome, ConnectionReport, DagState, OperationInfo, ReleaseStatus, Success};
use schemars::JsonSchema;
use serde::Serialize;

use crate::words::Word;

/// The word in `status` of an answer that went well.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum SuccessWord {
    /// It worked.
    Success,
}

/// `details` of an operation that went well, by its kind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum SuccessDetails {
    /// Of a deploy.
    Deployed(DeployDetails),
    /// Of a delete.
    Deleted(DeleteDetails),
    /// Of any other kind.
    Other(ReleaseDetails),
}

/// What was deployed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct DeployDetails {
    /// The Helm release, which is also the name of the server.
    release_name: String,
    /// The namespace of the release.
    namespace: String,
    /// Host name of the server, without scheme.
    host: String,
    /// Helm's status of the release.
    status: Word<ReleaseStatus>,
    /// The revision in force.
    revision: u32,
    /// Whether everything was already as asked.
    unchanged: bool,
    /// The Airflow connection by which tasks find the server.
    airflow_connection: RegisteredConnection,
    /// What the caller may want to know.
    warnings: Vec<String>,
    /// The operation that did it.
    operation_id: String,
}

/// An Airflow connection after a deploy.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct RegisteredConnection {
    /// Its id; null when the service runs without Airflow.
    id: Option<String>,
    /// The URL that tasks call; null when the service runs without Airflow.
    host: Option<String>,
    /// What became of it.
    status: Word<ConnectionOutcome>,
}

/// What was deleted.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct DeleteDetails {
    /// The Helm release.
    release_name: String,
    /// Its namespace.
    namespace: String,
    /// The volume claims that were deleted.
    pvc_deleted: Vec<String>,
    /// The Airflow connection.
    airflow_connection: RemovedConnection,
    /// The operation that did it.
    operation_id: String,
}

/// An Airflow connection after a delete.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct RemovedConnection {
    /// Its id; null when there never was one.
    id: Option<String>,
    /// What became of it; `error`: Airflow could not be reached, it is removed later.
    status: Word<ConnectionOutcome>,
    /// Why it could not be removed.
    error: Option<String>,
}

/// Which release it was.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ReleaseDetails {
    /// The Helm release.
    release_name: String,
    /// Its namespace.
    namespace: String,
    /// The operation that did it.
    operation_id: String,
}

/// The answer to a deploy.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeployAnswer {
    /// Always `success`.
    status: SuccessWord,
    /// What happened in a sentence.
    message: String,
    /// The same for programs.
    details: DeployDetails,
}

/// The answer to a delete.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeleteAnswer {
    /// Always `success`.
    status: SuccessWord,
    /// What happened in a sentence.
    message: String,
    /// The same for programs.
    details: DeleteDetails,
}

/// The answer to a suspend or resume.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ScaleAnswer {
    /// Always `success`.
    status: SuccessWord,
    /// What happened in a sentence.
    message: String,
    /// The same for programs.
    details: ReleaseDetails,
}

/// An answer that can be made of an operation's success; none when the operation is of another kind.
pub(crate) trait Conclusion: Serialize + JsonSchema + Sized {
    fn of(message: String, details: SuccessDetails) -> Option<Self>;
}

/// What happened, in a sentence.
pub(crate) fn success_message(info: &OperationInfo, success: &Success) -> String {
    let release = &info.key.name;
    match success {
        Success::Deployed { .. } => format!("Deployment {release} created/updated successfully"),
        Success::Deleted { .. } => format!("Deployment {release} and associated resources deleted successfully"),
        Success::Suspended => format!("Deployment {release} suspended successfully"),
        Success::Resumed => format!("Deployment {release} resumed successfully"),
        Success::Settled => format!("Leftovers of deployment {release} removed successfully"),
        Success::FollowedDags { state: Some(DagState::AllPaused) } => format!("Deployment {release} put to sleep: its DAGs are paused"),
        Success::FollowedDags { state: Some(DagState::SomeActive) } => format!("Deployment {release} woken: a DAG of it is not paused"),
        Success::FollowedDags { state: None } => format!("Deployment {release} is as its DAGs need it"),
    }
}

impl SuccessDetails {
    /// The details of an operation, with the warnings that its request already gave.
    pub(crate) fn of(info: &OperationInfo, success: &Success, mut warnings: Vec<String>) -> Self {
        let release_name = info.key.name.to_string();
        let namespace = info.key.namespace.to_string();
        let operation_id = info.id.to_string();
        match success {
            Success::Deployed { host, status, revision, unchanged, connection, notes } => {
                warnings.extend(notes.iter().cloned());
                Self::Deployed(DeployDetails {
                    release_name,
                    namespace,
                    host: host.clone(),
                    status: Word(*status),
                    revision: revision.0,
                    unchanged: *unchanged,
                    airflow_connection: connection.into(),
                    warnings,
                    operation_id,
                })
            }
            Success::Deleted { claims, connection } => Self::Deleted(DeleteDetails {
                release_name,
                namespace,
                pvc_deleted: claims.clone(),
                airflow_connection: connection.into(),
                operation_id,
            }),
            Success::Suspended | Success::Resumed | Success::Settled | Success::FollowedDags { .. } => {
                Self::Other(ReleaseDetails { release_name, namespace, operation_id })
            }
        }
    }
}

impl From<&ConnectionReport> for RegisteredConnection {
    fn from(report: &ConnectionReport) -> Self {
        let ConnectionReport { id, url, status, error: _ } = report;
        Self { id: id.as_ref().map(ToString::to_string), host: url.clone(), status: Word(*status) }
    }
}

impl From<&ConnectionReport> for RemovedConnection {
    fn from(report: &ConnectionReport) -> Self {
        let ConnectionReport { id, url: _, status, error } = report;
        Self { id: id.as_ref().map(ToString::to_string), status: Word(*status), error: error.clone() }
    }
}

impl Conclusion for DeployAnswer {
    fn of(message: String, details: SuccessDetails) -> Option<Self> {
        match details {
            SuccessDetails::Deployed(details) => Some(Self { status: SuccessWord::Success, message, details }),
            SuccessDetails::Deleted(_) | SuccessDetails::Other(_) => None,
        }
    }
}

impl Conclusion for DeleteAnswer {
    fn of(message: String, details: SuccessDetails) -> Option<Self> {
        match details {
            SuccessDetails::Deleted(details) => Some(Self { status: SuccessWord::Success, message, details }),
            SuccessDetails::Deployed(_) | SuccessDetails::Other(_) => None,
        }
    }
}

impl Conclusion for ScaleAnswer {
    fn of(message: String, details: SuccessDetails) -> Option<Self> {
        match details {
            SuccessDetails::Other(details) => Some(Self { status: SuccessWord::Success, message, details }),
            SuccessDetails::Deployed(_) | SuccessDetails::Deleted(_) => None,
        }
    }
}
