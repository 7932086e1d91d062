//! Deploy: `validate → name → record → apply → ready → connect → commit`, under the lock that the engine took.
//!
//! Each step that changes something first notes in the ledger what its undo (see `undo`) needs, so that whoever takes over can go on.

use std::sync::atomic::AtomicBool;

use tokio::time::Instant;

use super::await_server::{Awaited, Awake, Limit};
use super::call::{Halt, call, insist, store};
use super::connect::Login;
use super::ownership::foreign;
use super::prepare::Prepared;
use super::{Workflows, faults};
use crate::allocation::{deployed_elsewhere, deployment_of};
use crate::decide::Plan;
use crate::model::{
    Claim, ConnectionIntent, ConnectionReport, Debt, DeployRequest, DesiredRelease, Failure, FailureCode, Ledger, OperationKind, Phase,
    Rebuild, Release, ReleaseStatus, RevisionHandle, RevisionNumber, ServerKey, Success, UndoOutcome,
};
use crate::operations::{Ending, Run, Stop, cancelled};

/// A deploy in progress.
pub(super) struct Deploy<'a> {
    pub(super) workflows: &'a Workflows,
    pub(super) run: &'a Run,
    pub(super) request: &'a DeployRequest,
    pub(super) server: ServerKey,
    pub(super) deadline: Instant,
    /// Whether a write of the connection is without an answer: it may be done, also later than anybody looks.
    pub(super) may_be_connected: AtomicBool,
    /// Whether the server's log may have secrets that nobody here knows.
    pub(super) has_unknown_secrets: AtomicBool,
}

pub(super) async fn deploy(workflows: &Workflows, run: &Run, request: &DeployRequest, taken_over: bool) -> Ending {
    debug_assert_eq!(run.info.kind, OperationKind::Deploy);
    // Whoever takes over has time of its own: the first holder's may be long over.
    let limit = if taken_over { workflows.settings.undo_timeout } else { workflows.settings.deploy_timeout };
    let deadline = Instant::now() + limit;
    let server = workflows.server_to_write(run).await;
    // Nobody knows what a holder that is gone had just sent.
    let may_be_connected = AtomicBool::new(taken_over && run.ledger().connecting);
    let deploy = Deploy { workflows, run, request, server, deadline, may_be_connected, has_unknown_secrets: AtomicBool::new(false) };
    let result = if taken_over { deploy.take_over().await } else { deploy.forward().await };
    match result {
        Ok(success) => match deploy.retire_replaced(success).await {
            Ok(success) => deploy.ended(Ok(success)),
            Err(stop) => deploy.stopped(stop),
        },
        Err(Halt::Stop(stop)) => deploy.stopped(stop),
        Err(Halt::Failed(failure)) => match deploy.undo(in_phase(*failure, run)).await {
            Ending::Stopped(stop) => deploy.stopped(stop),
            done @ Ending::Done { .. } => done,
        },
    }
}

impl<'a> Deploy<'a> {
    /// The delete that cancelled it looks for the connection, but may fail before that, or find none that is made later. It does not look for a
    /// replaced release that is removed in part. What it could not remove of a first deployment must not pass for what was there before the next
    /// one.
    pub(super) fn stopped(&self, stop: Stop) -> Ending {
        let Stop::Cancelled(by) = &stop else { return Ending::Stopped(stop) };
        let debts = self.run.ledger().debts();
        if debts.is_empty() {
            return Ending::Stopped(stop);
        }
        Ending::Done { outcome: Err(cancelled(by)), debts, paid: Vec::new() }
    }

