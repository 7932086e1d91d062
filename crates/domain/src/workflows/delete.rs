//! Delete: the connection first, then the release and its objects, then, when the pods are gone, the claims.
//!
//! Every step is safe to run twice, so a takeover simply runs it again.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::call::{Halt, call, stop_of, store};
use super::list::is_somebody_elses;
use super::{Workflows, faults, server_of};
use crate::model::{
    ConnectionOutcome, ConnectionReport, Debt, DeleteOutcome, Failure, FailureCode, Phase, Release, ReleaseKey, ServerKey,
    StoredConnection, Success, UndoOutcome, Uninstalled,
};
use crate::naming::ConnectionId;
use crate::operations::{Ending, Run};
use crate::ports::{ConnectionError, ConnectionStore, Fence};

pub(super) async fn delete(workflows: &Workflows, run: &Run, taken_over: bool) -> Ending {
    let deadline = Instant::now() + workflows.settings.deploy_timeout;
    let mut debts = run.ledger().owed;
    match steps(workflows, run, taken_over, deadline, &mut debts).await {
        Ok(success) => Ending::Done { outcome: Ok(success), debts, paid: Vec::new() },
        Err(Halt::Stop(stop)) => Ending::Stopped(stop),
        Err(Halt::Failed(failure)) => {
            let failure = Failure { undo: UndoOutcome::LeftAsIs, ..*failure };
            Ending::Done { outcome: Err(failure), debts, paid: Vec::new() }
        }
    }
}

async fn steps(workflows: &Workflows, run: &Run, taken_over: bool, deadline: Instant, debts: &mut Vec<Debt>) -> Result<Success, Halt> {
    let key = &run.info.key;
    let removed = remove(workflows, run, key, deadline, debts).await?;
    // What is not there any more was removed by the holder before, whose answer this is too.
    if removed.nothing && debts.is_empty() && !taken_over {
        let message = format!("Deployment {} not found in namespace {}", key.name, key.namespace);
        return Err(Failure::new(FailureCode::NotFound, message).into());
    }
    let before = if taken_over { run.ledger().claims_before } else { Vec::new() };
    let claims: BTreeSet<_> = before.into_iter().chain(removed.claims).collect();
    Ok(Success::Deleted { claims: claims.into_iter().collect(), connection: removed.connection })
}

/// What a removal did.
pub(super) struct Removal {
    claims: Vec<String>,
    connection: ConnectionReport,
    /// There was nothing to remove.
    nothing: bool,
}

impl Removal {
    fn nothing() -> Self {
        let connection = ConnectionReport { id: None, url: None, status: ConnectionOutcome::NotFound, error: None };
        Self { claims: Vec::new(), connection, nothing: true }
    }
}

/// Removes all that there is of a release. The run's own release, or one that it takes the place of.
pub(super) async fn remove(
    workflows: &Workflows,
    run: &Run,
    key: &ReleaseKey,
    deadline: Instant,
    debts: &mut Vec<Debt>,
) -> Result<Removal, Halt> {
    let release = match call(run, deadline, || workflows.ports.installer.get(key, None)).await {
        Ok(release) => release,
        // An unreadable record must not keep its release from being deleted.
        Err(super::call::Broken::Error(crate::ports::InstallerError::Unreadable(_))) => None,
        Err(broken) => return Err(broken.or_fail(|error| faults::of_installer(&error))),
    };
    let summary = release.as_ref().map(|release| std::sync::Arc::new(release.summary.clone()));
    // Somebody may have taken the name since the delete was asked for.
    if summary.as_ref().is_some_and(|summary| is_somebody_elses(summary)) {
        return Ok(Removal::nothing());
    }
    // The ledger is about the run's own release.
    let is_own = *key == run.info.key;
    let noted = run.ledger().server.filter(|_| is_own);
    let server = noted.map_or_else(|| server_of(key, summary.as_ref()), |name| ServerKey { namespace: key.namespace.clone(), name });
    let connection = disconnect(workflows, run, key, release.as_ref(), deadline, debts).await?;
    let to_come = workflows.claim_to_come(run, key, &server, deadline).await?;
    let tells_more = release.is_some() || to_come.is_some();
    // From now on: it may come also when a later step fails.
    debts.extend(to_come);
    let mut met = HashSet::new();
    debts.retain(|debt| met.insert(debt.clone()));
    if tells_more && is_own {
        // Only the record and the StatefulSet tell these, and they go next. When the claims cannot be read now, the last step says so.
        let claims = stop_of(call(run, deadline, || workflows.own_claims(key, &server)).await)?.unwrap_or_default();
        run.note(|ledger| {
            (ledger.server, ledger.owed) = (Some(server.name.clone()), debts.clone());
            // Also those of whoever ran this before.
            ledger.claims_before.extend(claims.into_iter().map(|claim| claim.name));
        });
        store(run, deadline).await?;
    }
    let removed = uninstall(workflows, run, key, deadline).await?;
    drain(workflows, run, key, &server).await?;
    let claims = delete_claims(workflows, run, key, &server, deadline, debts).await?;
    debts.retain(|debt| !matches!(debt, Debt::Claim { name, .. } if claims.contains(name)));
    let nothing = !removed.had_record && removed.objects.is_empty() && claims.is_empty() && connection.status != ConnectionOutcome::Deleted;
    Ok(Removal { claims, connection, nothing })
}

