//! Settle: pays the debts that earlier operations of a release had to leave. A debt that a new deployment made void counts as paid.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::call::{Halt, call, stop_of};
use super::delete::{remove_by_description, remove_if_ours};
use super::remains::{Effort, Left, Remains, is_left_of};
use super::replaced::retire;
use super::{Workflows, faults};
use crate::model::{
    Connection, Debt, Failure, FailureCode, FinishedOperation, Release, ReleaseKey, ReleaseSummary, ServerKey, ServerName, Success,
};
use crate::naming::{ConnectionId, ReleaseName};
use crate::operations::{Ending, Executor as _, Run};
use crate::ports::ConnectionStore;

pub(super) async fn settle(workflows: &Workflows, run: &Run) -> Ending {
    let mut paid = Vec::new();
    match pay(workflows, run, &mut paid).await {
        Ok(()) => Ending::Done { outcome: Ok(Success::Settled), debts: Vec::new(), paid },
        Err(Halt::Stop(stop)) => Ending::Stopped(stop),
        Err(Halt::Failed(failure)) => Ending::Done { outcome: Err(*failure), debts: Vec::new(), paid },
    }
}

async fn pay(workflows: &Workflows, run: &Run, paid: &mut Vec<(ReleaseKey, Debt)>) -> Result<(), Halt> {
    let mut troubles = Vec::new();
    let mut debts = run.debts().await;
    debts.retain(|(left_by, debt)| workflows.may_pay(&left_by.info.key, debt));
    // What else is owed depends on whether the release is still there.
    let is_of_release = |debt: &Debt| matches!(debt, Debt::Remains { .. });
    debts.sort_by_key(|(_, debt)| !is_of_release(debt));
    let mut still_there = Vec::new();
    for (left_by, debt) in debts {
        let key = &left_by.info.key;
        if still_there.contains(key) {
            continue;
        }
        // Each has its own time.
        let deadline = Instant::now() + workflows.settings.undo_timeout;
        let pay = async {
            let release = in_force(workflows, run, key, deadline).await?;
            pay_one(workflows, run, &left_by, &debt, release.as_ref(), deadline).await
        };
        let result = match pay.await {
            Err(Halt::Failed(failure)) => Err(failure.message),
            other => other?,
        };
        match result {
            Ok(()) => paid.push((key.clone(), debt)),
            // It keeps no other debt from being paid, but those of a release that is still there.
            Err(error) => {
                still_there.extend(is_of_release(&debt).then(|| key.clone()));
                troubles.push(format!("{debt}: {error}"));
            }
        }
    }
    let troubles = run.redact(&troubles.join("; "));
    let is_new = workflows.unpaid.note(&run.info.key.name, &troubles);
    if troubles.is_empty() {
        return Ok(());
    }
    if is_new {
        tracing::warn!(release.name = %run.info.key.name, error = troubles, "what earlier operations had to leave cannot be put in order yet");
    }
    Err(Failure::new(FailureCode::Interrupted, format!("not every debt could be paid yet: {troubles}")).into())
}

/// Why debts could not be paid at the last turn, by release. A turn comes every few seconds, and says again only what is new.
#[derive(Default)]
pub(super) struct Unpaid(Mutex<HashMap<ReleaseName, String>>);

impl Unpaid {
    /// Notes what is in the way now, nothing at all included. Whether that was not so at the last turn.
    fn note(&self, release: &ReleaseName, troubles: &str) -> bool {
        // A map whose entries are replaced whole; a panic elsewhere cannot leave it half changed.
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if troubles.is_empty() { noted.remove(release) } else { noted.insert(release.clone(), troubles.to_owned()) };
        before.unwrap_or_default() != troubles
    }
}

/// The revision whose server runs: the newest may be one that never came up.
async fn in_force(workflows: &Workflows, run: &Run, key: &ReleaseKey, deadline: Instant) -> Result<Option<Release>, Halt> {
    let get = async |revision| {
        let release = call(run, deadline, || workflows.ports.installer.get(key, revision)).await;
        release.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error)))
    };
    let Some(newest) = get(None).await?.filter(|release| release.summary.is_present()) else { return Ok(None) };
    match newest.summary.standing.to_go_back_to() {
        Some(revision) if revision != newest.summary.revision => Ok(get(Some(revision)).await?.or(Some(newest))),
        _ => Ok(Some(newest)),
    }
}

