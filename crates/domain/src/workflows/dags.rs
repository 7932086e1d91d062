//! Sleeping by DAG: a server sleeps while all DAGs of its release are paused, and wakes when one is not.
//!
//! It acts on changes only. What the DAGs were doing when one of us last looked is noted on the StatefulSet; when they do something
//! else now, the server follows. Without a note the state is only noted: new DAGs start paused, and must not put a fresh server to
//! sleep. Whoever decides otherwise (suspend, resume, deploy) notes the present state too, so that the decision holds until the DAGs
//! change again. A release without DAGs is left alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::call::{Broken, Halt, call};
use super::list::is_deployment;
use super::scale::{ending, find_server};
use super::{Workflows, faults, server_of};
use crate::model::{AllDagsReading, DagState, Failure, Phase, ReleaseKey, ServerKey, Success};
use crate::operations::{Ending, Run, Stop};

/// Puts a server to sleep or wakes it, if its DAGs changed since somebody looked. It does not wait for the server: nobody waits for this, and
/// a POST that mends a server which does not come up must not have to.
pub(super) async fn follow(workflows: &Workflows, run: &Run) -> Ending {
    let deadline = Instant::now() + workflows.settings.deploy_timeout;
    ending(follow_steps(workflows, run, deadline).await.map(|state| Success::FollowedDags { state }))
}

/// What the DAGs are doing that the server had to follow; none when it is as they need it.
async fn follow_steps(workflows: &Workflows, run: &Run, deadline: Instant) -> Result<Option<DagState>, Halt> {
    let server = find_server(workflows, run, deadline).await?;
    let Some(store) = &workflows.ports.connections else { return Ok(None) };
    let release = &run.info.key.name;
    let reading = call(run, deadline, || store.dags(release)).await;
    let reading = reading.map_err(|broken| broken.or_fail(|error| faults::of_connections(&error, None)))?;
    let state = call(run, deadline, || workflows.ports.cluster.server(&server)).await;
    let state = state.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
    // Somebody else's has nothing to do with them.
    let own = state.stateful_set.as_ref().filter(|_| !state.is_somebody_elses(&run.info.key));
    let (Some(now), Some(set)) = (DagState::of(&reading.dags), own) else { return Ok(None) };
    let Some(noted) = set.dag_state else {
        set_dag_state(workflows, run, &server, Some(now), deadline).await?;
        return Ok(None);
    };
    let replicas = match now {
        _ if now == noted => return Ok(None),
        DagState::AllPaused if set.replicas > 0 => 0,
        DagState::SomeActive if set.replicas == 0 => 1,
        DagState::AllPaused | DagState::SomeActive => {
            set_dag_state(workflows, run, &server, Some(now), deadline).await?;
            return Ok(None);
        }
    };
    run.phase(Phase::Scale, format!("scaling the server to {replicas}"));
    let followed = call(run, deadline, || workflows.follow_dags(run, &server, replicas, now)).await;
    followed.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error).at(Phase::Scale)))?;
    Ok(Some(now))
}

async fn set_dag_state(
    workflows: &Workflows,
    run: &Run,
    server: &ServerKey,
    state: Option<DagState>,
    deadline: Instant,
) -> Result<(), Halt> {
    let set = call(run, deadline, || workflows.set_dag_state(run, server, state)).await;
    set.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))
}

/// The last reading of all DAGs, and when it was tried: however many deployments are looked at, Airflow is asked once in a while.
#[derive(Default)]
pub(super) struct RecentDags(tokio::sync::Mutex<Option<Tried>>);

struct Tried {
    at: Instant,
    reading: Option<Arc<AllDagsReading>>,
}

impl Workflows {
    /// The DAGs of all releases, as they were read not longer ago than this; none when they could not be.
    pub(super) async fn recent_dags(&self, fresh_for: Duration) -> Option<Arc<AllDagsReading>> {
        let store = self.ports.connections.as_ref()?;
        // Whoever comes while they are read waits for that reading.
        let mut tried = self.recent_dags.0.lock().await;
        match &*tried {
            Some(tried) if tried.at.elapsed() < fresh_for => tried.reading.clone(),
            _ => {
                let reading = match store.all_dags().await {
                    Ok(reading) => Some(Arc::new(reading)),
                    Err(error) => {
                        tracing::debug!(%error, "the DAGs cannot be read");
                        None
                    }
                };
                // It is as old as its end: a slow one must not be made again by everybody who waited for it.
                *tried = Some(Tried { at: Instant::now(), reading: reading.clone() });
                reading
            }
        }
    }

