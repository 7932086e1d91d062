//! `/health/*`: what the kubelet asks. No token is needed.

mod liveness;
mod readiness;
mod startup;

pub(crate) use liveness::{LivenessAnswer, liveness};
pub(crate) use readiness::readiness;
pub(crate) use startup::startup;

use std::collections::BTreeMap;

use actix_web::body::BoxBody;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, Responder};
use dbt_controller_domain::model::ControllerHealth;
use paperclip::actix::OperationModifier;
use paperclip::v2::models::DefaultOperationRaw;
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::{document_response, json_response};
use crate::error::{ApiError, ErrorCode, ErrorDetails};

/// The answer to a probe.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProbeAnswer {
    /// The outcome in one word.
    status: ProbeWord,
    /// The outcome in a sentence.
    message: String,
    /// What was looked at: `ok`, or what is wrong with it.
    checks: BTreeMap<&'static str, String>,
    /// What is wrong for programs; only with 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<ErrorDetails>,
}

/// The outcome of a probe.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ProbeWord {
    Ready,
    NotReady,
    Started,
    NotStarted,
}

/// The two words and sentences of a probe: when all is well, and when not.
struct Probe {
    good: (ProbeWord, &'static str),
    bad: (ProbeWord, &'static str),
}

/// The answer to a probe: 200, or 503 with what the log says of it.
pub(crate) struct Probed(Result<ProbeAnswer, (ProbeAnswer, ApiError)>);

impl Probe {
    /// The answer by what the controller found.
    fn answer(&self, health: ControllerHealth) -> Probed {
        let ControllerHealth { shutting_down, cluster, releases, operations } = health;
        let service = if shutting_down { Err("is stopping".to_owned()) } else { Ok(()) };
        let checks = [("cluster", cluster), ("releases", releases), ("operations", operations), ("service", service)];
        let faults: Vec<_> =
            checks.iter().filter_map(|(name, result)| result.as_ref().err().map(|fault| format!("{name}: {fault}"))).collect();
        let is_good = faults.is_empty();
        let (status, message) = if is_good { self.good } else { self.bad };
        let answer = ProbeAnswer {
            status,
            message: message.to_owned(),
            checks: checks.into_iter().map(|(name, result)| (name, result.err().unwrap_or_else(|| "ok".to_owned()))).collect(),
            details: (!is_good).then(|| ErrorDetails::of(ErrorCode::NotReady)),
        };
        Probed(if is_good { Ok(answer) } else { Err((answer, ApiError::new(ErrorCode::NotReady, faults.join("; ")))) })
    }
}

impl Responder for Probed {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        match self.0 {
            Ok(answer) => json_response(StatusCode::OK, &answer),
            Err((answer, error)) => {
                let response = error.response_head().json(answer);
                HttpResponse::from_error(InternalError::from_response(error, response))
            }
        }
    }
}

impl Apiv2Schema for Probed {}

impl OperationModifier for Probed {
    fn update_response(operation: &mut DefaultOperationRaw) {
        document_response::<ProbeAnswer>(operation, 200);
        document_response::<ProbeAnswer>(operation, 503);
    }
}
