//! Inspect: one deployment, whole. What would cost a call to the outside is read at most every few seconds and kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::list::Found;
use super::{Workflows, faults, server_of};
use crate::model::{
    ConnectionPresence, ConnectionReading, DagsReading, Deployment, Failure, Health, OperationView, ReleaseKey, ReleaseSummary, ServerKey,
    ServerPhase,
};
use crate::readiness::report;

/// How old a reading may be before it is made again.
const FRESH_FOR: Duration = Duration::from_secs(15);
/// From this number on, those that nobody has asked for lately are dropped.
const MANY_READINGS: usize = 1000;
/// How long a reading is kept then.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// How long a first reading may keep a caller waiting; later ones are made behind the answer.
const FIRST_READING: Duration = Duration::from_secs(1);

/// What was read of the outside for one release.
#[derive(Debug, Clone, Default)]
struct Reading {
    health: Option<Health>,
    presence: Option<(ConnectionPresence, Timestamp)>,
    dags: Option<DagsReading>,
    made_at: Option<Instant>,
    /// The reading that is being made.
    claim: Option<Claim>,
}

/// Tells one making of a reading from another of the same release, which was forgotten in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim(u64);

/// The last readings by release.
#[derive(Default)]
pub(crate) struct Readings {
    table: Mutex<HashMap<ReleaseKey, Reading>>,
    claims: AtomicU64,
}

impl Readings {
    fn get(&self, key: &ReleaseKey) -> Reading {
        self.lock().get(key).cloned().unwrap_or_default()
    }

    /// Claims the making of a new reading; none when the last is fresh or somebody makes one.
    fn claim(&self, key: &ReleaseKey) -> Option<Claim> {
        let mut readings = self.lock();
        if readings.len() > MANY_READINGS && !readings.contains_key(key) {
            readings.retain(|_, reading| reading.claim.is_some() || reading.made_at.is_some_and(|made| made.elapsed() < KEPT_FOR));
        }
        let reading = readings.entry(key.clone()).or_default();
        if reading.claim.is_some() || reading.made_at.is_some_and(|made| made.elapsed() < FRESH_FOR) {
            return None;
        }
        reading.claim = Some(Claim(self.claims.fetch_add(1, Ordering::Relaxed)));
        reading.claim
    }

    /// Drops what was read of releases that changed or are gone.
    pub(crate) fn forget(&self, key: &ReleaseKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ReleaseKey, Reading>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reading that is being made. The claim is given back when it is done or cut off.
struct InProgress<'a> {
    readings: &'a Readings,
    key: &'a ReleaseKey,
    claim: Claim,
}

impl InProgress<'_> {
    /// Shows something of it, unless what was known of the release has been forgotten meanwhile: then it may be out of date.
    fn show(&self, change: impl FnOnce(&mut Reading)) {
        let mut readings = self.readings.lock();
        if let Some(reading) = readings.get_mut(self.key).filter(|reading| reading.claim == Some(self.claim)) {
            change(reading);
        }
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.show(|reading| reading.claim = None);
    }
}

/// Reads one deployment, whole.
pub(crate) async fn inspect(
    workflows: &Arc<Workflows>,
    found: Found,
    operation: Option<Arc<OperationView>>,
) -> Result<Option<Deployment>, Failure> {
    let Some(release) = found.release else { return Ok(None) };
    let server = server_of(&release.key, Some(&release));
    let cluster = &workflows.ports.cluster;
    let state = cluster.server(&server).await.map_err(|error| faults::of_cluster(&error))?;
    let claims = cluster.claims(&server).await.map_err(|error| faults::of_cluster(&error))?;
    let server_report = report(&state, &workflows.settings.patience, workflows.ports.clock.now());
    refresh(workflows, &release, &server, server_report.phase).await;
    let reading = workflows.readings.get(&release.key);
    Ok(Some(Deployment {
        connection: connection(workflows, &release, &reading),
        health: reading.health.filter(|_| server_report.phase != ServerPhase::Sleeping),
        dags: reading.dags,
        server: server_report,
        claims,
        operation,
        release,
    }))
}