/// Pays one debt. What a new deployment under the same key uses is not removed.
async fn pay_one(
    workflows: &Workflows,
    run: &Run,
    left_by: &FinishedOperation,
    debt: &Debt,
    release: Option<&Release>,
    deadline: Instant,
) -> Result<Result<(), String>, Halt> {
    let key = &left_by.info.key;
    let store = workflows.ports.connections.as_deref();
    Ok(match (debt, store) {
        (Debt::Claim { .. }, _) if release.is_some() => Ok(()),
        (Debt::Claim { server, name }, _) => pay_claim(workflows, run, key, server, name, deadline).await?,
        (Debt::Remains { server, claims_before }, _) => {
            let server = ServerKey { namespace: key.namespace.clone(), name: server.clone() };
            let is_left = |newest: &ReleaseSummary| is_left_of(left_by, newest, workflows.settings.home());
            let remains = Remains { key, server: &server, claims_before, is_left: &is_left };
            // Each call is tried once; the next turn goes on.
            match remains.remove(workflows, run, &Effort { deadline, retries: 0, pods: PODS }).await? {
                Ok(()) | Err(Left::Others(_)) => Ok(()),
                Err(Left::Ours(what)) => Err(what),
            }
        }
        (Debt::Replaced(name), _) => pay_replaced(workflows, run, key, name, deadline).await?,
        (Debt::Connection(_) | Debt::OwnConnections | Debt::Login(_), None) => Err("the service runs without Airflow now".to_owned()),
        // It could not be put back as it was, so it may have the login of a revision that failed.
        (Debt::Connection(id), Some(store))
            if let Some(release) = release
                && uses_connection(release, id) =>
        {
            write_login(store, run, key, id, release, deadline).await?
        }
        (Debt::Connection(id), Some(store)) => match remove_if_ours(store, run, key, id, deadline).await? {
            // Nothing may be left of a release that is gone; its record may have named another id than the one in use.
            Ok(None) if release.is_none() => remove_by_description(store, run, key, None, deadline).await?.map(|_| ()),
            removed => removed.map(|_| ()),
        },
        (Debt::OwnConnections, Some(store)) => {
            let in_use = release.and_then(|release| release.summary.deployment.as_ref()).and_then(|facts| facts.connection_id.as_ref());
            remove_by_description(store, run, key, in_use, deadline).await?.map(|_| ())
        }
        (Debt::Login(id), Some(store)) => match release {
            Some(release) => write_login(store, run, key, id, release, deadline).await?,
            None => Ok(()),
        },
    })
}

async fn pay_claim(
    workflows: &Workflows,
    run: &Run,
    key: &ReleaseKey,
    server: &ServerName,
    name: &str,
    deadline: Instant,
) -> Result<Result<(), String>, Halt> {
    let (server, names) = (ServerKey { namespace: key.namespace.clone(), name: server.clone() }, [name.to_owned()]);
    let own = match stop_of(call(run, deadline, || workflows.own_claims_now(key, &server)).await)? {
        Ok(own) => own,
        Err(error) => return Ok(Err(error)),
    };
    if !own.iter().any(|claim| claim.name == name) {
        return Ok(Ok(()));
    }
    Ok(stop_of(call(run, deadline, || workflows.delete_claims(run, key, &server, &names)).await)?)
}

/// How long the payment of a debt waits for pods to end before it leaves them to the next turn: the next deploy or delete has to wait for it.
const PODS: Duration = Duration::from_secs(5);

async fn pay_replaced(
    workflows: &Workflows,
    run: &Run,
    key: &ReleaseKey,
    name: &ReleaseName,
    deadline: Instant,
) -> Result<Result<(), String>, Halt> {
    let replaced = ReleaseKey { namespace: key.namespace.clone(), name: name.clone() };
    match retire(workflows, run, &replaced, deadline).await {
        Ok(()) => Ok(Ok(())),
        Err(Halt::Failed(failure)) => Ok(Err(failure.message)),
        Err(stop) => Err(stop),
    }
}

/// Writes the login of the revision in force to a connection of ours.
async fn write_login(
    store: &dyn ConnectionStore,
    run: &Run,
    key: &ReleaseKey,
    id: &ConnectionId,
    release: &Release,
    deadline: Instant,
) -> Result<Result<(), String>, Halt> {
    let (Some(credentials), Some(facts)) = (&release.credentials, &release.summary.deployment) else { return Ok(Ok(())) };
    let known = match stop_of(call(run, deadline, || store.get(id)).await)? {
        Ok(Some(known)) if known.owner.as_ref() == Some(key) => known,
        Ok(_) => return Ok(Ok(())),
        Err(error) => return Ok(Err(error)),
    };
    let connection = Connection { id: id.clone(), owner: key.clone(), url: facts.url.clone(), credentials: credentials.clone() };
    Ok(stop_of(call(run, deadline, || store.put(&connection, Some(&known), &run.fence)).await)?.map(|_| ()))
}

fn uses_connection(release: &Release, id: &ConnectionId) -> bool {
    release.summary.deployment.as_ref().is_some_and(|facts| facts.connection_id.as_ref() == Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_debt_from_being_paid_is_told_once_until_it_changes() {
        let unpaid = Unpaid::default();
        let [one, other]: [ReleaseName; 2] = ["dbt-server-a-main", "dbt-server-b-main"].map(|name| name.parse().unwrap());
        let told = ["missing right", "missing right", "no answer", "", "", "no answer"].map(|troubles| unpaid.note(&one, troubles));
        assert_eq!(told, [true, false, true, true, false, true]);
        assert!(unpaid.note(&other, "no answer"));
    }
}
