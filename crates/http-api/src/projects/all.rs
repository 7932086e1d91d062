//! `GET /api/v1/projects/all`.

use actix_web::web::Data;
use dbt_controller_domain::model::{ReleaseStatus, ReleaseSummary};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::Answer;
use crate::app::ApiState;
use crate::error::ApiError;
use crate::words::{Moment, Word};

/// Helm releases, by namespace and name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReleaseList(Vec<ReleaseItem>);

/// A Helm release.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Release")]
pub(super) struct ReleaseItem {
    /// The Helm release.
    name: String,
    /// Its namespace.
    namespace: String,
    /// Helm's status of the newest revision.
    status: Word<ReleaseStatus>,
    /// Name and version of the chart.
    chart: String,
    /// The chart's application version.
    version: String,
    /// When the newest revision was made.
    last_deployed: Moment,
    /// The kinds of its objects.
    dependencies: Vec<String>,
    /// Whether it is a deployment, which this service can delete.
    can_delete: bool,
}

/// List Helm releases
///
/// Every Helm release in the namespaces that the service may read, deployments and others.
#[api_v2_operation(tags(Projects), operation_id = "listReleases")]
pub(crate) async fn list_releases(state: Data<ApiState>) -> Result<Answer<ReleaseList>, ApiError> {
    let releases = state.controller.releases().await?;
    Ok(Answer::new(ReleaseList(releases.iter().map(|release| ReleaseItem::from(&**release)).collect())))
}

impl From<&ReleaseSummary> for ReleaseItem {
    fn from(release: &ReleaseSummary) -> Self {
        Self {
            name: release.key.name.to_string(),
            namespace: release.key.namespace.to_string(),
            status: Word(release.status),
            chart: release.chart.clone(),
            version: release.app_version.clone(),
            last_deployed: Moment(release.last_deployed),
            dependencies: release.kinds.clone(),
            can_delete: release.deployment.is_some(),
        }
    }
}
