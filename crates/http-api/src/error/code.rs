//! The error table: code → status → short text. Nobody else in the service knows an HTTP status of an error.

use actix_web::http::StatusCode;
use dbt_controller_domain::model::FailureCode;

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The stable word in `details.code`.
    pub(crate) word: &'static str,
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// The short text in `details.error`.
    pub(crate) title: &'static str,
    /// When it is worth another try, in seconds (`Retry-After`).
    pub(crate) retry_after: Option<u32>,
}

macro_rules! error_codes {
    ($($(#[$meta:meta])* $variant:ident => $word:literal, $status:ident, $title:literal $(, retry after $seconds:literal)?;)+) => {
        /// Everything that an answer can blame: what the domain knows, and what only HTTP knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorCode {
            /// A failure of the domain.
            Domain(FailureCode),
            $($(#[$meta])* $variant,)+
        }

        impl ErrorCode {
            /// The codes that only HTTP knows.
            const OWN: &'static [Self] = &[$(Self::$variant,)+];

            /// Its line of the table.
            pub(crate) fn row(self) -> Row {
                match self {
                    Self::Domain(code) => domain_row(code),
                    $(Self::$variant => {
                        row($word, StatusCode::$status, $title)$(.retry_after($seconds))?
                    })+
                }
            }
        }
    };
}

error_codes! {
    /// A field, a query parameter or a header has a value that is not allowed.
    ValidationFailed => "validation_failed", UNPROCESSABLE_ENTITY, "the request is not valid";
    /// The body is no JSON object.
    MalformedBody => "malformed_body", BAD_REQUEST, "the body cannot be read";
    /// The request cannot be read for another reason.
    BadRequest => "bad_request", BAD_REQUEST, "the request cannot be read";
    /// The body has a media type that is not taken.
    UnsupportedMediaType => "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "the body is not JSON";
    /// No token, or not a valid one.
    Unauthorized => "unauthorized", UNAUTHORIZED, "a valid bearer token is needed";
    /// No route has this path.
    UnknownRoute => "unknown_route", NOT_FOUND, "no such route";
    /// The path has no route for this method.
    MethodNotAllowed => "method_not_allowed", METHOD_NOT_ALLOWED, "the path does not have this method";
    /// No operation has this id, or not any more.
    OperationNotFound => "operation_not_found", NOT_FOUND, "no such operation";
    /// No representation suits the request's `Accept…` headers.
    NotAcceptable => "not_acceptable", NOT_ACCEPTABLE, "no representation is acceptable";
    /// The body is larger than 1 MiB.
    BodyTooLarge => "body_too_large", PAYLOAD_TOO_LARGE, "the body is too large";
    /// The body did not arrive in time.
    RequestTimeout => "request_timeout", REQUEST_TIMEOUT, "the body did not arrive in time";
    /// The token was used too often in too short a time.
    RateLimited => "rate_limited", TOO_MANY_REQUESTS, "too many requests", retry after 1;
    /// The bodies of all requests together would take too much memory.
    Overloaded => "overloaded", SERVICE_UNAVAILABLE, "too many large bodies at once", retry after 1;
    /// A probe: the service cannot do its work at present.
    NotReady => "not_ready", SERVICE_UNAVAILABLE, "the service is not ready", retry after 5;
    /// Something that no code describes.
    Internal => "internal", INTERNAL_SERVER_ERROR, "internal error";
}

impl ErrorCode {
    /// Every code there is.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::OWN.iter().copied().chain(FailureCode::ALL.iter().copied().map(Self::Domain))
    }

    /// The stable word in `details.code`.
    pub fn as_str(self) -> &'static str {
        self.row().word
    }

    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        self.row().status
    }
}

impl From<FailureCode> for ErrorCode {
    fn from(code: FailureCode) -> Self {
        Self::Domain(code)
    }
}

impl Row {
    const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

const fn row(word: &'static str, status: StatusCode, title: &'static str) -> Row {
    Row { word, status, title, retry_after: None }
}

/// 404 and 409: the caller's picture differs from what is there. 422: the request itself must change. 429 and 503: the same request
/// may work later. 504: it took too long. 500: the deployment does not come up, or we are to blame.
fn domain_row(code: FailureCode) -> Row {
    use FailureCode as F;
    let line = |status, title| row(code.as_str(), status, title);
    let conflict = |title| line(StatusCode::CONFLICT, title);
    let failed = |title| line(StatusCode::INTERNAL_SERVER_ERROR, title);
    let unavailable = |title| line(StatusCode::SERVICE_UNAVAILABLE, title).retry_after(10);
    match code {
        F::NotFound => line(StatusCode::NOT_FOUND, "no such deployment"),
        F::AmbiguousName => conflict("the name fits several deployments"),
        F::DeployedElsewhere => conflict("deployed in another namespace"),
        F::NameTaken => conflict("the names are taken"),
        F::ConnectionTaken => conflict("the Airflow connection belongs to somebody else"),
        F::Cancelled => conflict("cancelled by a delete"),
        F::DagsActive => conflict("an unpaused DAG uses the server"),
        F::ReleaseChanged => conflict("somebody else changed the release"),
        F::ReleasePending => conflict("somebody else's Helm operation is under way"),
        F::ForeignObject => conflict("an object belongs to somebody else"),
        F::ClaimCannotShrink => conflict("the volume cannot become smaller"),
        F::ClaimCannotGrow => conflict("the volume cannot grow"),
        F::PutToSleep => conflict("the server was scaled to 0 by somebody else"),
        F::ReleaseTooLarge => line(StatusCode::UNPROCESSABLE_ENTITY, "the release is too large"),
        F::TooManyOperations => line(StatusCode::TOO_MANY_REQUESTS, "too many operations wait").retry_after(10),
        F::ShuttingDown => unavailable("the service is stopping"),
        F::ClusterUnavailable => unavailable("the cluster does not answer"),
        F::AirflowUnavailable => unavailable("Airflow does not answer"),
        F::Interrupted => unavailable("the service was interrupted"),
        F::DeployTimeout => line(StatusCode::GATEWAY_TIMEOUT, "the server was not ready in time"),
        F::PodsNotGone => line(StatusCode::GATEWAY_TIMEOUT, "the pods did not go away in time"),
        F::AirflowRefused => failed("Airflow refuses the service's login or role"),
        F::ConnectionRejected => failed("Airflow does not take the connection"),
        F::Forbidden => failed("the service lacks a right in the cluster"),
        F::NamespaceMissing => failed("the namespace does not exist"),
        F::WarehouseSecretMissing => failed("the warehouse's Secret is missing"),
        F::ReleaseUnreadable => failed("the release's record cannot be read"),
        F::ImagePullFailed => failed("the image cannot be pulled"),
        F::CrashLoop => failed("the container ends again and again"),
        F::ContainerConfig => failed("the container cannot be made"),
        F::QuotaExceeded => failed("a quota refuses the pod"),
        F::AdmissionRefused => failed("the cluster refuses an object"),
        F::VolumeFailed => failed("a volume cannot be mounted"),
        F::ClaimsNotDeleted => failed("a volume claim could not be deleted"),
        F::RollbackFailed => failed("the undo did not work"),
        F::Internal => failed("internal error"),
    }
}
