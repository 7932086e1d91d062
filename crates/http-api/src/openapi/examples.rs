//! Examples for the document, made by the code that makes the answers, so that they cannot become wrong.

use std::collections::BTreeMap;

use dbt_controller_domain::model::{
    Caller, ConnectionOutcome, ConnectionReport, FailureCode, OperationId, OperationInfo, OperationKind, ReleaseKey, ReleaseStatus,
    RequestHash, RevisionNumber, Success,
};
use dbt_controller_domain::{Identity, NameForm};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::deployments::{Conclusion, DeleteAnswer, DeployAnswer, SuccessDetails, success_message};
use crate::error::{ApiError, ErrorCode};

/// The body of a POST as the README shows it, and as pipelines send it.
pub(crate) fn deploy_requests() -> Value {
    json!({
        "smallest": { "summary": "The rest comes from configuration", "value": { "project_name": "test-project", "git_branch": "main" } },
        "pipeline": {
            "summary": "As a pipeline sends it",
            "value": {
                "project_name": "test-project",
                "git_branch": "main",
                "customer": "acme",
                "domain": "example.com",
                "tag": "v1.2.3",
                "data_warehouse_platform": "bigquery",
                "datawarehouse_type": "bigquery",
                "gitlink_deploy_key": "EMPTY",
            },
        },
    })
}

/// The body of an answer of an operation, where a picture says more than its schema.
pub(crate) fn answer(operation_id: &str, status: &str) -> Option<Value> {
    match (operation_id, status) {
        ("createDeployment", "200") => conclusion::<DeployAnswer>(OperationKind::Deploy, &deployed()),
        ("deleteDeployment", "200") => conclusion::<DeleteAnswer>(OperationKind::Delete, &deleted()),
        _ => None,
    }
}

/// The body of an error answer.
pub(crate) fn error(code: ErrorCode) -> Value {
    let error = if code == ErrorCode::ValidationFailed {
        ApiError::invalid(BTreeMap::from([("namespace".to_owned(), vec!["must be a namespace name".to_owned()])]))
    } else {
        ApiError::new(code, code.row().title)
    };
    let error = error.with_details(|details| {
        let is_missing = code == ErrorCode::Domain(FailureCode::NotFound);
        details.available_releases = is_missing.then(|| vec!["dbt-server-test-project-main".to_owned()]);
        details.pvc_deleted = is_missing.then(Vec::new);
    });
    json!(error.body())
}

fn conclusion<T: Conclusion>(kind: OperationKind, success: &Success) -> Option<Value> {
    let info = info(kind)?;
    let answer = T::of(success_message(&info, success), SuccessDetails::of(&info, success, Vec::new()))?;
    Some(json!(answer))
}

fn info(kind: OperationKind) -> Option<OperationInfo> {
    let identity = Identity::parse("test-project", Some("main")).ok()?;
    Some(OperationInfo {
        id: operation_id()?,
        kind,
        key: ReleaseKey { namespace: "dbt-server".parse().ok()?, name: identity.release_name(NameForm::Plain) },
        identity: Some(identity),
        task_hash: RequestHash::from_recorded(""),
        caller: Caller { request_id: String::new(), actor: String::new() },
        submitted_at: Timestamp::UNIX_EPOCH,
    })
}

fn operation_id() -> Option<OperationId> {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().ok()
}

fn connection(status: ConnectionOutcome, url: Option<String>) -> ConnectionReport {
    ConnectionReport { id: "test_project_main".parse().ok(), url, status, error: None }
}

fn deployed() -> Success {
    let host = "dbt-server-test-project-main.dbt-server.svc.cluster.local".to_owned();
    let url = format!("http://{host}/invocations");
    Success::Deployed {
        host,
        status: ReleaseStatus::Deployed,
        revision: RevisionNumber(1),
        unchanged: false,
        connection: connection(ConnectionOutcome::Created, Some(url)),
        notes: Vec::new(),
    }
}

fn deleted() -> Success {
    Success::Deleted {
        claims: vec!["dbt-server-test-project-main-dbt-server-test-project-main-0".to_owned()],
        connection: connection(ConnectionOutcome::Deleted, None),
    }
}
