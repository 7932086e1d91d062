//! Waiting for a server: until it is ready, hopeless or asleep, and until its pods are gone. Watched, not polled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::call::{Halt, call};
use super::{Workflows, faults};
use crate::model::{Failure, FailureCode, Phase, ServerKey, ServerState};
use crate::operations::Run;
use crate::readiness::{Verdict, Waiting, judge, refused};

/// How a wait ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awake {
    /// It serves.
    Ready,
    /// Somebody scaled it to 0 during the wait.
    PutToSleep,
}

impl Workflows {
    /// Waits until the server is ready. A broken pod of an older revision is deleted on the way.
    pub(super) async fn await_ready(&self, run: &Run, server: &ServerKey, deadline: Instant) -> Result<Awake, Halt> {
        loop {
            let mut states = call(run, deadline, || self.ports.cluster.watch(server))
                .await
                .map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
            loop {
                let state = Arc::clone(&states.borrow_and_update());
                let waiting = match judge(&state, &self.settings.patience, self.ports.clock.now()) {
                    Verdict::Ready => return Ok(Awake::Ready),
                    // Every caller has seen to it that the server is awake, and a write is followed by a watch that shows it.
                    Verdict::Asleep => return Ok(Awake::PutToSleep),
                    Verdict::Hopeless { code, message } => return Err(Failure::new(code, message).into()),
                    Verdict::Waiting(waiting) => waiting,
                };
                run.progress(waiting.message.clone());
                self.help_along(run, server, &waiting, deadline).await?;
                if !self.next_state(run, &mut states, waiting.look_again_in, deadline).await? {
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(not_ready_in_time(&waiting).into());
                }
            }
        }
    }

    /// Waits until no pod of the server is left.
    pub(super) async fn await_gone(&self, run: &Run, server: &ServerKey, deadline: Instant) -> Result<(), Halt> {
        loop {
            let mut states = call(run, deadline, || self.ports.cluster.watch(server))
                .await
                .map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
            loop {
                let state = Arc::clone(&states.borrow_and_update());
                let pods: Vec<_> = state.pods.iter().map(|pod| pod.name.clone()).collect();
                // A StatefulSet whose scaling down was not seen yet may still make a pod.
                let settled = state.stateful_set.as_ref().is_none_or(|set| set.replicas == 0 && set.observed_generation >= set.generation);
                if pods.is_empty() && settled {
                    return Ok(());
                }
                run.progress(format!("waiting for pods to end: {}", pods.join(", ")));
                if !self.next_state(run, &mut states, None, deadline).await? {
                    break;
                }
                if Instant::now() >= deadline {
                    let message =
                        format!("pods do not end: {}; delete them by hand if their node is gone, then try again", pods.join(", "));
                    return Err(Failure::new(FailureCode::PodsNotGone, message).into());
                }
            }
        }
    }

    /// Waits for the next state, a moment at which time alone may change the verdict, or the deadline. False: the watch broke.
    async fn next_state(
        &self,
        run: &Run,
        states: &mut watch::Receiver<Arc<ServerState>>,
        look_again_in: Option<Duration>,
        deadline: Instant,
    ) -> Result<bool, Halt> {
        let look_again = look_again_in.map_or(deadline, |pause| deadline.min(Instant::now() + pause));
        tokio::select! {
            change = states.changed() => {
                if change.is_err() {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                Ok(change.is_ok())
            }
            () = tokio::time::sleep_until(look_again) => Ok(true),
            stop = run.stopped() => Err(stop.into()),
        }
    }

    /// Does what a verdict asks for beyond waiting.
    async fn help_along(&self, run: &Run, server: &ServerKey, waiting: &Waiting, deadline: Instant) -> Result<(), Halt> {
        if waiting.delete_broken_pods {
            let deleted = call(run, deadline, || self.ports.cluster.delete_broken_pods(server, &run.fence)).await;
            let deleted = deleted.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
            if !deleted.is_empty() {
                run.progress(format!("deleted pods that would not have been replaced: {}", deleted.join(", ")));
            }
        }
        if waiting.ask_why_no_pod {
            match call(run, deadline, || self.ports.cluster.why_no_pod(server)).await {
                Ok(Some(refusal)) => {
                    if let Verdict::Hopeless { code, message } = refused(refusal.by_quota, &refusal.message) {
                        return Err(Failure::new(code, message).into());
                    }
                }
                Ok(None) => {}
                Err(super::call::Broken::Stop(stop)) => return Err(stop.into()),
                // The reason is a help, not a condition: when it cannot be asked for, the wait goes on.
                Err(super::call::Broken::Error(error)) => run.progress(format!("no pod yet; cannot ask why: {error}")),
            }
        }
        Ok(())
    }

    /// The failure with what the server looks like now, before an undo removes it.
    pub(super) async fn with_autopsy(&self, mut failure: Failure, server: &ServerKey) -> Failure {
        let autopsy = tokio::time::timeout(Duration::from_secs(20), self.ports.cluster.autopsy(server)).await;
        failure.autopsy = autopsy.ok().map(Box::new);
        failure
    }
}

fn not_ready_in_time(waiting: &Waiting) -> Failure {
    Failure::new(
        FailureCode::DeployTimeout,
        format!(
            "the server was not ready in time, last: {}; see the autopsy, and raise `DEPLOY_TIMEOUT` if it only needs longer",
            waiting.message
        ),
    )
    .at(Phase::Ready)
}
