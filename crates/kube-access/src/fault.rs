//! What the errors of the API server mean for a caller.

use dbt_controller_domain::ports::{BoxError, ClusterError, InstallerError, RefusalKind};
use kube::core::Status;

/// How the API server begins to tell that a webhook did not answer it. Its code is 500 and its reason `InternalError`, as for any mishap.
/// <https://github.com/kubernetes/apiserver/blob/v0.36.3/pkg/admission/plugin/webhook/errors/statuserror.go>
const CALLING_WEBHOOK: &str = "failed calling webhook";
/// Said before those words.
const WEBHOOK_DOWN: &str = "the API server answers, but not a webhook that it has to ask first";

/// How the API server tells that the uid of a precondition is not the object's, before it deletes one and while it does. It has no reason of
/// its own for it.
///
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/registry/rest/delete.go> (`BeforeDelete`),
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/storage/interfaces.go> (`Preconditions.Check`)
const OTHER_UID: [&str; 2] = ["the UID in the precondition", "UID in precondition"];

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A webhook that has to be asked first does not answer the API server; nothing was written.
    #[error("{WEBHOOK_DOWN}: {0}")]
    Webhook(String),
    /// No answer, or one that says "later" (429, 5xx). Whether a write happened is unknown.
    #[error("{0}")]
    Unavailable(#[source] BoxError),
    /// There is no such object.
    #[error("{0}")]
    NotFound(String),
    /// The namespace does not exist, or is being deleted.
    #[error("{0}")]
    NamespaceMissing(String),
    /// An object of that name exists already.
    #[error("{0}")]
    AlreadyExists(String),
    /// The object is not as the request expected it, and is still there: another version, a field of another manager, or too many who write
    /// it at this moment.
    #[error("{0}")]
    Conflict(String),
    /// The object that the request means is gone: another one has its name, whose uid is not that of the precondition.
    #[error("{0}")]
    OtherUid(String),
    /// Our account lacks a right.
    #[error("{0}")]
    Forbidden(String),
    /// A quota refuses it.
    #[error("{0}")]
    Quota(String),
    /// It is invalid, or admission refuses it.
    #[error("{0}")]
    Refused(String),
    /// The object is larger than the store takes.
    #[error("{0}")]
    TooLarge(String),
    /// Our credentials are not taken.
    #[error("the API server does not take our credentials: {0}")]
    Unauthorized(String),
    /// Anything else.
    #[error("{0}")]
    Unexpected(#[source] BoxError),
}

impl From<kube::Error> for Fault {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(*status),
            // A body that cannot be read was cut off on its way.
            kube::Error::HyperError(_)
            | kube::Error::Service(_)
            | kube::Error::ReadEvents(_)
            | kube::Error::Auth(_)
            | kube::Error::SerdeError(_)
            | kube::Error::FromUtf8(_)
            | kube::Error::HttpError(_) => Self::Unavailable(chain(&error).into()),
            other => Self::Unexpected(Box::new(other)),
        }
    }
}

impl Fault {
    /// What a status of the API server means.
    pub fn from_status(status: Status) -> Self {
        let details = status.details.as_ref();
        let caused_by = |reason: &str| details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == reason));
        let about_namespace = details.is_some_and(|details| details.kind == "namespaces");
        let message = if status.message.is_empty() { format!("HTTP {} {}", status.code, status.reason) } else { status.message };
        match (status.code, status.reason.as_str()) {
            (404, _) if about_namespace => Self::NamespaceMissing(message),
            (403, _) if caused_by("NamespaceTerminating") => Self::NamespaceMissing(message),
            (404, _) => Self::NotFound(message),
            (409, "AlreadyExists") => Self::AlreadyExists(message),
            (409, _) if OTHER_UID.iter().any(|words| message.contains(words)) => Self::OtherUid(message),
            (409, _) => Self::Conflict(message),
            (401, _) => Self::Unauthorized(message),
            (413, _) => Self::TooLarge(message),
            // The words of the quota admission plugin; the status has no reason of its own for it.
            (403, _) if message.contains("exceeded quota") || message.contains("failed quota") => Self::Quota(message),
            (403, _) if is_authorizers(&message) => Self::Forbidden(message),
            (400 | 403 | 422, _) if is_too_large(&message) => Self::TooLarge(message),
            (400 | 403 | 405 | 415 | 422, _) => Self::Refused(message),
            (500.., _) if message.contains(CALLING_WEBHOOK) => Self::Webhook(message),
            (408 | 429, _) | (500.., _) => Self::Unavailable(message.into()),
            _ => Self::Unexpected(message.into()),
        }
    }

    /// As an error of the installer, about this object (`Kind/name`).
    pub fn of_installer(self, object: &str) -> InstallerError {
        let refused = |kind, message| InstallerError::Refused { object: object.to_owned(), kind, message };
        match self {
            Self::Unavailable(source) => InstallerError::Unavailable(source),
            // Worth another try: it may only be restarting.
            Self::Webhook(message) => InstallerError::Unavailable(format!("{object}: {WEBHOOK_DOWN}: {message}").into()),
            Self::Unauthorized(message) => InstallerError::Unavailable(message.into()),
            Self::NamespaceMissing(message) => InstallerError::NamespaceMissing(message),
            Self::Forbidden(message) => InstallerError::Forbidden(message),
            Self::Quota(message) => refused(RefusalKind::Quota, message),
            Self::Refused(message) | Self::TooLarge(message) => refused(RefusalKind::Admission, message),
            // Whoever cares what it conflicts with has looked at it before; for all others somebody wrote at the same moment.
            Self::Conflict(message) | Self::OtherUid(message) => InstallerError::Unavailable(format!("{object}: {message}").into()),
            Self::NotFound(message) | Self::AlreadyExists(message) => InstallerError::Unexpected(format!("{object}: {message}").into()),
            Self::Unexpected(source) => InstallerError::Unexpected(source),
        }
    }

    /// As an error of the cluster port.
    pub fn of_cluster(self) -> ClusterError {
        match self {
            Self::Unavailable(source) => ClusterError::Unavailable(source),
            Self::Webhook(message) => ClusterError::Unavailable(format!("{WEBHOOK_DOWN}: {message}").into()),
            Self::Unauthorized(message) => ClusterError::Unavailable(message.into()),
            Self::NotFound(message) | Self::NamespaceMissing(message) => ClusterError::NotFound(message),
            Self::Forbidden(message) => ClusterError::Forbidden(message),
            Self::Quota(message) | Self::Refused(message) | Self::TooLarge(message) => ClusterError::Refused(message),
            // As for the installer.
            Self::Conflict(message) | Self::OtherUid(message) => ClusterError::Unavailable(message.into()),
            Self::AlreadyExists(message) => ClusterError::Unexpected(message.into()),
            Self::Unexpected(source) => ClusterError::Unexpected(source),
        }
    }
}

