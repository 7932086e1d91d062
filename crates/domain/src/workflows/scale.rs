//! Suspend and resume: the number of replicas is the controller's own, outside the release's manifest.

use tokio::time::Instant;

use super::await_server::{Awaited, Awake, Limit};
use super::call::{Halt, call, store};
use super::{Workflows, faults, server_of};
use crate::model::{DagState, Failure, FailureCode, Phase, ServerKey, Success, UndoOutcome};
use crate::operations::{Ending, Run};
use crate::ports::ConnectionStore;

/// Puts a server to sleep and answers when its pods are gone.
pub(super) async fn suspend(workflows: &Workflows, run: &Run, force: bool) -> Ending {
    let deadline = Instant::now() + workflows.settings.undo_timeout;
    ending(suspend_steps(workflows, run, force, deadline).await)
}

/// Wakes a server and answers when it is ready. Undoes nothing: a server that does not come up is what the caller has to see.
pub(super) async fn resume(workflows: &Workflows, run: &Run) -> Ending {
    let deadline = Instant::now() + workflows.settings.deploy_timeout;
    ending(resume_steps(workflows, run, deadline).await)
}

async fn suspend_steps(workflows: &Workflows, run: &Run, force: bool, deadline: Instant) -> Result<Success, Halt> {
    let decided_on = if force { None } else { Some(decide_on_dags(workflows, run, deadline).await?) };
    let server = find_server(workflows, run, deadline).await?;
    scale(workflows, run, &server, 0, deadline).await?;
    match decided_on {
        // Not what they are doing by now: a DAG that was unpaused since has to wake the server.
        Some(state) => workflows.note_decided(run, &server, state, deadline).await?,
        None => note_dags(workflows, run, &server, deadline).await?,
    }
    run.phase(Phase::Drain, "waiting until the pods are gone");
    workflows.await_gone(run, &run.info.key, &server, deadline).await?;
    Ok(Success::Suspended)
}

async fn resume_steps(workflows: &Workflows, run: &Run, deadline: Instant) -> Result<Success, Halt> {
    let server = find_server(workflows, run, deadline).await?;
    scale(workflows, run, &server, 1, deadline).await?;
    note_dags(workflows, run, &server, deadline).await?;
    wait_until_awake(workflows, run, &server, deadline).await.map(|()| Success::Resumed)
}

/// Waits until a server that was scaled up is ready.
async fn wait_until_awake(workflows: &Workflows, run: &Run, server: &ServerKey, deadline: Instant) -> Result<(), Halt> {
    run.phase(Phase::Ready, "waiting for the server to be ready");
    match workflows.await_ready(run, server, Awaited::Newest, deadline, Limit::Deploy).await {
        Ok(Awake::Ready) => Ok(()),
        Ok(Awake::PutToSleep) => {
            Err(Failure::new(FailureCode::PutToSleep, "somebody scaled the server to 0 again during the wait; resume it again").into())
        }
        Err(Halt::Failed(failure)) => Err(workflows.with_autopsy(run, failure.at(Phase::Ready), server).await.into()),
        Err(stop) => Err(stop),
    }
}

/// What somebody has just decided holds until the DAGs change again.
async fn note_dags(workflows: &Workflows, run: &Run, server: &ServerKey, deadline: Instant) -> Result<(), Halt> {
    let state = call(run, deadline, || workflows.ports.cluster.server(server)).await;
    let state = state.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
    let noted = state.stateful_set.as_ref().and_then(|set| set.dag_state);
    workflows.note_dags(run, server, noted, deadline).await
}

/// What the DAGs were doing when it was decided that the server may sleep. It is decided once: a DAG that is unpaused before somebody takes over
/// must not be told as the reason why a server does not sleep that does.
async fn decide_on_dags(workflows: &Workflows, run: &Run, deadline: Instant) -> Result<Option<DagState>, Halt> {
    let ledger = run.ledger();
    if ledger.suspending {
        return Ok(ledger.dag_state_before);
    }
    let Some(airflow) = &workflows.ports.connections else { return Ok(None) };
    let state = no_dag_needs_it(airflow.as_ref(), run, deadline).await?;
    run.note(|ledger| (ledger.suspending, ledger.dag_state_before) = (true, state));
    store(run, deadline).await?;
    Ok(state)
}

/// What the DAGs are doing, none without a DAG, if that lets the server sleep: an unpaused one would call it.
async fn no_dag_needs_it(store: &dyn ConnectionStore, run: &Run, deadline: Instant) -> Result<Option<DagState>, Halt> {
    let release = &run.info.key.name;
    let reading = call(run, deadline, || store.dags(release)).await.map_err(|broken| {
        broken.or_fail(|error| {
            let mut failure = faults::of_connections(&error, None);
            failure.message.push_str("; or suspend with `?force=true`, without asking Airflow");
            failure
        })
    })?;
    let active: Vec<_> = reading.dags.iter().filter(|dag| !dag.paused).map(|dag| format!("`{}`", dag.id)).collect();
    if active.is_empty() {
        return Ok(DagState::of(&reading.dags));
    }
    let message = format!("unpaused DAGs use this server: {}; pause them in Airflow, or suspend with `?force=true`", active.join(", "));
    Err(Failure::new(FailureCode::DagsActive, message).into())
}

pub(super) async fn find_server(workflows: &Workflows, run: &Run, deadline: Instant) -> Result<ServerKey, Halt> {
    let key = &run.info.key;
    let release = call(run, deadline, || workflows.ports.installer.get(key, None)).await;
    let release = release.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error)))?;
    if let Some(release) = &release {
        run.keep_secret(&release.redactor);
        // The server that runs may be that of an older revision, whose secrets its logs tell.
        let newest = release.summary.revision;
        if let Some(running) = release.summary.standing.to_go_back_to().filter(|running| *running != newest) {
            let running = call(run, deadline, || workflows.ports.installer.get(key, Some(running))).await;
            let running = running.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error)))?;
            running.iter().for_each(|release| run.keep_secret(&release.redactor));
        }
    }
    let summary = release.filter(|release| release.summary.is_present()).map(|release| std::sync::Arc::new(release.summary));
    if summary.is_none() {
        let message = format!("Deployment {} not found in namespace {}", key.name, key.namespace);
        return Err(Failure::new(FailureCode::NotFound, message).into());
    }
    Ok(server_of(key, summary.as_ref()))
}

async fn scale(workflows: &Workflows, run: &Run, server: &ServerKey, replicas: u32, deadline: Instant) -> Result<(), Halt> {
    run.phase(Phase::Scale, format!("scaling the server to {replicas}"));
    let scaled = call(run, deadline, || workflows.set_replicas(run, server, replicas)).await;
    scaled.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error).at(Phase::Scale)))
}

pub(super) fn ending(result: Result<Success, Halt>) -> Ending {
    match result {
        Ok(success) => Ending::success(success),
        Err(Halt::Stop(stop)) => Ending::Stopped(stop),
        Err(Halt::Failed(failure)) => Ending::failure(Failure { undo: UndoOutcome::LeftAsIs, ..*failure }),
    }
}
