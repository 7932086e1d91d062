//! What a deploy decides on: the login, the manifest, and the revision that is in force.

use super::call::{Halt, call};
use super::connect::Login;
use super::deploy::Deploy;
use super::faults;
use super::remains::is_left_of;
use crate::decide::{Observed, Plan, decide, in_force_before, is_in_force};
use crate::model::{ByteQuantity, ConnectionIntent, Credentials, Debt, DesiredRelease, Release, ReleaseStatus};
use crate::naming::ConnectionId;

/// What the decision was made on.
pub(super) struct Prepared {
    pub(super) desired: DesiredRelease,
    pub(super) plan: Plan,
    /// Whether the connection has the login already: it is that of the newest revision, which is in force and which one of our operations
    /// wrote. A human may have brought back a revision with another password.
    pub(super) keeps_login: bool,
    /// Whether a human brought the revision in force back, so that the connection may have another login than its server.
    pub(super) doubts_login: bool,
    /// Whether an adoption was neither finished nor undone, so that the StatefulSet may be ours although an undo brings the replaced one back.
    pub(super) adopts_anew: bool,
    /// The claims that were there before a first deployment of which something is left: what was made since goes with an undo too.
    pub(super) claims_before_remains: Option<Vec<String>>,
}

impl Prepared {
    pub(super) fn login(&self) -> Login<'_> {
        let DesiredRelease { credentials, connection_id, .. } = &self.desired;
        Login { credentials, connection: connection_id.as_ref(), is_kept: self.keeps_login }
    }
}

impl Deploy<'_> {
    /// Fills in the login, computes the manifest and decides.
    pub(super) async fn prepare(&self, newest: Option<&Release>, intent: Option<&ConnectionIntent>) -> Result<Prepared, Halt> {
        let recorded = newest.filter(|release| release.summary.is_present()).and_then(|release| release.credentials.clone());
        let wished = &self.request.credentials;
        let credentials = match (recorded, &wished.user, &wished.password) {
            (_, Some(user), Some(password)) => Credentials { user: user.clone(), password: password.clone() },
            (recorded, user, password) => {
                let base = recorded.unwrap_or_else(|| self.workflows.ports.random.credentials());
                Credentials { user: user.clone().unwrap_or(base.user), password: password.clone().unwrap_or(base.password) }
            }
        };
        self.run.keep_secret(&self.request.redactor(Some(&credentials)));
        // The old server may still run with the secrets of the revision before, and say them in its logs.
        newest.iter().for_each(|release| self.run.keep_secret(&release.redactor));
        let is_ours = |release: &Release| release.summary.deployment.as_ref().is_some_and(|facts| facts.operation.is_some());
        let deployed = newest.filter(|release| release.summary.status == ReleaseStatus::Deployed && is_ours(release));
        let recorded_login = deployed.and_then(|release| release.credentials.as_ref());
        let is_recorded = recorded_login == Some(&credentials);
        let keeps_login = match intent {
            Some(intent) => is_recorded && !self.owes_a_login(&intent.id).await,
            None => is_recorded,
        };
        let desired = DesiredRelease {
            key: self.run.info.key.clone(),
            home: self.workflows.settings.home().clone(),
            server: self.server.name.clone(),
            request: self.request.clone(),
            credentials,
            connection_id: intent.map(|intent| intent.id.clone()).or_else(|| self.kept_connection(newest)),
            after: newest.map(|release| release.summary.revision),
            operation: self.run.info.id.clone(),
        };
        let manifest = call(self.run, self.deadline, || self.workflows.ports.installer.manifest_hash(&desired)).await;
        let manifest = manifest.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error)))?;
        let newest_in_force = newest.is_none_or(|newest| is_in_force(&newest.summary));
        let previous = if newest_in_force { None } else { self.to_go_back_to(newest).await? };
        previous.iter().for_each(|release| self.run.keep_secret(&release.redactor));
        let in_force = in_force_before(previous.as_ref());
        let claim = if newest_in_force || in_force.is_some() { None } else { self.largest_claim().await? };
        let running = if newest_in_force { newest } else { in_force };
        let facts = running.and_then(|release| release.summary.deployment.as_ref());
        let doubts_login = facts.is_some_and(|facts| facts.ours && facts.operation.is_none());
        let observed = Observed {
            newest,
            previous: previous.as_ref(),
            claim: claim.as_ref(),
            manifest: &manifest,
            now: self.workflows.ports.clock.now(),
            pending_is_dead_after: self.workflows.settings.deploy_timeout,
        };
        let claims_before_remains = self.claims_before_remains(newest).await;
        let plan = match decide(&observed, self.request) {
            // Its caller was told that it failed, also where a commit without an answer has come through.
            Plan::Change { rebuild, .. } if claims_before_remains.is_some() => Plan::Change { previous: None, rebuild },
            plan => plan,
        };
        let adopts_anew = previous.as_ref().is_some_and(Release::is_foreign);
        Ok(Prepared { desired, plan, keeps_login, doubts_login, adopts_anew, claims_before_remains })
    }

    /// None where nothing is left of a first deployment, or somebody else has written its release since.
    async fn claims_before_remains(&self, newest: Option<&Release>) -> Option<Vec<String>> {
        let home = self.workflows.settings.home();
        self.run.debts().await.into_iter().find_map(|(left_by, debt)| match debt {
            Debt::Remains { server, claims_before } if left_by.info.key == self.run.info.key && server == self.server.name => {
                newest.is_none_or(|newest| is_left_of(&left_by, &newest.summary, home)).then_some(claims_before)
            }
            _ => None,
        })
    }

    /// A service that works without Airflow now leaves the connection of when it had one on record: whoever deletes the deployment owes it.
    fn kept_connection(&self, newest: Option<&Release>) -> Option<ConnectionId> {
        let facts = newest.filter(|newest| newest.summary.is_present())?.summary.deployment.as_ref()?;
        facts.connection_id.clone().filter(|_| facts.ours && self.workflows.ports.connections.is_none())
    }

    /// Whether an earlier operation could not put the login back, so that the connection may have another one than is on record.
    pub(super) async fn owes_a_login(&self, connection: &ConnectionId) -> bool {
        self.run.debts().await.iter().any(|(_, debt)| matches!(debt, Debt::Login(id) | Debt::Connection(id) if id == connection))
    }

    /// The revision that an undo goes back to: the one in force, or that was so last.
    async fn to_go_back_to(&self, newest: Option<&Release>) -> Result<Option<Release>, Halt> {
        let Some(revision) = newest.and_then(|newest| newest.summary.standing.to_go_back_to()) else { return Ok(None) };
        let key = &self.run.info.key;
        let found = call(self.run, self.deadline, || self.workflows.ports.installer.get(key, Some(revision))).await;
        found.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error)))
    }

    async fn largest_claim(&self) -> Result<Option<ByteQuantity>, Halt> {
        let claims = call(self.run, self.deadline, || self.workflows.ports.cluster.claims(&self.server)).await;
        let claims = claims.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
        Ok(claims.into_iter().filter_map(|claim| claim.size).max_by_key(ByteQuantity::bytes))
    }
}
