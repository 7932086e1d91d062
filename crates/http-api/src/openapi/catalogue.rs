//! What the document says of each operation beyond what its handler's types and texts say.

use dbt_controller_domain::model::FailureCode as F;

use crate::error::ErrorCode::{self, Domain};

/// One operation.
pub(crate) struct Operation {
    /// Its `operationId`.
    pub(crate) id: &'static str,
    /// Whether it needs a token.
    pub(crate) needs_token: bool,
    /// What each answer that is not an error means.
    pub(crate) answers: &'static [(u16, &'static str)],
    /// The errors it can answer with, beside those of every operation.
    errors: &'static [&'static [ErrorCode]],
}

/// Errors of every operation.
const ANY: &[ErrorCode] = &[ErrorCode::Internal];
/// Errors of every operation that needs a token.
const TOKEN: &[ErrorCode] = &[ErrorCode::Unauthorized, ErrorCode::RateLimited];
/// Errors of requests, wherever they go; told once, in the document's description.
pub(crate) const ANYWHERE: &[ErrorCode] = &[ErrorCode::UnknownRoute, ErrorCode::MethodNotAllowed, ErrorCode::NotAcceptable];

const PARAMETERS: &[ErrorCode] = &[ErrorCode::ValidationFailed];
const BODY: &[ErrorCode] = &[
    ErrorCode::MalformedBody,
    ErrorCode::BadRequest,
    ErrorCode::RequestTimeout,
    ErrorCode::BodyTooLarge,
    ErrorCode::Overloaded,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::ValidationFailed,
];
const READ: &[ErrorCode] = &[Domain(F::ClusterUnavailable)];
/// Errors of reading the operations' records.
const RECORDS: &[ErrorCode] = &[Domain(F::NamespaceMissing), Domain(F::Forbidden)];
const TARGET: &[ErrorCode] = &[ErrorCode::ValidationFailed, Domain(F::NotFound), Domain(F::AmbiguousName)];
const OPERATION: &[ErrorCode] = &[ErrorCode::OperationNotFound];
const NOT_READY: &[ErrorCode] = &[ErrorCode::NotReady];
/// Errors of every mutation.
const MUTATION: &[ErrorCode] = &[
    Domain(F::ShuttingDown),
    Domain(F::Interrupted),
    Domain(F::ClusterUnavailable),
    Domain(F::AirflowUnavailable),
    Domain(F::AirflowRefused),
    Domain(F::Cancelled),
    Domain(F::ReleaseChanged),
    Domain(F::ReleasePending),
    Domain(F::ReleaseUnreadable),
    Domain(F::NamespaceMissing),
    Domain(F::Forbidden),
    Domain(F::QuotaExceeded),
    Domain(F::AdmissionRefused),
    Domain(F::Internal),
];
/// Errors of waiting in line. A DELETE always gets through.
const QUEUE: &[ErrorCode] = &[Domain(F::TooManyOperations)];
/// Errors of waiting for a server to come up.
const SERVER: &[ErrorCode] = &[
    Domain(F::PutToSleep),
    Domain(F::WarehouseSecretMissing),
    Domain(F::ImagePullFailed),
    Domain(F::CrashLoop),
    Domain(F::ContainerConfig),
    Domain(F::VolumeFailed),
    Domain(F::DeployTimeout),
];
/// Errors of making or changing a server.
const CHANGE: &[ErrorCode] = &[
    Domain(F::DeployedElsewhere),
    Domain(F::NameTaken),
    Domain(F::ConnectionTaken),
    Domain(F::ConnectionRejected),
    Domain(F::ForeignObject),
    Domain(F::ClaimCannotShrink),
    Domain(F::ClaimCannotGrow),
    Domain(F::ReleaseTooLarge),
    Domain(F::RollbackFailed),
];
const REMOVAL: &[ErrorCode] = &[Domain(F::ClaimsNotDeleted), Domain(F::PodsNotGone)];
const SUSPENSION: &[ErrorCode] = &[Domain(F::DagsActive), Domain(F::PodsNotGone)];
/// Errors of scaling what is there.
const SCALE: &[ErrorCode] = &[Domain(F::ForeignObject)];

const ACCEPTED: (u16, &str) = (202, "The operation is under way; this is its receipt.");

/// Every operation, in the order of the routes.
pub(crate) const OPERATIONS: &[Operation] = &[
    open("headRoot", &[(204, "The service is there.")], &[]),
    guarded("getInfo", &[(200, "How the service is set up.")], &[]),
    open("getLiveness", &[(200, "The service runs.")], &[]),
    open("getReadiness", &[(200, "The service is ready.")], &[NOT_READY]),
    open("getStartup", &[(200, "The service has started.")], &[NOT_READY]),
    open("getStatus", &[(200, "The service's status.")], &[]),
    guarded("listDeployments", &[(200, "The deployments, or a page of them.")], &[PARAMETERS, READ]),
    guarded("createDeployment", &[(200, "The server runs and is registered."), ACCEPTED], &[BODY, MUTATION, QUEUE, SERVER, CHANGE]),
    guarded("getDeployment", &[(200, "The deployment.")], &[TARGET, READ]),
    guarded("deleteDeployment", &[(200, "Nothing of it is left."), ACCEPTED], &[TARGET, MUTATION, REMOVAL]),
    guarded("suspendDeployment", &[(200, "It sleeps."), ACCEPTED], &[TARGET, MUTATION, QUEUE, SCALE, SUSPENSION]),
    guarded("resumeDeployment", &[(200, "It runs again."), ACCEPTED], &[TARGET, MUTATION, QUEUE, SCALE, SERVER]),
    guarded("getNames", &[(200, "The names.")], &[PARAMETERS, READ]),
    guarded("listProjects", &[(200, "The deployments with their values.")], &[READ]),
    guarded("listReleases", &[(200, "The Helm releases.")], &[READ]),
    guarded("projectExists", &[(200, "It exists.")], &[TARGET, READ]),
    guarded("listOperations", &[(200, "The operations.")], &[READ, RECORDS]),
    guarded("getOperation", &[(200, "The operation.")], &[OPERATION, READ, RECORDS]),
    guarded(
        "followOperation",
        &[(200, "The operation's events as they happen."), (204, "The client has seen the outcome; there is nothing more to come.")],
        &[OPERATION, READ, RECORDS],
    ),
];

const fn open(id: &'static str, answers: &'static [(u16, &'static str)], errors: &'static [&'static [ErrorCode]]) -> Operation {
    Operation { id, needs_token: false, answers, errors }
}

const fn guarded(id: &'static str, answers: &'static [(u16, &'static str)], errors: &'static [&'static [ErrorCode]]) -> Operation {
    Operation { id, needs_token: true, answers, errors }
}

impl Operation {
    /// The operation of this id.
    pub(crate) fn find(id: &str) -> Option<&'static Self> {
        OPERATIONS.iter().find(|operation| operation.id == id)
    }

    /// Every error it can answer with.
    pub(crate) fn errors(&self) -> impl Iterator<Item = ErrorCode> {
        let token = if self.needs_token { TOKEN } else { &[] };
        self.errors.iter().copied().chain([token, ANY]).flatten().copied()
    }
}
