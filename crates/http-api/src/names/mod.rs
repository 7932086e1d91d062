//! `GET /api/v1/names`: what a deployment is or would be called.

use actix_web::web::Data;
use dbt_controller_domain::model::{NameCandidate, NamesReport};
use dbt_controller_domain::{GitBranch, Identity, ProjectName};
use paperclip::actix::{Apiv2Schema, api_v2_operation, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::app::ApiState;
use crate::error::ApiError;
use crate::extract::Problems;

/// Whose names to tell.
#[derive(Debug, Deserialize, Apiv2Schema, JsonSchema)]
pub(crate) struct NamesQuery {
    /// The dbt project.
    #[schemars(required, length(min = 1, max = 63), regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    project_name: Option<String>,
    /// The git branch; empty or left out: none.
    #[schemars(length(max = 255), regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    git_branch: Option<String>,
}

/// The names of a project and branch.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Names")]
pub(crate) struct NamesAnswer {
    /// The dbt project.
    project_name: String,
    /// The git branch; null when there is none.
    git_branch: Option<String>,
    /// The release name it has or would get; null when all are taken.
    release_name: Option<String>,
    /// The Airflow connection id it has or would get, as far as releases tell; null when all are taken.
    connection_id: Option<String>,
    /// Its deployment, if it has one.
    deployed: Option<DeployedAnswer>,
    /// Every release name it can have, in order of preference.
    candidates: Vec<CandidateAnswer>,
}

/// Where an identity is deployed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NamesDeployed")]
struct DeployedAnswer {
    /// The Helm release.
    release_name: String,
    /// Its namespace.
    namespace: String,
}

/// A release name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NamesCandidate")]
struct CandidateAnswer {
    /// The name.
    release_name: String,
    /// Who holds it now; null when it is free or the identity's own.
    held_by: Option<String>,
}

/// Tell the names of a project and branch
///
/// What its deployment is called, or would be called if it were made now, and who holds the names that it cannot have. Changes nothing.
#[api_v2_operation(tags(Names), operation_id = "getNames")]
pub(crate) async fn get_names(state: Data<ApiState>, query: web::Query<NamesQuery>) -> Result<Answer<NamesAnswer>, ApiError> {
    let report = state.controller.names(&query.parse()?).await?;
    Ok(Answer::new(report.into()))
}

impl NamesQuery {
    fn parse(&self) -> Result<Identity, ApiError> {
        let mut problems = Problems::default();
        let given = self.project_name.as_deref().ok_or_else(|| "is required".to_owned());
        let project = problems.note("project_name", given);
        let project = problems.parse::<ProjectName>("project_name", project);
        let branch = problems.parse::<GitBranch>("git_branch", self.git_branch.as_deref().filter(|branch| !branch.is_empty()));
        let identity = project.map(|project| Identity::new(project, branch));
        problems.finish(identity)?.ok_or_else(|| ApiError::invalid_parameter("project_name", "is required"))
    }
}

impl From<NamesReport> for NamesAnswer {
    fn from(report: NamesReport) -> Self {
        let NamesReport { identity, deployed, release_name, connection_id, candidates } = report;
        Self {
            project_name: identity.project().to_string(),
            git_branch: identity.branch().map(ToString::to_string),
            release_name: release_name.map(|name| name.to_string()),
            connection_id: connection_id.map(|id| id.to_string()),
            deployed: deployed.map(|key| DeployedAnswer { release_name: key.name.to_string(), namespace: key.namespace.to_string() }),
            candidates: candidates.into_iter().map(CandidateAnswer::from).collect(),
        }
    }
}

impl From<NameCandidate> for CandidateAnswer {
    fn from(candidate: NameCandidate) -> Self {
        let NameCandidate { release_name, held_by } = candidate;
        Self { release_name: release_name.to_string(), held_by }
    }
}
