//! All servers as last seen, put together from their objects.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dbt_controller_domain::model::{Claim, ContainerState, ContainerStatus, PodState, ServerKey, ServerState, StatefulSetState};
use dbt_controller_kube_access::ObjectKey;
use tokio::sync::watch;

use super::fold::{ClaimView, PodView, SetView, is_same_family, server_key, server_of_claim, server_of_pod};

/// Every server of which anything was seen, and the watches of them.
#[derive(Debug)]
pub(super) struct Servers {
    table: Mutex<Table>,
    /// Goes up with each change of any server, so that waiting costs no polling.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Table {
    servers: HashMap<ServerKey, Server>,
    /// How many servers there may be before those are dropped of which nothing is left and that nobody watches.
    limit: usize,
}

/// What was seen of one server.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) set: Option<SetView>,
    /// By ordinal.
    pub(super) pods: BTreeMap<u32, PodView>,
    /// By ordinal.
    pub(super) claims: BTreeMap<u32, ClaimView>,
    /// What the domain sees of it.
    state: watch::Sender<Arc<ServerState>>,
}

/// A pod that has been without its volumes and network for some time, and for which somebody waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) server: ServerKey,
    pub(super) ordinal: u32,
    pub(super) pod: PodState,
}

impl Servers {
    pub(super) fn new() -> Self {
        Self { table: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// A server as last seen.
    pub(super) fn state(&self, key: &ServerKey) -> Arc<ServerState> {
        self.look(key, |server| server.state.borrow().clone())
    }

    /// Its present state, then each change.
    pub(super) fn watch(&self, key: &ServerKey) -> watch::Receiver<Arc<ServerState>> {
        let mut table = self.table();
        table.drop_the_empty();
        table.servers.entry(key.clone()).or_default().state.subscribe()
    }

    /// Its claims, by ordinal.
    pub(super) fn claims(&self, key: &ServerKey) -> Vec<Claim> {
        self.look(key, |server| server.claims.values().map(|view| view.claim.clone()).collect())
    }

    /// Looks at all that was seen of a server.
    pub(super) fn look<R>(&self, key: &ServerKey, look: impl FnOnce(&Server) -> R) -> R {
        match self.table().servers.get(key) {
            Some(server) => look(server),
            None => look(&Server::default()),
        }
    }

    /// A number that goes up with each change of any server.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes in a StatefulSet, or that it is gone.
    pub(super) fn set_changed(&self, object: &ObjectKey, view: Option<&SetView>) {
        let Some(key) = server_key(&object.namespace, &object.name) else { return };
        self.change(&key, |server| server.set = view.cloned());
    }

    /// Takes in a pod, or that it is gone.
    pub(super) fn pod_changed(&self, object: &ObjectKey, view: Option<&PodView>) {
        let Some((key, ordinal)) = server_of_pod(&object.namespace, &object.name) else { return };
        self.change(&key, |server| match view {
            Some(view) => {
                let mut view = view.clone();
                if let Some(before) = server.pods.get(&ordinal).filter(|before| before.state.uid == view.state.uid) {
                    remember(before, &mut view);
                }
                server.pods.insert(ordinal, view);
            }
            None => {
                server.pods.remove(&ordinal);
            }
        });
    }

    /// Takes in a claim, or that it is gone.
    pub(super) fn claim_changed(&self, object: &ObjectKey, view: Option<&ClaimView>) {
        let Some((key, ordinal)) = server_of_claim(&object.namespace, &object.name) else { return };
        self.change(&key, |server| match view {
            Some(view) => {
                server.claims.insert(ordinal, view.clone());
            }
            None => {
                server.claims.remove(&ordinal);
            }
        });
    }

    /// The pods whose volumes should be asked after.
    pub(super) fn suspects(&self, is_late: impl Fn(&PodState) -> bool) -> Vec<Suspect> {
        let table = self.table();
        let watched = table.servers.iter().filter(|(_, server)| server.is_watched());
        let pods = watched.flat_map(|(key, server)| server.pods.iter().map(move |(ordinal, view)| (key, *ordinal, view)));
        pods.filter(|(_, _, view)| view.preparing && !view.state.terminating && is_late(&view.state))
            .map(|(key, ordinal, view)| Suspect { server: key.clone(), ordinal, pod: view.state.clone() })
            .collect()
    }

    /// What was found out about a suspect's volumes.
    pub(super) fn volumes_were_asked(&self, suspect: &Suspect, failure: Option<String>) {
        self.change(&suspect.server, |server| {
            let pod = server.pods.get_mut(&suspect.ordinal).filter(|view| view.state.uid == suspect.pod.uid && view.preparing);
            if let Some(view) = pod {
                view.state.volume_failure = failure;
            }
        });
    }

    fn change(&self, key: &ServerKey, change: impl FnOnce(&mut Server)) {
        {
            let mut table = self.table();
            let server = table.servers.entry(key.clone()).or_default();
            change(server);
            server.show();
            if server.is_empty() && !server.is_watched() {
                table.servers.remove(key);
            }
        }
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Each change replaces one part of one server; a panic elsewhere cannot leave it half changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn drop_the_empty(&mut self) {
        if self.servers.len() > self.limit {
            self.servers.retain(|_, server| !server.is_empty() || server.is_watched());
            // Doubling makes this a constant effort per watch.
            self.limit = (self.servers.len() * 2).max(64);
        }
    }
}

impl Server {
    fn is_empty(&self) -> bool {
        self.set.is_none() && self.pods.is_empty() && self.claims.is_empty()
    }

    fn is_watched(&self) -> bool {
        self.state.receiver_count() > 0
    }

    /// For how long its pods may be ending without anything that shows.
    pub(super) fn longest_grace(&self) -> Duration {
        self.pods.values().map(|pod| pod.grace).max().unwrap_or_default()
    }

    fn show(&self) {
        let state = ServerState {
            stateful_set: self.set.as_ref().map(|set| self.stateful_set(set)),
            pods: self.pods.iter().map(|(ordinal, view)| self.pod(*ordinal, view)).collect(),
        };
        self.state.send_if_modified(|shown| {
            let is_new = **shown != state;
            if is_new {
                *shown = Arc::new(state);
            }
            is_new
        });
    }

    /// The status counts no pods but those that were seen so: StatefulSets, pods and claims come by different watches, and a server
    /// must not be called ready beside a pod or a claim that is shown as it was before.
    fn stateful_set(&self, set: &SetView) -> StatefulSetState {
        let count = |is_meant: &dyn Fn(u32, &PodView) -> bool| {
            let pods = self.pods.iter().filter(|(ordinal, view)| is_meant(**ordinal, view)).count();
            u32::try_from(pods).unwrap_or(u32::MAX)
        };
        let is_ready = |ordinal, view: &PodView| view.state.ready && (!view.has_claim || self.has_bound_claim(ordinal));
        let is_updated = |_, view: &PodView| view.state.revision == set.state.update_revision;
        let mut state = set.state.clone();
        state.ready_replicas = state.ready_replicas.min(count(&is_ready));
        state.updated_replicas = state.updated_replicas.min(count(&is_updated));
        state
    }

    fn has_bound_claim(&self, ordinal: u32) -> bool {
        self.claims.get(&ordinal).is_some_and(|view| view.claim.phase != "Pending")
    }

    fn pod(&self, ordinal: u32, view: &PodView) -> PodState {
        let mut pod = view.state.clone();
        if let Some(claim) = self.claims.get(&ordinal).filter(|view| view.claim.phase == "Lost") {
            let failure = || format!("claim `{}` has lost its volume", claim.claim.name);
            pod.volume_failure.get_or_insert_with(failure);
        }
        pod
    }
}

/// Carries over what a single look at a pod does not tell: since when a container waits, and what was found out about volumes.
fn remember(before: &PodView, view: &mut PodView) {
    if view.preparing {
        view.state.volume_failure.clone_from(&before.state.volume_failure);
    }
    for container in &mut view.state.containers {
        let before = before.state.containers.iter().find(|before| before.name == container.name);
        if let (
            Some(ContainerState { status: ContainerStatus::Waiting { reason: before, since: first, .. }, .. }),
            ContainerStatus::Waiting { reason, since, .. },
        ) = (before, &mut container.status)
            && is_same_family(before, reason)
        {
            *since = *first;
        }
    }
}

#[cfg(test)]
mod tests;
