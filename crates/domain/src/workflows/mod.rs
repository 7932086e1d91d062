//! The workflows: one module each. A mutating workflow is a saga whose steps are named functions, run by the operations engine.

mod await_server;
mod call;
mod connect;
mod dags;
mod delete;
mod deploy;
pub(crate) mod faults;
pub(crate) mod inspect;
pub(crate) mod list;
mod ownership;
mod prepare;
mod rebuild;
mod remains;
mod replaced;
mod scale;
mod settle;
mod takeover;
mod undo;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::controller::Ports;
use crate::model::{Debt, FinishedOperation, ReleaseKey, ReleaseSummary, ServerKey, ServerName, Settings, Task};
use crate::naming::{ConnectionId, ReleaseName};
use crate::operations::{Ending, Executor, Run};
use async_trait::async_trait;
use dags::RecentDags;
use inspect::Readings;
use settle::Unpaid;

/// Runs the tasks of operations over the ports.
pub struct Workflows {
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    /// Connection ids that running deploys of this replica have chosen and not yet written.
    chosen: Mutex<HashMap<ConnectionId, ReleaseKey>>,
    recent_dags: RecentDags,
    unpaid: Unpaid,
    /// What was read of the outside for those who look at a deployment.
    pub(crate) readings: Readings,
}

impl Workflows {
    /// Workflows over these adapters.
    pub fn new(ports: Ports, settings: Settings) -> Self {
        Self {
            ports,
            settings,
            chosen: Mutex::default(),
            recent_dags: RecentDags::default(),
            unpaid: Unpaid::default(),
            readings: Readings::default(),
        }
    }

    /// The server that a deploy writes: the one that its ledger names, else the one that the release's record tells of.
    async fn server_to_write(&self, run: &Run) -> ServerKey {
        let key = &run.info.key;
        if let Some(name) = run.ledger().server {
            return ServerKey { namespace: key.namespace.clone(), name };
        }
        // What cannot be read now is asked for again, and answered for, by the first step.
        let release = self.ports.installer.summary(key).await.unwrap_or_default();
        server_of(key, release.filter(|release| release.is_present()).as_ref())
    }

    /// Reserves a connection id for a release until the guard is dropped; none when another release has it.
    fn reserve(&self, id: &ConnectionId, key: &ReleaseKey) -> Option<Reserved<'_>> {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if chosen.get(id).is_some_and(|holder| holder != key) {
            return None;
        }
        chosen.insert(id.clone(), key.clone());
        Some(Reserved { workflows: self, id: id.clone() })
    }
}

/// A connection id in use by a running deploy.
struct Reserved<'a> {
    workflows: &'a Workflows,
    id: ConnectionId,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.workflows.chosen.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[async_trait]
impl Executor for Workflows {
    async fn execute(&self, run: &Run, task: &Task, taken_over: bool) -> Ending {
        let mut ending = match task {
            Task::Deploy(request) => deploy::deploy(self, run, request, taken_over).await,
            Task::Delete => delete::delete(self, run, taken_over).await,
            Task::Suspend { force } => scale::suspend(self, run, *force).await,
            Task::Resume => scale::resume(self, run).await,
            Task::Settle => settle::settle(self, run).await,
            Task::FollowDags => dags::follow(self, run).await,
        };
        remains::make_void(run, &mut ending).await;
        // Whoever looks next is shown what it has become. Before the end is on record: a caller who is answered then may look at once.
        self.readings.forget(&run.info.key);
        ending
    }

    fn may_pay(&self, key: &ReleaseKey, debt: &Debt) -> bool {
        let has_means = match debt {
            Debt::Claim { .. } | Debt::Replaced(_) | Debt::Remains { .. } => true,
            Debt::Connection(_) | Debt::OwnConnections | Debt::Login(_) => self.ports.connections.is_some(),
        };
        has_means && self.settings.namespaces.contains(&key.namespace)
    }

    fn ended(&self, finished: &FinishedOperation) {
        if let Some(events) = &self.ports.events {
            events.record(&server_of(&finished.info.key, None), finished);
        }
    }
}

/// The server of a release: what its record says. Without one, what our own releases call it, or the replaced service its own.
pub(crate) fn server_of(key: &ReleaseKey, summary: Option<&Arc<ReleaseSummary>>) -> ServerKey {
    let recorded = summary.and_then(|summary| summary.deployment.as_ref()).map(|facts| facts.server.clone());
    let by_name = || match key.name.as_str() {
        own if own.starts_with(ReleaseName::PREFIX) => ServerName::from(&key.name),
        replaced => format!("{}{replaced}", ReleaseName::PREFIX).parse().unwrap_or_else(|_| ServerName::from(&key.name)),
    };
    ServerKey { namespace: key.namespace.clone(), name: recorded.unwrap_or_else(by_name) }
}