/// Removes the connection. Airflow being away does not stop the delete: the debt is paid later.
async fn disconnect(
    workflows: &Workflows,
    run: &Run,
    key: &ReleaseKey,
    release: Option<&Release>,
    deadline: Instant,
    debts: &mut Vec<Debt>,
) -> Result<ConnectionReport, Halt> {
    let facts = release.and_then(|release| release.summary.deployment.as_ref());
    let recorded = facts.and_then(|facts| facts.connection_id.clone());
    let Some(store) = &workflows.ports.connections else {
        // It was made when the service had an Airflow, which it may have again. What is told of another's release is only guessed.
        debts.extend(recorded.filter(|_| facts.is_some_and(|facts| facts.ours)).map(Debt::Connection));
        return Ok(ConnectionReport::not_configured());
    };
    run.phase(Phase::Disconnect, "removing the Airflow connection");
    let by_id = match &recorded {
        Some(id) => remove_if_ours(store.as_ref(), run, key, id, deadline).await?,
        None => Ok(None),
    };
    // A human's rollback can bring back the record of another id than the one in use.
    let (removed, owed) = match by_id {
        Ok(None) => (remove_by_description(store.as_ref(), run, key, None, deadline).await?, Debt::OwnConnections),
        other => (other, recorded.clone().map_or(Debt::OwnConnections, Debt::Connection)),
    };
    Ok(match removed {
        Ok(Some(id)) => ConnectionReport { id: Some(id), url: None, status: ConnectionOutcome::Deleted, error: None },
        Ok(None) => ConnectionReport { id: recorded, url: None, status: ConnectionOutcome::NotFound, error: None },
        Err(error) => {
            debts.push(owed);
            run.progress(format!("the Airflow connection is removed later: {error}"));
            let error = format!("{error}; the connection is removed by itself when Airflow is back");
            ConnectionReport { id: recorded, url: None, status: ConnectionOutcome::Error, error: Some(error) }
        }
    })
}

type Removed = Result<Result<Option<ConnectionId>, String>, Halt>;

/// Removes a connection when its description names this release.
pub(super) async fn remove_if_ours(
    store: &dyn ConnectionStore,
    run: &Run,
    owner: &ReleaseKey,
    id: &ConnectionId,
    deadline: Instant,
) -> Removed {
    let removal = ConnectionRemoval::new(store, run, owner, id);
    Ok(stop_of(call(run, deadline, || removal.attempt()).await)?)
}

/// Removes a connection when its description names this release. It is looked at again before each try: Airflow deletes on no condition, and
/// when an answer got lost, somebody may have made one of their own of that id since.
pub(super) struct ConnectionRemoval<'a> {
    store: &'a dyn ConnectionStore,
    fence: &'a Fence,
    owner: &'a ReleaseKey,
    id: &'a ConnectionId,
    /// Whether it was sent, so that a connection that is gone may have gone by us.
    sent: AtomicBool,
}

impl<'a> ConnectionRemoval<'a> {
    pub(super) fn new(store: &'a dyn ConnectionStore, run: &'a Run, owner: &'a ReleaseKey, id: &'a ConnectionId) -> Self {
        Self { store, fence: &run.fence, owner, id, sent: AtomicBool::new(false) }
    }