    /// The releases whose DAGs are doing something else than what is noted on their servers, or of which nothing is noted yet.
    ///
    /// # Errors
    /// `airflow_unavailable`, `airflow_refused`; `cluster_unavailable` when the releases are not known.
    pub(crate) async fn with_changed_dags(&self) -> Result<Vec<ReleaseKey>, Failure> {
        let Some(store) = &self.ports.connections else { return Ok(Vec::new()) };
        let reading = store.all_dags().await.map_err(|error| faults::of_connections(&error, None))?;
        let mut changed = Vec::new();
        for release in self.releases().await?.into_iter().filter(|release| is_deployment(release)) {
            let Some(now) = reading.dags.get(&release.key.name).and_then(|dags| DagState::of(dags)) else { continue };
            let server = match self.ports.cluster.server(&server_of(&release.key, Some(&release))).await {
                Ok(server) => server,
                Err(error) => {
                    // A namespace that may not be read keeps no other server awake.
                    tracing::warn!(release.name = %release.key.name, %error, "the server does not follow its DAGs now");
                    continue;
                }
            };
            let is_changed = server.stateful_set.as_ref().is_some_and(|set| set.dag_state != Some(now));
            if is_changed && !server.is_somebody_elses(&release.key) {
                changed.push(release.key.clone());
            }
        }
        Ok(changed)
    }

    /// Notes what the DAGs of the operation's release are doing now, so that the server is not made to follow them to where they are
    /// already. Where servers do not sleep by DAG, the note becomes `before` again, should the StatefulSet have been made anew.
    pub(super) async fn note_dags(&self, run: &Run, server: &ServerKey, before: Option<DagState>, deadline: Instant) -> Result<(), Halt> {
        let wanted = match &self.ports.connections {
            Some(store) if self.settings.sleep_with_dags => match call(run, deadline, || store.dags(&run.info.key.name)).await {
                Ok(reading) => DagState::of(&reading.dags),
                Err(Broken::Stop(stop)) => return Err(stop.into()),
                Err(Broken::Error(error)) => {
                    run.progress(format!("what the DAGs are doing cannot be read now: {error}"));
                    None
                }
            },
            _ => before,
        };
        self.note(run, server, wanted, deadline).await
    }

    /// The same with what was decided on.
    pub(super) async fn note_decided(&self, run: &Run, server: &ServerKey, state: Option<DagState>, deadline: Instant) -> Result<(), Halt> {
        if !self.settings.sleep_with_dags {
            return Ok(());
        }
        self.note(run, server, state, deadline).await
    }

    /// A note that cannot be written fails nothing: without it, or with an old one, the next look sees to it.
    async fn note(&self, run: &Run, server: &ServerKey, wanted: Option<DagState>, deadline: Instant) -> Result<(), Halt> {
        let noted = match call(run, deadline, || self.ports.cluster.server(server)).await {
            Ok(state) => match &state.stateful_set {
                Some(set) if set.dag_state != wanted && !state.is_somebody_elses(&run.info.key) => {
                    call(run, deadline, || self.set_dag_state(run, server, wanted)).await
                }
                _ => Ok(()),
            },
            Err(broken) => Err(broken),
        };
        match noted {
            Ok(()) => Ok(()),
            Err(Broken::Stop(stop)) => Err(stop.into()),
            Err(Broken::Error(error)) => {
                run.progress(format!("what the DAGs are doing cannot be noted on the server: {error}"));
                Ok(())
            }
        }
    }

    /// In an undo: makes the note what it was before.
    pub(super) async fn renote_dags(&self, run: &Run, server: &ServerKey, before: Option<DagState>, deadline: Instant) -> Result<(), Stop> {
        match self.note(run, server, before, deadline).await {
            Err(Halt::Stop(stop)) => Err(stop),
            Ok(()) | Err(Halt::Failed(_)) => Ok(()),
        }
    }
}
