//! Waiting for a server: until it is ready, hopeless or asleep, and until its pods are gone. Watched, not polled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::call::{Halt, call};
use super::ownership::foreign;
use super::{Workflows, faults};
use crate::model::{
    Failure, FailureCode, Phase, ReleaseKey, ReleaseStatus, ReleaseSummary, RevisionHandle, RevisionNumber, ServerKey, ServerState,
};
use crate::operations::Run;
use crate::ports::InstallerError;
use crate::readiness::{Verdict, Waiting, judge, refused};

/// How a wait ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awake {
    /// It serves.
    Ready,
    /// Somebody scaled it to 0 during the wait.
    PutToSleep,
}

/// Whose server is waited for or made anew. Helm's rollback and uninstall go through beside an operation of ours; then the server of that
/// revision will never come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Awaited<'a> {
    /// That of a revision which this operation writes.
    Own(&'a RevisionHandle),
    /// That of the revision in force.
    InForce(RevisionNumber),
    /// That of whatever revision the release has.
    Newest,
}

/// Which setting a wait takes its time from, for who has to give it more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    Deploy,
    Undo,
}

impl Limit {
    fn setting(self) -> &'static str {
        match self {
            Self::Deploy => "DEPLOY_TIMEOUT",
            Self::Undo => "UNDO_TIMEOUT",
        }
    }
}

/// How often the release is looked at during a wait, in memory; a change of the server is an occasion too.
const LOOK_AT_RELEASE: Duration = Duration::from_secs(1);

impl Awaited<'_> {
    /// What happened to the release, when it was something that makes the wait pointless.
    fn overtaken(self, release: Option<&ReleaseSummary>) -> Option<String> {
        let Some(release) = release.filter(|release| release.is_present() && release.status != ReleaseStatus::Uninstalling) else {
            return Some("it was uninstalled meanwhile".to_owned());
        };
        let (awaited, operation) = match self {
            Self::Newest => return None,
            Self::InForce(revision) => (revision, None),
            Self::Own(handle) => (handle.revision, Some(&handle.operation)),
        };
        let (newest, status) = (release.revision, release.status);
        // A record that cannot be read does not say who wrote it; the commit will.
        let is_known = release.unreadable.is_none();
        let writer = release.deployment.as_ref().and_then(|facts| facts.operation.as_ref());
        if newest != awaited {
            return Some(format!("its newest revision is {newest} ({status}), not revision {awaited}"));
        }
        if is_known && operation.is_some() && writer != operation {
            return Some(format!("revision {awaited} was written by somebody else"));
        }
        let is_open = status == ReleaseStatus::Deployed || (operation.is_some() && status.is_pending());
        (!is_open).then(|| format!("revision {awaited} is {status}"))
    }
}

/// The failure of an operation whose release, as it is now, somebody else has taken further.
pub(super) fn overtaken(awaited: Awaited<'_>, release: Option<&ReleaseSummary>) -> Option<Failure> {
    awaited.overtaken(release).map(|what| faults::of_installer(&InstallerError::Changed(what)))
}

impl Workflows {
    /// Waits until the server is ready. A broken pod of an older revision is deleted on the way.
    pub(super) async fn await_ready(
        &self,
        run: &Run,
        server: &ServerKey,
        awaited: Awaited<'_>,
        deadline: Instant,
        limit: Limit,
    ) -> Result<Awake, Halt> {
        // A StatefulSet may be old and its pod only just deleted, with the quota that it used.
        let mut without_pod = None;
        loop {
            let mut states = call(run, deadline, || self.ports.cluster.watch(server))
                .await
                .map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
            loop {
                let state = Arc::clone(&states.borrow_and_update());
                if let Some(foreign) = foreign(&run.info.key, server, &state) {
                    let overtaken = self.look_at_release(run, awaited).await;
                    return Err(overtaken.unwrap_or_else(|| faults::of_cluster(&foreign)).into());
                }
                let now = self.ports.clock.now();
                without_pod = state.pods.is_empty().then(|| without_pod.unwrap_or(now));
                let mut waiting = match judge(&state, without_pod, &self.settings.patience, now) {
                    Verdict::Ready => return Ok(Awake::Ready),
                    // Every caller has seen to it that the server is awake, and a write is followed by a watch that shows it.
                    Verdict::Asleep => return Ok(Awake::PutToSleep),
                    Verdict::Hopeless { code, message } => {
                        // Of another revision's server it says nothing about ours.
                        let overtaken = self.look_at_release(run, awaited).await;
                        return Err(overtaken.unwrap_or_else(|| Failure::new(code, message)).into());
                    }
                    Verdict::Waiting(waiting) => waiting,
                };
                run.progress(waiting.message.clone());
                if let Some(unknown) = self.help_along(run, server, &waiting, deadline).await? {
                    waiting.message = format!("{}; why cannot be asked: {unknown}", waiting.message);
                    run.progress(waiting.message.clone());
                }
                let stands = tokio::select! {
                    stands = self.next_state(run, &mut states, waiting.look_again_in, deadline) => stands?,
                    overtaken = self.overtaken(run, awaited) => return Err(overtaken.into()),
                };
                if !stands {
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(not_ready_in_time(&waiting, limit).into());
                }
            }
        }
    }