/// Makes a new reading when the last is old: awaited when there was none yet, behind the answer otherwise.
async fn refresh(workflows: &Arc<Workflows>, release: &Arc<ReleaseSummary>, server: &ServerKey, phase: ServerPhase) {
    let Some(claim) = workflows.readings.claim(&release.key) else { return };
    let first = workflows.readings.get(&release.key).made_at.is_none();
    let (workflows, release, server) = (Arc::clone(workflows), Arc::clone(release), server.clone());
    let reading = tokio::spawn(async move {
        let in_progress = InProgress { readings: &workflows.readings, key: &release.key, claim };
        read(&workflows, &in_progress, &release, &server, phase).await;
    });
    if first && tokio::time::timeout(FIRST_READING, reading).await.is_err() {
        tracing::debug!("the first reading of a deployment takes longer than its caller is kept waiting");
    }
}

async fn read(workflows: &Workflows, reading: &InProgress<'_>, release: &ReleaseSummary, server: &ServerKey, phase: ServerPhase) {
    // Each part is shown as soon as it is known: one may be slow.
    let health = async {
        let health = probe(workflows, server, phase).await;
        reading.show(|reading| reading.health = health);
    };
    let presence = async {
        let presence = (presence(workflows, release).await, workflows.ports.clock.now());
        reading.show(|reading| reading.presence = Some(presence));
    };
    let dags = async {
        // An old reading of the DAGs, with its age, says more than none.
        let Some(dags) = dags(workflows, release).await else { return };
        reading.show(|reading| reading.dags = Some(dags));
    };
    tokio::join!(health, presence, dags);
    reading.show(|reading| reading.made_at = Some(Instant::now()));
}

async fn probe(workflows: &Workflows, server: &ServerKey, phase: ServerPhase) -> Option<Health> {
    if matches!(phase, ServerPhase::Sleeping | ServerPhase::Missing) {
        return None;
    }
    let latency = workflows.ports.cluster.probe(server).await;
    Some(Health { reachable: latency.is_some(), latency, checked_at: workflows.ports.clock.now() })
}

async fn presence(workflows: &Workflows, release: &ReleaseSummary) -> ConnectionPresence {
    let Some(store) = &workflows.ports.connections else { return ConnectionPresence::NotConfigured };
    let Some(id) = release.deployment.as_ref().and_then(|facts| facts.connection_id.as_ref()) else { return ConnectionPresence::Missing };
    match store.get(id).await {
        Ok(Some(found)) if found.owner.as_ref() == Some(&release.key) => ConnectionPresence::Registered,
        Ok(Some(_)) => ConnectionPresence::Foreign,
        Ok(None) => ConnectionPresence::Missing,
        Err(error) => {
            tracing::debug!(release.name = %release.key.name, %error, "the connection of a deployment cannot be read");
            ConnectionPresence::Unknown
        }
    }
}

async fn dags(workflows: &Workflows, release: &ReleaseSummary) -> Option<DagsReading> {
    let reading = workflows.recent_dags(FRESH_FOR).await?;
    Some(DagsReading { dags: reading.dags.get(&release.key.name).cloned().unwrap_or_default(), read_at: reading.read_at })
}

fn connection(workflows: &Workflows, release: &ReleaseSummary, reading: &Reading) -> Option<ConnectionReading> {
    let facts = release.deployment.as_ref()?;
    let id = facts.connection_id.clone()?;
    let (presence, checked_at) = match (&workflows.ports.connections, reading.presence) {
        (None, _) => (ConnectionPresence::NotConfigured, None),
        (Some(_), Some((presence, at))) => (presence, Some(at)),
        (Some(_), None) => (ConnectionPresence::Unknown, None),
    };
    Some(ConnectionReading { id, url: facts.url.clone(), presence, checked_at })
}
