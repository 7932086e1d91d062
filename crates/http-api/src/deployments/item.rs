//! A deployment as lists show it.

use std::borrow::Cow;
use std::sync::Arc;

use dbt_controller_domain::model::{ReleaseStatus, ReleaseSummary};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use crate::words::{Moment, Word};

/// The deployments, by namespace and name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeploymentList(pub(crate) Vec<DeploymentItem>);

/// A deployment of a list. It is written straight from the cache's summary: no text is copied.
#[derive(Debug)]
pub(crate) struct DeploymentItem(pub(crate) Arc<ReleaseSummary>);

/// A deployment in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeploymentItem")]
pub(crate) struct ItemView<'a> {
    /// The Helm release.
    name: &'a str,
    /// The project; null for an adopted release that does not tell.
    project_name: Option<&'a str>,
    /// The namespace of the release.
    namespace: &'a str,
    /// Helm's status of the newest revision.
    status: Word<ReleaseStatus>,
    /// Name and version of the chart.
    chart: &'a str,
    /// The chart's application version.
    version: &'a str,
    /// When the newest revision was made.
    last_deployed: Moment,
}

impl<'a> From<&'a ReleaseSummary> for ItemView<'a> {
    fn from(release: &'a ReleaseSummary) -> Self {
        Self {
            name: release.key.name.as_str(),
            project_name: release.identity().map(|identity| identity.project().as_str()),
            namespace: release.key.namespace.as_str(),
            status: Word(release.status),
            chart: &release.chart,
            version: &release.app_version,
            last_deployed: Moment(release.last_deployed),
        }
    }
}

impl Serialize for DeploymentItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ItemView::from(&*self.0).serialize(serializer)
    }
}

impl JsonSchema for DeploymentItem {
    fn schema_name() -> Cow<'static, str> {
        ItemView::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        ItemView::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ItemView::json_schema(generator)
    }
}
