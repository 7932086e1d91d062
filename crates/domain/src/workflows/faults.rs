//! Errors of the ports in words that a person can act on.

use crate::model::{Failure, FailureCode};
use crate::naming::ConnectionId;
use crate::ports::{ClusterError, ConnectionError, InstallerError, RefusalKind, StoreError};

pub(crate) fn of_installer(error: &InstallerError) -> Failure {
    let (code, remedy) = match error {
        InstallerError::Unavailable(_) | InstallerError::Fenced(_) => (FailureCode::ClusterUnavailable, "try again when it is back"),
        InstallerError::Changed(_) => (FailureCode::ReleaseChanged, "nothing of that was touched; look at `helm history`, then post again"),
        InstallerError::ForeignObject { .. } => (FailureCode::ForeignObject, "remove it or give it to this release"),
        InstallerError::Refused { kind: RefusalKind::Quota, .. } => (FailureCode::QuotaExceeded, "raise the quota or ask for less"),
        InstallerError::Refused { kind: RefusalKind::Admission, .. } => (FailureCode::AdmissionRefused, "change what it objects to"),
        InstallerError::Forbidden(_) => (FailureCode::Forbidden, "give the service's account this right; its Role is in the documentation"),
        InstallerError::NamespaceMissing(_) => (FailureCode::NamespaceMissing, "create it or choose another"),
        InstallerError::TooLarge(_) => (FailureCode::ReleaseTooLarge, "shorten the request's fields"),
        InstallerError::Unreadable(_) => (FailureCode::ReleaseUnreadable, "repair or delete it with helm or kubectl"),
        InstallerError::Unexpected(_) => (FailureCode::Internal, "see the service's log"),
    };
    log_source(code, error);
    Failure::new(code, format!("{error}; {remedy}"))
}

pub(crate) fn of_cluster(error: &ClusterError) -> Failure {
    let (code, remedy) = match error {
        ClusterError::Unavailable(_) | ClusterError::Fenced(_) => (FailureCode::ClusterUnavailable, "try again when it is back"),
        ClusterError::NotFound(_) => (FailureCode::NotFound, "post the deployment again to make it whole"),
        ClusterError::ForeignObject { .. } => (FailureCode::ForeignObject, "remove it or give it to this release"),
        ClusterError::Forbidden(_) => (FailureCode::Forbidden, "give the service's account this right; its Role is in the documentation"),
        ClusterError::Refused(_) => (FailureCode::AdmissionRefused, "change what it objects to"),
        ClusterError::Unexpected(_) => (FailureCode::Internal, "see the service's log"),
    };
    log_source(code, error);
    Failure::new(code, format!("{error}; {remedy}"))
}

pub(crate) fn of_connections(error: &ConnectionError, id: Option<&ConnectionId>) -> Failure {
    let (code, remedy) = match error {
        ConnectionError::Unavailable(_) | ConnectionError::Unreachable(_) | ConnectionError::Fenced(_) => {
            (FailureCode::AirflowUnavailable, "check `AIRFLOW_URL` and that Airflow runs, then try again")
        }
        ConnectionError::Refused(_) => {
            (FailureCode::AirflowRefused, "check `AIRFLOW_USER`, `AIRFLOW_PASSWORD` and the user's role (Op or Admin)")
        }
        ConnectionError::Taken(_) => (FailureCode::ConnectionTaken, "post again: the deployment then takes an id of its own"),
        ConnectionError::Rejected(_) => (FailureCode::ConnectionRejected, "correct the field that it names"),
        ConnectionError::Unexpected(_) => (FailureCode::Internal, "see the service's log"),
    };
    log_source(code, error);
    let which = id.map_or_else(String::new, |id| format!("connection `{id}`: "));
    Failure::new(code, format!("{which}{error}; {remedy}"))
}

pub(crate) fn of_store(error: &StoreError) -> Failure {
    crate::operations::store_failure(error)
}

/// The client gets a sentence; the log gets the whole chain of sources, once, here. An error without a source is all in the sentence.
fn log_source(code: FailureCode, error: &(dyn std::error::Error + 'static)) {
    if error.source().is_none() {
        return;
    }
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_said = cause.to_string();
        // Some errors say what their source does.
        if !chain.contains(&cause_said) {
            chain.push_str(": ");
            chain.push_str(&cause_said);
        }
        source = cause.source();
    }
    tracing::warn!(%code, error = %chain, "a port could not do what was asked");
}
