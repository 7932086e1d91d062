//! The connection of a deploy: choosing its id, and writing it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::call::{Broken, Halt, call, insist};
use super::deploy::Deploy;
use super::{Reserved, faults};
use crate::model::{
    Connection, ConnectionIntent, ConnectionOutcome, ConnectionReport, Credentials, Debt, Failure, FailureCode, Phase, PutOutcome, Release,
    StoredConnection,
};
use crate::naming::ConnectionId;
use crate::ports::ConnectionError;

/// The login that the server has now, and what is known of its connection's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Login<'l> {
    pub(super) credentials: &'l Credentials,
    /// The connection on the revision's record.
    pub(super) connection: Option<&'l ConnectionId>,
    /// Whether the connection has it already.
    pub(super) is_kept: bool,
}

/// The connection id in use, reserved while the deploy runs.
pub(super) struct Named<'a> {
    pub(super) intent: Option<ConnectionIntent>,
    _reserved: Option<Reserved<'a>>,
}

impl<'a> Deploy<'a> {
    /// Reads the connection once and fixes its id: the first that is ours already, else the first that is free; the recorded one comes before
    /// the others.
    pub(super) async fn name(&self, newest: Option<&Release>) -> Result<Named<'a>, Halt> {
        let Some(store) = &self.workflows.ports.connections else { return Ok(Named { intent: None, _reserved: None }) };
        self.run.phase(Phase::Name, "choosing the Airflow connection id");
        let recorded = newest.filter(|release| release.summary.is_present()).and_then(|release| release.summary.deployment.as_ref());
        let recorded = recorded.and_then(|facts| facts.connection_id.clone());
        let mut candidates: Vec<ConnectionId> = recorded.into_iter().collect();
        candidates.extend(self.request.identity.connection_ids());
        // The recorded one is tried first and named once.
        let mut named = BTreeSet::new();
        candidates.retain(|id| named.insert(id.clone()));
        let was_here = self.was_here(newest).await?;
        let mut holders = Vec::new();
        let mut free = None;
        for id in candidates {
            let Some(reserved) = self.workflows.reserve(&id, &self.run.info.key) else {
                holders.push(format!("`{id}`: a deployment under way"));
                continue;
            };
            let found = call(self.run, self.deadline, || store.get(&id)).await;
            let found = found.map_err(|broken| broken.or_fail(|error| faults::of_connections(&error, Some(&id))))?;
            match found {
                Some(connection) if connection.owner.as_ref() != Some(&self.run.info.key) => {
                    holders.push(format!("`{id}`: {}", whose(&connection)));
                }
                None => {
                    free.get_or_insert((id, reserved));
                    if !was_here {
                        break;
                    }
                }
                before => return Ok(self.use_connection(id, before, reserved)),
            }
        }
        if let Some((id, reserved)) = free {
            return Ok(self.use_connection(id, None, reserved));
        }
        let message = format!(
            "every connection id of this deployment is somebody else's in Airflow ({}); remove or rename one of them",
            holders.join("; ")
        );
        Err(Failure::new(FailureCode::ConnectionTaken, message).into())
    }

    /// Whether there was a deployment before, of which a human's uninstall or a delete without Airflow may have left a connection under a later
    /// id: it would stay for ever beside a new one. A first POST finds neither record nor claim nor debt, and asks Airflow once.
    async fn was_here(&self, newest: Option<&Release>) -> Result<bool, Halt> {
        if newest.is_some() || !self.run.debts().await.is_empty() {
            return Ok(true);
        }
        let claims = call(self.run, self.deadline, || self.workflows.ports.cluster.claims(&self.server)).await;
        Ok(!claims.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?.is_empty())
    }

    fn use_connection(&self, id: ConnectionId, before: Option<StoredConnection>, reserved: Reserved<'a>) -> Named<'a> {
        let intent = ConnectionIntent { id, before };
        self.run.note(|ledger| ledger.connection = Some(intent.clone()));
        Named { intent: Some(intent), _reserved: Some(reserved) }
    }

    /// Writes the connection, unless it has the login already and its readable fields are as wanted: a password cannot be read to compare.
    pub(super) async fn connect(&self, login: Login<'_>, intent: Option<ConnectionIntent>) -> Result<ConnectionReport, Halt> {
        // A deploy that was begun without an Airflow has chosen no id, whoever goes on with it.
        let (Some(store), Some(intent)) = (&self.workflows.ports.connections, intent) else {
            self.owe_login(login).await?;
            return Ok(ConnectionReport::not_configured());
        };
        let connection = self.connection(login.credentials, intent.id.clone());
        let mut known = intent.before;
        if login.is_kept && known.as_ref().is_some_and(|before| before.agrees_with(&connection)) {
            // Somebody may have replaced it while the server was waited for.
            let found = call(self.run, self.deadline, || store.get(&intent.id)).await;
            known = found.map_err(|broken| broken.or_fail(|error| cannot_connect(&error, &intent.id)))?;
            match &known {
                Some(found) if found.agrees_with(&connection) => return Ok(registered(connection)),
                Some(found) if found.owner.as_ref() != Some(&connection.owner) => {
                    return Err(cannot_connect(&ConnectionError::Taken(whose(found)), &intent.id).into());
                }
                Some(_) | None => {}
            }
        }
        self.run.phase(Phase::Connect, format!("registering Airflow connection `{}`", intent.id));
        let meant_before = self.run.ledger().connecting;
        self.store_intent(|ledger| ledger.connecting = true).await?;
        // The server is ready: an Airflow that is busy for a moment is worth waiting for, as long as the undo keeps its time.
        let patience = self.deadline.min(Instant::now() + self.workflows.settings.undo_timeout / 4);
        let put = insist(self.run, patience, || async {
            // Also when the time runs out before the answer.
            let sent_before = self.may_be_connected.swap(true, Ordering::Relaxed);
            let put = store.put(&connection, known.as_ref(), &self.run.fence).await;
            if matches!(put, Ok(_) | Err(ConnectionError::Unreachable(_))) {
                self.may_be_connected.store(sent_before, Ordering::Relaxed);
            }
            put
        });
        let put = match put.await {
            Err(Broken::Error(error)) => {
                if !self.may_be_connected.load(Ordering::Relaxed) && !meant_before {
                    // Nothing can have been written, so there is nothing to take back.
                    self.run.note(|ledger| ledger.connecting = false);
                }
                return Err(cannot_connect(&error, &intent.id).into());
            }
            Err(Broken::Stop(stop)) => return Err(stop.into()),
            Ok(put) => put,
        };
        let status = match put {
            PutOutcome::Created => ConnectionOutcome::Created,
            PutOutcome::Updated => ConnectionOutcome::Updated,
        };
        Ok(ConnectionReport { id: Some(intent.id), url: Some(connection.url), status, error: None })
    }

    /// Without an Airflow the connection keeps the login that it had. It is written when there is one.
    async fn owe_login(&self, login: Login<'_>) -> Result<(), Halt> {
        match login.connection {
            Some(id) if !login.is_kept && !self.owes_a_login(id).await => self.store_debt(&Debt::Login(id.clone())).await,
            _ => Ok(()),
        }
    }

    /// Writes the connection of an equal POST only when its readable fields differ, as they were read a moment ago, or when it may have
    /// another password.
    pub(super) async fn check_connection(&self, login: Login<'_>, intent: Option<&ConnectionIntent>) -> Result<ConnectionReport, Halt> {
        if let Some(ConnectionIntent { id, before: Some(before) }) = intent {
            let wanted = self.connection(login.credentials, id.clone());
            if login.is_kept && before.agrees_with(&wanted) {
                return Ok(registered(wanted));
            }
        }
        self.connect(login, intent.cloned()).await
    }

    pub(super) fn connection(&self, credentials: &Credentials, id: ConnectionId) -> Connection {
        let owner = self.run.info.key.clone();
        Connection { id, url: self.request.invocations_url(&self.server), owner, credentials: credentials.clone() }
    }
}

/// A connection that is as it should be.
fn registered(connection: Connection) -> ConnectionReport {
    let Connection { id, url, .. } = connection;
    ConnectionReport { id: Some(id), url: Some(url), status: ConnectionOutcome::Updated, error: None }
}

fn whose(connection: &StoredConnection) -> String {
    match (&connection.owner, &connection.description) {
        (Some(owner), _) => format!("release {owner}"),
        (None, Some(description)) => description.chars().take(80).collect(),
        (None, None) => "no description".to_owned(),
    }
}

fn cannot_connect(error: &ConnectionError, id: &ConnectionId) -> Failure {
    faults::of_connections(error, Some(id)).at(Phase::Connect)
}