    /// Waits until no pod of the release's server is left, and ends those that a StatefulSet made anew had left. A StatefulSet of that name which is
    /// not the release's is left alone, with its pods.
    pub(super) async fn await_gone(&self, run: &Run, release: &ReleaseKey, server: &ServerKey, deadline: Instant) -> Result<(), Halt> {
        loop {
            let mut states = call(run, deadline, || self.ports.cluster.watch(server))
                .await
                .map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
            loop {
                let state = Arc::clone(&states.borrow_and_update());
                if state.is_somebody_elses(release) {
                    return Ok(());
                }
                let pods: Vec<_> = state.pods.iter().map(|pod| pod.name.clone()).collect();
                // A StatefulSet whose scaling down was not seen yet may still make a pod.
                let settled = state.stateful_set.as_ref().is_none_or(|set| set.replicas == 0 && set.observed_generation >= set.generation);
                if pods.is_empty() && settled {
                    return Ok(());
                }
                if state.stateful_set.is_none() {
                    let orphans = call(run, deadline, || self.ports.cluster.delete_orphans(server, &run.fence)).await;
                    orphans.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
                }
                run.progress(match pods.as_slice() {
                    [] => format!("waiting for StatefulSet `{}` to go or to make no more pods", server.name),
                    pods => format!("waiting for pods to end: {}", pods.join(", ")),
                });
                if !self.next_state(run, &mut states, None, deadline).await? {
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(Failure::new(FailureCode::PodsNotGone, not_gone(server, &pods)).into());
                }
            }
        }
    }

    /// Resolves when the release is no longer as it has to be for the wait to make sense.
    async fn overtaken(&self, run: &Run, awaited: Awaited<'_>) -> Failure {
        loop {
            if let Some(failure) = self.look_at_release(run, awaited).await {
                return failure;
            }
            tokio::time::sleep(LOOK_AT_RELEASE).await;
        }
    }

    /// What happened to the release that makes going on wrong, as far as memory knows.
    async fn look_at_release(&self, run: &Run, awaited: Awaited<'_>) -> Option<Failure> {
        if self.ports.installer.behind().is_some() {
            return None;
        }
        match self.ports.installer.summary(&run.info.key).await {
            Ok(release) => overtaken(awaited, release.as_deref()),
            // Nothing is known at the moment. Whether the revision is still there is looked at again before it is committed.
            Err(_) => None,
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

    /// Does what a verdict asks for beyond waiting. Says what keeps it from asking why there is no pod.
    async fn help_along(&self, run: &Run, server: &ServerKey, waiting: &Waiting, deadline: Instant) -> Result<Option<String>, Halt> {
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
                Err(super::call::Broken::Error(error)) => return Ok(Some(error.to_string())),
            }
        }
        Ok(None)
    }

    /// The failure with what the server looks like now, before an undo removes it. Of a server that may be somebody else's nothing is told: nobody
    /// here knows which words in its logs are secret.
    pub(super) async fn with_autopsy(&self, run: &Run, mut failure: Failure, server: &ServerKey) -> Failure {
        let autopsy = async {
            self.own_server(&run.info.key, server).await.ok()?;
            Some(self.ports.cluster.autopsy(server).await)
        };
        let autopsy = tokio::time::timeout(Duration::from_secs(20), autopsy).await;
        failure.autopsy = autopsy.ok().flatten().map(Box::new);
        failure
    }
}

/// What is still there of a server that should be gone.
fn not_gone(server: &ServerKey, pods: &[String]) -> String {
    if pods.is_empty() {
        let ServerKey { namespace, name } = server;
        return format!(
            "no pod is left, but StatefulSet `{name}` may still make one: a finalizer holds it, or the cluster's controllers do not work; see `kubectl --namespace {namespace} describe statefulset {name}`, then try again"
        );
    }
    format!("pods do not end: {}; delete them by hand if their node is gone, then try again", pods.join(", "))
}

fn not_ready_in_time(waiting: &Waiting, limit: Limit) -> Failure {
    Failure::new(
        FailureCode::DeployTimeout,
        format!(
            "the server was not ready in time, last: {}; see the autopsy, and raise `{}` if it only needs longer",
            waiting.message,
            limit.setting()
        ),
    )
    .at(Phase::Ready)
}