    async fn forward(&self) -> Result<Success, Halt> {
        self.validate().await?;
        self.check_alone().await?;
        let newest = self.newest().await?;
        let named = self.name(newest.as_ref()).await?;
        let prepared = self.prepare(newest.as_ref(), named.intent.as_ref()).await?;
        match &prepared.plan {
            Plan::Refuse(failure) => Err(Halt::Failed(failure.clone())),
            Plan::Repair { revision } => self.repair(&prepared, *revision, named.intent.as_ref()).await,
            Plan::Install => self.write(&prepared, named.intent, None, Rebuild::NONE).await,
            Plan::CleanUpAndInstall => {
                self.run.progress("finishing an uninstall that was broken off");
                let key = &self.run.info.key;
                let removed = call(self.run, self.deadline, || self.workflows.ports.installer.uninstall(key, &self.run.fence)).await;
                removed.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error)))?;
                let prepared = Prepared { desired: DesiredRelease { after: None, ..prepared.desired }, ..prepared };
                self.write(&prepared, named.intent, None, Rebuild::NONE).await
            }
            Plan::Change { previous, rebuild } => self.write(&prepared, named.intent, *previous, *rebuild).await,
        }
    }

    /// Looks for what the pod needs before anything is made.
    async fn validate(&self) -> Result<(), Halt> {
        let Some(warehouse) = self.request.warehouse else { return Ok(()) };
        let namespace = &self.request.namespace;
        let found = call(self.run, self.deadline, || self.workflows.ports.cluster.has_warehouse_secret(namespace, warehouse)).await;
        if found.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))? {
            return Ok(());
        }
        let secret = warehouse.secret_name();
        let message = format!(
            "Secret `{secret}` is missing in namespace `{namespace}`: a server for {warehouse} mounts it; create it with the warehouse's credentials, then post again"
        );
        Err(Failure::new(FailureCode::WarehouseSecretMissing, message).into())
    }

    /// Looks again, now under the lock, whether the identity is deployed under another key, or the name used in another namespace: somebody
    /// may have been faster.
    async fn check_alone(&self) -> Result<(), Halt> {
        let releases = call(self.run, self.deadline, || self.workflows.ports.installer.list()).await;
        let releases = releases.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error)))?;
        match deployment_of(&self.request.identity, &releases) {
            Some(other) if other.key != self.run.info.key => return Err(deployed_elsewhere(&self.request.identity, &other.key).into()),
            _ => {}
        }
        let key = &self.run.info.key;
        match releases.iter().find(|release| release.key.name == key.name && release.key != *key && release.is_present()) {
            Some(other) => Err(name_was_taken(&format!("release `{}`", other.key)).into()),
            None => Ok(()),
        }
    }

    pub(super) async fn newest(&self) -> Result<Option<Release>, Halt> {
        let key = &self.run.info.key;
        let newest = call(self.run, self.deadline, || self.workflows.ports.installer.get(key, None)).await;
        newest.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error)))
    }

    /// A new revision, from record to commit.
    async fn write(
        &self,
        prepared: &Prepared,
        intent: Option<ConnectionIntent>,
        previous: Option<RevisionNumber>,
        rebuild: Rebuild,
    ) -> Result<Success, Halt> {
        let slept = self.look_around(previous, prepared.claims_before_remains.as_deref()).await?;
        self.run.note(|ledger| ledger.rebuild = rebuild);
        // Before the intent, which is stored with it: who takes over an operation that is still queued begins it anew.
        self.run.phase(Phase::Record, "recording the release revision");
        // An undo makes the revision ours, after which nobody would doubt the login any more. So it writes that too.
        let connects = prepared.doubts_login && intent.as_ref().is_some_and(|intent| intent.before.is_some());
        let adopts = prepared.adopts_anew;
        self.store_intent(|ledger| {
            ledger.writing = true;
            ledger.connecting |= connects;
            ledger.adopting |= adopts;
        })
        .await?;
        let revision = self.record(&prepared.desired).await?;
        self.rebuild(&revision, rebuild).await?;
        self.apply(&revision).await?;
        self.rebuilt().await;
        if slept {
            self.wake().await?;
        }
        let awake = self.ready(Awaited::Own(&revision)).await?;
        self.finish(&revision, prepared.login(), intent, awake).await
    }

    /// Notes what an undo must bring back: claims and replicas as they are, of the claims only `kept` where something is left of a first
    /// deployment. Says whether the server sleeps.
    async fn look_around(&self, previous: Option<RevisionNumber>, kept: Option<&[String]>) -> Result<bool, Halt> {
        let cluster = &self.workflows.ports.cluster;
        let claims = call(self.run, self.deadline, async || match previous {
            Some(_) => cluster.claims(&self.server).await,
            // The undo removes the server, and with it each claim that is not noted here.
            None => cluster.claims_now(&self.server).await,
        })
        .await;
        let claims = claims.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
        let is_others = |claim: &&Claim| claim.identity.as_ref().is_some_and(|identity| *identity != self.request.identity);
        if let Some(other) = claims.iter().find(is_others) {
            // Left since the name was chosen; the first pod would mount it.
            return Err(name_was_taken(&format!("claim `{}`", other.name)).into());
        }
        let state = call(self.run, self.deadline, || cluster.server(&self.server)).await;
        let state = state.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
        if let Some(foreign) = foreign(&self.run.info.key, &self.server, &state) {
            // An apply would refuse it too, but by then there is a revision, and the way back is as blocked.
            return Err(faults::of_cluster(&foreign).into());
        }
        // One on its way out makes room for another of the same name, which is this deployment's.
        let stays = |claim: &Claim| !claim.terminating && kept.is_none_or(|kept| kept.contains(&claim.name));
        let claims_before = claims.into_iter().filter(stays).map(|claim| claim.name);
        let replicas = state.stateful_set.as_ref().map(|set| set.replicas);
        let dag_state = state.stateful_set.as_ref().and_then(|set| set.dag_state);
        self.run.note(|ledger| {
            ledger.previous = previous;
            ledger.server = Some(self.server.name.clone());
            ledger.claims_before = claims_before.collect();
            ledger.replicas_before = replicas;
            ledger.dag_state_before = dag_state;
        });
        Ok(replicas == Some(0))
    }

    async fn record(&self, desired: &DesiredRelease) -> Result<RevisionHandle, Halt> {
        let begun = call(self.run, self.deadline, || self.workflows.ports.installer.begin(desired, &self.run.fence)).await;
        let revision = match begun {
            Ok(revision) => revision,
            Err(broken) => {
                // The answer may be lost and the record made; the undo looks for a revision of this operation.
                return Err(broken.or_fail(|error| faults::of_installer(&error).at(Phase::Record)));
            }
        };
        self.run.note(|ledger| ledger.revision = Some(revision.revision));
        self.run.progress(format!("revision {} is recorded", revision.revision));
        Ok(revision)
    }

    pub(super) async fn apply(&self, revision: &RevisionHandle) -> Result<(), Halt> {
        self.run.phase(Phase::Apply, "applying the objects");
        let ports = &self.workflows.ports;
        let applied = call(self.run, self.deadline, || ports.installer.apply(revision, &self.run.fence)).await;
        applied.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error).at(Phase::Apply)))
    }

    /// A POST on a sleeping server wakes it.
    pub(super) async fn wake(&self) -> Result<(), Halt> {
        self.run.progress("waking the server");
        let woken = call(self.run, self.deadline, || self.workflows.set_replicas(self.run, &self.server, 1)).await;
        woken.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error).at(Phase::Apply)))
    }

    async fn ready(&self, awaited: Awaited<'_>) -> Result<Awake, Halt> {
        self.run.phase(Phase::Ready, "waiting for the server to be ready");
        let awake = self.workflows.await_ready(self.run, &self.server, awaited, self.deadline, Limit::Deploy).await;
        awake.map_err(|halt| halt.at(Phase::Ready))
    }

    /// Connect and commit.
    pub(super) async fn finish(
        &self,
        revision: &RevisionHandle,
        login: Login<'_>,
        intent: Option<ConnectionIntent>,
        awake: Awake,
    ) -> Result<Success, Halt> {
        self.workflows.note_dags(self.run, &self.server, self.run.ledger().dag_state_before, self.deadline).await?;
        let connection = self.connect(login, intent).await?;
        self.commit(revision).await?;
        match awake {
            Awake::Ready => Ok(self.success(revision.revision, false, connection, self.adoption_notes())),
            Awake::PutToSleep => Err(self.put_to_sleep(revision.revision)),
        }
    }

    fn adoption_notes(&self) -> Vec<String> {
        let adopted = self.run.ledger().adopting;
        adopted
            .then(|| "a deployment of the replaced service was adopted under its old names; its server was restarted".to_owned())
            .into_iter()
            .collect()
    }

    async fn commit(&self, revision: &RevisionHandle) -> Result<(), Halt> {
        self.run.phase(Phase::Commit, format!("marking revision {} as deployed", revision.revision));
        let deadline = self.deadline.min(Instant::now() + self.workflows.settings.undo_timeout);
        let committed = insist(self.run, deadline, || self.workflows.ports.installer.commit(revision, &self.run.fence)).await;
        committed.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error).at(Phase::Commit)))
    }

    /// An equal POST: no revision, no restart; what differs is mended and the server is proved to run.
    async fn repair(&self, prepared: &Prepared, revision: RevisionNumber, intent: Option<&ConnectionIntent>) -> Result<Success, Halt> {
        self.run.phase(Phase::Apply, "nothing changed; checking that every object is there");
        let ports = &self.workflows.ports;
        let key = &self.run.info.key;
        let mended = call(self.run, self.deadline, || ports.installer.repair(key, &self.run.fence)).await;
        let mended = mended.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error).at(Phase::Apply)))?;
        let mut notes = Vec::new();
        if !mended.is_empty() {
            notes.push(format!("mended: {}", mended.join(", ")));
        }
        let slept = self.look_around(Some(revision), None).await?;
        if slept {
            self.store_intent(|ledger| ledger.waking = true).await?;
            self.wake().await?;
        }
        let awake = match self.ready(Awaited::InForce(revision)).await {
            Err(Halt::Failed(failure)) if !slept => return Err(self.unchanged_but_broken(*failure).await),
            other => other?,
        };
        let connection = self.check_connection(prepared.login(), intent).await?;
        // Last: when this fails, the server has to go on following its DAGs from what was noted before.
        self.workflows.note_dags(self.run, &self.server, self.run.ledger().dag_state_before, self.deadline).await?;
        match awake {
            Awake::Ready => Ok(self.success(revision, true, connection, notes)),
            Awake::PutToSleep => Err(self.put_to_sleep(revision)),
        }
    }

    /// The server that is asked for runs already and does not work: there is nothing to go back to.
    async fn unchanged_but_broken(&self, failure: Failure) -> Halt {
        let failure = self.workflows.with_autopsy(self.run, failure, &self.server).await;
        Failure { undo: UndoOutcome::LeftAsIs, ..failure }.into()
    }

    /// Stores that a change is meant to be made, before it is made. When that cannot be stored, it is not made.
    pub(super) async fn store_intent(&self, set: impl FnOnce(&mut Ledger)) -> Result<(), Halt> {
        let before = self.run.ledger();
        self.run.note(set);
        if let Err(halt) = store(self.run, self.deadline).await {
            // To what was meant before, maybe by a holder that is gone: the same change may have been made by it.
            self.run.note(|ledger| *ledger = before);
            return Err(halt);
        }
        // The write may have shown that somebody else took over.
        self.run.checkpoint().map_err(Halt::from)
    }

    /// Stores that something will be owed.
    pub(super) async fn store_debt(&self, debt: &Debt) -> Result<(), Halt> {
        self.store_intent(|ledger| {
            ledger.owed.retain(|owed| owed != debt);
            ledger.owed.push(debt.clone());
        })
        .await
    }

    /// An end after which the ledger's debts are open.
    pub(super) fn ended(&self, outcome: Result<Success, Failure>) -> Ending {
        Ending::Done { outcome, debts: self.run.ledger().owed, paid: Vec::new() }
    }

    pub(super) fn success(&self, revision: RevisionNumber, unchanged: bool, connection: ConnectionReport, notes: Vec<String>) -> Success {
        let host = self.request.host(&self.server);
        Success::Deployed { host, status: ReleaseStatus::Deployed, revision, unchanged, connection, notes }
    }

    /// Not a failure of the deploy: it is committed, but nobody can say that the server works.
    fn put_to_sleep(&self, revision: RevisionNumber) -> Halt {
        let message = format!(
            "revision {revision} is deployed and registered, but somebody scaled the server to 0 during the wait, so it was not proved ready; resume it to see"
        );
        Failure { undo: UndoOutcome::LeftAsIs, ..Failure::new(FailureCode::PutToSleep, message) }.into()
    }
}

/// A failure that names no step is one of the step that the operation is in, if it has begun any.
fn in_phase(failure: Failure, run: &Run) -> Failure {
    match (failure.phase, run.running().phase) {
        (None, phase) if phase != Phase::Queued => failure.at(phase),
        _ => failure,
    }
}

fn name_was_taken(by: &str) -> Failure {
    Failure::new(FailureCode::NameTaken, format!("the name was just taken by another deployment ({by}); post again for a name of its own"))
}