/// Whether these are the words of the authorizer: `<object> is forbidden: User "…" cannot <verb> resource "…"`. Everything else that is
/// forbidden is admission, and what a webhook says after its name is free.
fn is_authorizers(message: &str) -> bool {
    let why = message.split_once("forbidden: User \"").filter(|_| !message.starts_with("admission webhook "));
    why.is_some_and(|(_, why)| why.contains(" cannot "))
}

/// What the validation of an object and the store say of one that is too large.
fn is_too_large(message: &str) -> bool {
    message.contains("Too long: may not be more than") || message.contains("request is too large")
}

/// An error with all its causes, since the outermost of a connection says nothing ("client error (Connect)").
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors repeat their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str, message: &str, kind: &str, cause: &str) -> Status {
        let value = serde_json::json!({
            "status": "Failure", "code": code, "reason": reason, "message": message,
            "details": { "kind": kind, "causes": [{ "reason": cause }] },
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_conflict_that_nobody_expects_is_worth_another_try() {
        let conflict = || Fault::from_status(status(409, "Conflict", "the object has been modified", "secrets", ""));
        assert!(matches!(conflict().of_installer("Secret/a"), InstallerError::Unavailable(_)));
        assert!(matches!(conflict().of_cluster(), ClusterError::Unavailable(_)));
    }

    #[test]
    fn a_webhook_that_is_down_is_worth_another_try_and_named() {
        let words = "Internal error occurred: failed calling webhook \"w.example.com\": connection refused";
        let down = || Fault::from_status(status(500, "InternalError", words, "", ""));
        let (installer, cluster) = (down().of_installer("Service/a"), down().of_cluster());
        assert!(matches!(installer, InstallerError::Unavailable(_)) && matches!(cluster, ClusterError::Unavailable(_)));
        let told = format!("the API server answers, but not a webhook that it has to ask first: {words}");
        assert!(installer.to_string().ends_with(&format!(": Service/a: {told}")), "{installer}");
        assert!(cluster.to_string().ends_with(&format!(": {told}")), "{cluster}");
    }

    #[test]
    fn a_status_is_told_by_what_can_be_done_about_it() {
        let fault = |code, reason, message, kind, cause| format!("{:?}", Fault::from_status(status(code, reason, message, kind, cause)));
        let cases = [
            (fault(404, "NotFound", "pods \"a\" not found", "pods", ""), "NotFound"),
            (fault(404, "NotFound", "namespaces \"a\" not found", "namespaces", ""), "NamespaceMissing"),
            (
                fault(403, "Forbidden", "x is forbidden: because it is being terminated", "secrets", "NamespaceTerminating"),
                "NamespaceMissing",
            ),
            (
                fault(403, "Forbidden", "pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\"", "pods", ""),
                "Forbidden",
            ),
            (
                fault(403, "Forbidden", "admission webhook \"w\" denied the request: you cannot use this resource here", "pods", ""),
                "Refused",
            ),
            (fault(403, "Forbidden", "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1", "pods", ""), "Quota"),
            (fault(403, "Forbidden", "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\"", "pods", ""), "Refused"),
            (fault(422, "Invalid", "StatefulSet.apps \"a\" is invalid", "statefulsets", ""), "Refused"),
            (
                fault(422, "Invalid", "Secret \"a\" is invalid: data: Too long: may not be more than 1048576 bytes", "secrets", ""),
                "TooLarge",
            ),
            (fault(409, "AlreadyExists", "secrets \"a\" already exists", "secrets", ""), "AlreadyExists"),
            (fault(409, "Conflict", "Operation cannot be fulfilled", "secrets", ""), "Conflict"),
            (fault(409, "Conflict", "x: the UID in the precondition (a) does not match the UID in record (b)", "", ""), "OtherUid"),
            (fault(409, "Conflict", "x: Precondition failed: UID in precondition: a, UID in object meta: b", "", ""), "OtherUid"),
            (fault(409, "Conflict", "x: Precondition failed: ResourceVersion in precondition: 1", "", ""), "Conflict"),
            (fault(429, "TooManyRequests", "slow down", "", ""), "Unavailable"),
            (fault(503, "ServiceUnavailable", "", "", ""), "Unavailable"),
            (fault(500, "InternalError", "Internal error occurred: failed calling webhook \"w\": connection refused", "", ""), "Webhook"),
            (fault(500, "InternalError", "Internal error occurred: etcd", "", ""), "Unavailable"),
            (fault(401, "Unauthorized", "Unauthorized", "", ""), "Unauthorized"),
        ];
        for (seen, wanted) in cases {
            assert!(seen.starts_with(wanted), "{seen} is not {wanted}");
        }
    }
}