    /// Tries it once; says which connection is gone by it.
    pub(super) async fn attempt(&self) -> Result<Option<ConnectionId>, ConnectionError> {
        let is_gone = match self.store.get(self.id).await? {
            Some(found) if found.owner.as_ref() == Some(self.owner) => {
                let sent_before = self.sent.swap(true, Ordering::Relaxed);
                self.store.delete(self.id, self.fence).await? == DeleteOutcome::Deleted || sent_before
            }
            Some(_) => false,
            None => self.sent.load(Ordering::Relaxed),
        };
        Ok(is_gone.then(|| self.id.clone()))
    }
}

/// Without a record, the descriptions tell which connections are the release's. One that is in use stays.
pub(super) async fn remove_by_description(
    store: &dyn ConnectionStore,
    run: &Run,
    owner: &ReleaseKey,
    in_use: Option<&ConnectionId>,
    deadline: Instant,
) -> Removed {
    let ours = match stop_of(call(run, deadline, || store.list_ours()).await)? {
        Ok(ours) => ours,
        Err(error) => return Ok(Err(error)),
    };
    let mut removed = None;
    let is_left = |connection: &StoredConnection| connection.owner.as_ref() == Some(owner) && Some(&connection.id) != in_use;
    for connection in ours.into_iter().filter(is_left) {
        // A list may be long, and some time may have passed since it was read.
        match remove_if_ours(store, run, owner, &connection.id, deadline).await? {
            Ok(gone) => removed = gone.or(removed),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(removed))
}

async fn uninstall(workflows: &Workflows, run: &Run, key: &ReleaseKey, deadline: Instant) -> Result<Uninstalled, Halt> {
    run.phase(Phase::Uninstall, "removing the release and its objects");
    let removed = call(run, deadline, || workflows.ports.installer.uninstall(key, &run.fence)).await;
    removed.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error).at(Phase::Uninstall)))
}

async fn drain(workflows: &Workflows, run: &Run, key: &ReleaseKey, server: &ServerKey) -> Result<(), Halt> {
    run.phase(Phase::Drain, "waiting until the pods are gone");
    let deadline = Instant::now() + workflows.settings.undo_timeout;
    workflows.await_gone(run, key, server, deadline).await.map_err(|halt| halt.at(Phase::Drain))
}

async fn delete_claims(
    workflows: &Workflows,
    run: &Run,
    key: &ReleaseKey,
    server: &ServerKey,
    deadline: Instant,
    debts: &mut Vec<Debt>,
) -> Result<Vec<String>, Halt> {
    run.phase(Phase::Claims, "deleting the claims");
    let (names, broken) = match call(run, deadline, || workflows.own_claims_now(key, server)).await {
        Ok(claims) if claims.is_empty() => return Ok(Vec::new()),
        Ok(claims) => {
            let names: Vec<_> = claims.into_iter().map(|claim| claim.name).collect();
            match call(run, deadline, || workflows.delete_claims(run, key, server, &names)).await {
                Ok(()) => return Ok(names),
                Err(broken) => (names, broken),
            }
        }
        // It may be there. What is owed and is not there costs nothing.
        Err(broken) => (vec![server.name.claim_name(0)], broken),
    };
    let failure = match broken.or_fail(|error| faults::of_cluster(&error)) {
        Halt::Failed(failure) => failure,
        stop @ Halt::Stop(_) => return Err(stop),
    };
    let owed = names.iter().cloned().map(|name| Debt::Claim { server: server.name.clone(), name });
    let owed: Vec<_> = owed.filter(|debt| !debts.contains(debt)).collect();
    debts.extend(owed);
    // Whoever is told that the cluster is away sends the request again, as at every other step; only what lasts is for a person to look at.
    let code = if failure.code == FailureCode::ClusterUnavailable { failure.code } else { FailureCode::ClaimsNotDeleted };
    let message = format!(
        "the deployment is removed, but its persistentvolumeclaims {} could not be deleted: {}; the deletion is tried again by itself",
        names.join(", "),
        failure.message
    );
    Err(Failure::new(code, message).at(Phase::Claims).into())
}
