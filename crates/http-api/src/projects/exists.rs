//! `GET /api/v1/projects/{name}/exists`.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{Either, HttpRequest, HttpResponse, Responder};
use dbt_controller_domain::model::{FailureCode, ReleaseStatus};
use paperclip::actix::{OperationModifier, api_v2_operation, web};
use paperclip::v2::models::DefaultOperationRaw;
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::{document_response, json_response};
use crate::app::ApiState;
use crate::error::{ApiError, ErrorDetails, ErrorWord};
use crate::extract::{NamePath, TargetQuery, target};
use crate::words::Word;

/// A release that is there.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExistingProject {
    /// Always true.
    exists: bool,
    /// The Helm release.
    name: String,
    /// Helm's status of the newest revision.
    status: Word<ReleaseStatus>,
    /// The kinds of its objects.
    dependencies: Vec<String>,
}

/// A release that is not there.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MissingProject {
    /// Always false.
    exists: bool,
    /// The name that was asked for.
    name: String,
    /// Always `error`.
    status: ErrorWord,
    /// What is missing in a sentence.
    message: String,
    /// The same for programs.
    details: ErrorDetails,
}

/// Whether it is there.
pub(crate) struct Existence(Either<ExistingProject, (MissingProject, ApiError)>);

/// Tell whether a project exists
///
/// 404 with `exists: false` when it does not.
#[api_v2_operation(tags(Projects), operation_id = "projectExists")]
pub(crate) async fn project_exists(
    state: Data<ApiState>,
    path: web::Path<NamePath>,
    query: web::Query<TargetQuery>,
) -> Result<Existence, ApiError> {
    let target = target(path.into_inner(), &query)?;
    match state.controller.find(&target).await {
        Ok(release) => Ok(Existence(Either::Left(ExistingProject {
            exists: true,
            name: release.key.name.to_string(),
            status: Word(release.status),
            dependencies: release.kinds.clone(),
        }))),
        Err(failure) => {
            let is_missing = failure.code == FailureCode::NotFound;
            let error = ApiError::about(&target, state.controller.settings().home(), failure);
            if is_missing { Ok(Existence(Either::Right(missing(target.name, error)))) } else { Err(error) }
        }
    }
}

fn missing(name: String, error: ApiError) -> (MissingProject, ApiError) {
    let body = error.body();
    (MissingProject { exists: false, name, status: body.status, message: body.message, details: body.details }, error)
}

impl Responder for Existence {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        match self.0 {
            Either::Left(project) => json_response(StatusCode::OK, &project),
            Either::Right((missing, error)) => error.response_head().json(missing),
        }
    }
}

impl Apiv2Schema for Existence {}

impl OperationModifier for Existence {
    fn update_response(operation: &mut DefaultOperationRaw) {
        document_response::<ExistingProject>(operation, 200);
        document_response::<MissingProject>(operation, 404);
    }
}
