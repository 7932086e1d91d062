//! Settle: pays the debts that earlier operations of a release had to leave. A debt that a new deployment made void counts as paid.

use tokio::time::Instant;

use super::call::{Halt, call};
use super::delete::remove_if_ours;
use super::deploy::stop_of;
use super::{Workflows, faults, server_of};
use crate::model::{Debt, Failure, Release, Success};
use crate::operations::{Ending, Run};

pub(super) async fn settle(workflows: &Workflows, run: &Run) -> Ending {
    let mut paid = Vec::new();
    match pay(workflows, run, &mut paid).await {
        Ok(()) => Ending::Done { outcome: Ok(Success::Settled), debts: Vec::new(), paid },
        Err(Halt::Stop(stop)) => Ending::Stopped(stop),
        Err(Halt::Failed(failure)) => Ending::Done { outcome: Err(*failure), debts: Vec::new(), paid },
    }
}

async fn pay(workflows: &Workflows, run: &Run, paid: &mut Vec<Debt>) -> Result<(), Halt> {
    let deadline = Instant::now() + workflows.settings.undo_timeout;
    let key = &run.info.key;
    let release = call(run, deadline, || workflows.ports.installer.get(key, None)).await;
    let release = release.map_err(|broken| broken.or_fail(|error| faults::of_installer(&error)))?;
    let release = release.filter(|release| release.summary.is_present());
    let mut trouble = None;
    for debt in run.debts().await {
        let result = match &debt {
            Debt::Connection(id) if uses_connection(release.as_ref(), id) => Ok(()),
            Debt::Connection(id) => match &workflows.ports.connections {
                Some(store) => remove_if_ours(store.as_ref(), run, id, deadline).await?.map(|_| ()),
                None => Err("the service runs without Airflow now".to_owned()),
            },
            Debt::Claim(_) if release.is_some() => Ok(()),
            Debt::Claim(name) => {
                let server = server_of(key, None);
                let names = [name.clone()];
                stop_of(call(run, deadline, || workflows.ports.cluster.delete_claims(&server, &names, &run.fence)).await)?
            }
        };
        match result {
            Ok(()) => paid.push(debt),
            Err(error) => trouble = Some(error),
        }
    }
    match trouble {
        None => Ok(()),
        Some(error) => {
            Err(Failure::new(crate::model::FailureCode::Interrupted, format!("not every debt could be paid yet: {error}")).into())
        }
    }
}

fn uses_connection(release: Option<&Release>, id: &crate::naming::ConnectionId) -> bool {
    release.and_then(|release| release.summary.deployment.as_ref()).is_some_and(|facts| facts.connection_id.as_ref() == Some(id))
}
