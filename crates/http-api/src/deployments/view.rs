//! A deployment, whole, on the wire.

use dbt_controller_domain::model::{
    Claim, ConnectionPresence, ConnectionReading, Dag, Deployment, DeploymentFacts, Health, ReleaseStatus, ServerPhase, ServerReport,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::operations::OperationAnswer;
use crate::words::{Moment, Word};

/// A deployment, whole.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Deployment")]
pub(crate) struct DeploymentAnswer {
    /// The Helm release.
    name: String,
    /// The project; null for an adopted release that does not tell.
    project_name: Option<String>,
    /// The branch; null when there is none.
    git_branch: Option<String>,
    /// The namespace of the release.
    namespace: String,
    /// Helm's status of the newest revision.
    status: Word<ReleaseStatus>,
    /// Name and version of the chart.
    chart: String,
    /// The chart's application version.
    version: String,
    /// The newest revision.
    revision: u32,
    /// When the first revision was made.
    created_at: Moment,
    /// When the newest revision was made.
    last_deployed: Moment,
    /// Host name of the server, without scheme.
    host: Option<String>,
    /// The server's image.
    image: Option<String>,
    /// The server.
    server: ServerAnswer,
    /// Its last health probe; null until probed.
    health: Option<HealthAnswer>,
    /// Its volume claims.
    claims: Vec<ClaimAnswer>,
    /// Its Airflow connection; null when it has none.
    airflow_connection: Option<ConnectionAnswer>,
    /// The DAGs that use it; null when they could not be read.
    dags: Option<Vec<DagAnswer>>,
    /// When the DAGs were read.
    dags_read_at: Option<Moment>,
    /// How long ago that was.
    dags_age_seconds: Option<u64>,
    /// What runs or waits for it now.
    operation: Option<OperationAnswer>,
}

/// A server.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Server")]
struct ServerAnswer {
    /// In one word: `sleeping` is scaled to 0, `missing` has no StatefulSet.
    phase: Word<ServerPhase>,
    /// Wanted replicas.
    replicas: u32,
    /// Restarts of all containers.
    restarts: u32,
    /// Kubernetes' word for what is wrong.
    reason: Option<String>,
    /// A sentence about it.
    message: Option<String>,
    /// Since when, as far as it is known.
    since: Option<Moment>,
}

/// The outcome of a health probe.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Health")]
struct HealthAnswer {
    /// Whether the server answered.
    reachable: bool,
    /// How long the answer took, in milliseconds.
    latency_ms: Option<u64>,
    /// When it was asked.
    checked_at: Moment,
}

/// A volume claim.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Claim")]
struct ClaimAnswer {
    /// Its name.
    name: String,
    /// Its requested size.
    size: Option<String>,
    /// `Bound`, `Pending` or `Lost`.
    phase: String,
}

/// An Airflow connection.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AirflowConnection")]
struct ConnectionAnswer {
    /// Its id.
    id: String,
    /// The URL that tasks call.
    host: String,
    /// Whether it is there.
    status: Word<ConnectionPresence>,
    /// When Airflow was asked.
    checked_at: Option<Moment>,
}

/// An Airflow DAG.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Dag")]
struct DagAnswer {
    /// Its id.
    id: String,
    /// Whether it is paused.
    paused: bool,
}

impl DeploymentAnswer {
    /// The answer at this moment.
    pub(crate) fn of(deployment: &Deployment, now: Timestamp) -> Self {
        let Deployment { release, server, health, claims, connection, dags, operation } = deployment;
        let identity = release.identity();
        let fact = |read: fn(&DeploymentFacts) -> &String| release.deployment.as_ref().map(read).cloned();
        Self {
            name: release.key.name.to_string(),
            project_name: identity.map(|identity| identity.project().to_string()),
            git_branch: identity.and_then(|identity| identity.branch()).map(ToString::to_string),
            namespace: release.key.namespace.to_string(),
            status: Word(release.status),
            chart: release.chart.clone(),
            version: release.app_version.clone(),
            revision: release.revision.0,
            created_at: Moment(release.first_deployed),
            last_deployed: Moment(release.last_deployed),
            host: fact(|facts| &facts.host),
            image: fact(|facts| &facts.image),
            server: server.into(),
            health: health.as_ref().map(HealthAnswer::from),
            claims: claims.iter().map(ClaimAnswer::from).collect(),
            airflow_connection: connection.as_ref().map(ConnectionAnswer::from),
            dags: dags.as_ref().map(|reading| reading.dags.iter().map(DagAnswer::from).collect()),
            dags_read_at: dags.as_ref().map(|reading| Moment(reading.read_at)),
            dags_age_seconds: dags.as_ref().map(|reading| seconds_between(reading.read_at, now)),
            operation: operation.as_ref().map(|view| OperationAnswer::from(&**view)),
        }
    }
}

/// Whole seconds; none below zero, should the clocks of two replicas differ.
fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or_default()
}

impl From<&ServerReport> for ServerAnswer {
    fn from(report: &ServerReport) -> Self {
        let ServerReport { phase, replicas, restarts, reason, message, since } = report.clone();
        Self { phase: Word(phase), replicas, restarts, reason, message, since: since.map(Moment) }
    }
}

impl From<&Health> for HealthAnswer {
    fn from(health: &Health) -> Self {
        let Health { reachable, latency, checked_at } = health;
        let latency_ms = latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
        Self { reachable: *reachable, latency_ms, checked_at: Moment(*checked_at) }
    }
}

impl From<&Claim> for ClaimAnswer {
    fn from(claim: &Claim) -> Self {
        let Claim { name, identity: _, size, phase, terminating: _ } = claim;
        Self { name: name.clone(), size: size.as_ref().map(ToString::to_string), phase: phase.clone() }
    }
}

impl From<&ConnectionReading> for ConnectionAnswer {
    fn from(reading: &ConnectionReading) -> Self {
        let ConnectionReading { id, url, presence, checked_at } = reading;
        Self { id: id.to_string(), host: url.clone(), status: Word(*presence), checked_at: checked_at.map(Moment) }
    }
}

impl From<&Dag> for DagAnswer {
    fn from(dag: &Dag) -> Self {
        let Dag { id, paused } = dag;
        Self { id: id.clone(), paused: *paused }
    }
}
