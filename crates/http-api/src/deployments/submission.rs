//! From a submitted operation to its answer: now for a caller who waits, a receipt for one who does not.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder};
use dbt_controller_domain::model::{Failure, FinishedOperation, Target, Ticket};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::DefaultOperationRaw;
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use serde::Serialize;

use super::success::{Conclusion, SuccessDetails, success_message};
use crate::answer::{document_response, json_response};
use crate::app::ApiState;
use crate::error::{ApiError, ErrorCode};
use crate::extract::Prefer;

/// `Preference-Applied` of RFC 7240.
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A submitted operation, and what its answer needs to know of the request.
pub(crate) struct Submission<'a> {
    pub(crate) state: &'a ApiState,
    /// The deployment that the caller named; none for a deploy, which names it itself.
    pub(crate) target: Option<&'a Target>,
    pub(crate) prefer: Prefer,
    /// What the request's body already gave reason to say.
    pub(crate) warnings: Vec<String>,
}

/// The answer to a mutation.
pub(crate) enum Reply<T> {
    /// It is done.
    Done(T),
    /// It is under way.
    Accepted {
        /// The receipt.
        receipt: AcceptedAnswer,
        /// The preference that was followed, for `Preference-Applied`.
        applied: String,
    },
}

/// The receipt of an operation that is under way.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AcceptedAnswer {
    /// Always `accepted`.
    status: AcceptedWord,
    /// What to do next in a sentence.
    message: String,
    /// The same for programs.
    details: AcceptedDetails,
}

/// The word in `status` of a receipt.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum AcceptedWord {
    Accepted,
}

/// The receipt for programs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AcceptedDetails {
    /// The Helm release it is about.
    release_name: String,
    /// The namespace of the release.
    namespace: String,
    /// The operation.
    operation_id: String,
    /// Where the operation can be read.
    location: String,
    /// Where the operation's events can be followed.
    events: String,
    /// Whether an equal operation was already under way, whose receipt this is.
    joined: bool,
    /// What the caller may want to know.
    warnings: Vec<String>,
}

impl Submission<'_> {
    /// Waits for the end of the operation as long as the caller prefers, and answers.
    pub(crate) async fn conclude<T: Conclusion>(self, ticket: Result<Ticket, Failure>) -> Result<Reply<T>, ApiError> {
        let ticket = ticket.map_err(|failure| self.error(failure))?;
        let controller = &self.state.controller;
        let ended = match self.prefer {
            Prefer::Answer => controller.wait(&ticket).await,
            Prefer::Receipt => return Ok(self.receipt(&ticket)),
            Prefer::ReceiptAfter(limit) => match tokio::time::timeout(limit, controller.wait(&ticket)).await {
                Ok(ended) => ended,
                Err(_) => return Ok(self.receipt(&ticket)),
            },
        };
        ended
            .and_then(|ended| self.outcome(&ended))
            .map_err(|failure| self.error(failure).of_operation(&ticket))?
            .map(Reply::Done)
            .ok_or_else(|| ApiError::new(ErrorCode::Internal, "the operation was of another kind").of_operation(&ticket))
    }

    fn outcome<T: Conclusion>(&self, ended: &FinishedOperation) -> Result<Option<T>, Failure> {
        let success = ended.outcome.as_ref().map_err(Failure::clone)?;
        let details = SuccessDetails::of(&ended.info, success, self.warnings.clone());
        Ok(T::of(success_message(&ended.info, success), details))
    }

    fn error(&self, failure: Failure) -> ApiError {
        match self.target {
            Some(target) => ApiError::about(target, self.state.controller.settings().home(), failure),
            None => failure.into(),
        }
    }

    fn receipt<T>(self, ticket: &Ticket) -> Reply<T> {
        let Ticket { id, key, joined } = ticket;
        let location = format!("/api/v1/operations/{id}");
        let receipt = AcceptedAnswer {
            status: AcceptedWord::Accepted,
            message: format!("Deployment {} is being worked on; {location} shows how it goes", key.name),
            details: AcceptedDetails {
                release_name: key.name.to_string(),
                namespace: key.namespace.to_string(),
                operation_id: id.to_string(),
                events: format!("{location}/events"),
                location,
                joined: *joined,
                warnings: self.warnings,
            },
        };
        Reply::Accepted { receipt, applied: self.prefer.applied() }
    }
}

// === impl Reply ===

impl<T: Serialize> Responder for Reply<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        match self {
            Self::Done(answer) => json_response(StatusCode::OK, &answer),
            Self::Accepted { receipt, applied } => {
                let mut response = json_response(StatusCode::ACCEPTED, &receipt);
                let location = HeaderValue::from_str(&receipt.details.location);
                for (name, value) in [(header::LOCATION, location), (PREFERENCE_APPLIED, HeaderValue::from_str(&applied))] {
                    // Operation ids and preferences are plain ASCII, which is always a header value.
                    if let Ok(value) = value {
                        response.headers_mut().insert(name, value);
                    }
                }
                response
            }
        }
    }
}

impl<T: JsonSchema> Apiv2Schema for Reply<T> {}

impl<T: JsonSchema> OperationModifier for Reply<T> {
    fn update_response(operation: &mut DefaultOperationRaw) {
        document_response::<T>(operation, 200);
        document_response::<AcceptedAnswer>(operation, 202);
    }
}
