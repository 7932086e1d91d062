//! Errors: one type, one body shape, one table.

mod body;
mod code;
mod failure;

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use dbt_controller_domain::model::Ticket;
use paperclip::v2::schema::Apiv2Errors;

pub(crate) use body::{ErrorBody, ErrorDetails, ErrorWord};
pub use code::ErrorCode;

/// What every 401 asks for (RFC 6750, section 3).
const CHALLENGE: &str = r#"Bearer realm="dbt-api-service-controller""#;

/// An error answer on its way out.
#[derive(Clone)]
pub struct ApiError(Box<Parts>);

#[derive(Clone)]
struct Parts {
    code: ErrorCode,
    message: String,
    details: ErrorDetails,
    headers: HeaderMap,
}

impl ApiError {
    /// An error of this kind with a sentence for a person. The sentence must not repeat values of the request's body: those may be secrets.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let row = code.row();
        let mut headers = HeaderMap::new();
        if row.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        if let Some(seconds) = row.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        Self(Box::new(Parts { code, message: message.into(), details: ErrorDetails::of(code), headers }))
    }

    /// A 422 with all that is wrong, by field or parameter.
    pub(crate) fn invalid(problems: BTreeMap<String, Vec<String>>) -> Self {
        // With the reasons, since a CI log often shows nothing else.
        let fields = problems.iter().map(|(field, reasons)| format!("`{field}` {}", reasons.join(", "))).collect::<Vec<_>>().join("; ");
        Self::new(ErrorCode::ValidationFailed, format!("not valid: {fields}"))
            .with_details(|details| details.validation_errors = Some(problems))
    }

    /// A 422 about one parameter.
    pub(crate) fn invalid_parameter(name: &str, problem: impl fmt::Display) -> Self {
        Self::invalid(BTreeMap::from([(name.to_owned(), vec![problem.to_string()])]))
    }

    /// The same error, worth another try after this many seconds.
    #[must_use]
    pub fn with_retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The same error with another header, which replaces an earlier one of that name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The same error of this operation.
    #[must_use]
    pub(crate) fn of_operation(self, ticket: &Ticket) -> Self {
        self.with_details(|details| {
            details.operation_id = Some(ticket.id.to_string());
            details.release_name = Some(ticket.key.name.to_string());
            details.namespace = Some(ticket.key.namespace.to_string());
        })
    }

    /// The same error with these changes of its details.
    #[must_use]
    pub(crate) fn with_details(mut self, change: impl FnOnce(&mut ErrorDetails)) -> Self {
        change(&mut self.0.details);
        self
    }

    /// What kind of error it is.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody { status: ErrorWord::Error, message: self.0.message.clone(), details: self.0.details.clone() }
    }

    /// The answer's status and headers, without its body.
    pub(crate) fn response_head(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(self.status_code());
        for (name, value) in &self.0.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        // Errors are of the moment; a shared cache must not keep a 404.
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        response
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.response_head().json(self.body())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.code.as_str())
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ApiError {}

/// `publish` documents the errors of each operation from the table; paperclip adds none.
impl Apiv2Errors for ApiError {}

#[cfg(test)]
mod tests;
