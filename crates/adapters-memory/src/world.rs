//! The world: all state behind the ports, in one handle.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dbt_controller_domain::model::{Namespace, ReleaseSummary, ServerKey, ServerState, Warehouse};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::airflow::{Airflow, AirflowState, MemoryConnections};
use crate::clock::{MemoryClock, Moment, Timeline};
use crate::faults::{Calls, Faults};
use crate::gate::Gate;
use crate::operations::{MemoryOperations, OperationRecords, OperationTable};
use crate::random::SequenceRandom;
use crate::releases::{MemoryInstaller, ObjectTable, ReleaseTable, Releases};
use crate::servers::{Claims, MemoryCluster, Pace, Server, ServerTable, Servers};

/// A cluster with Helm, and an Airflow, in memory. Clones are one world: give one to each instance of the service that shall share it.
///
/// The methods above the line hand out what the service works with, the others what a test looks through and interferes with. Nothing
/// that a test does by these handles is counted, stopped by a fault, or kept from it by an outage.
#[derive(Debug, Clone)]
pub struct MemoryWorld {
    inner: Arc<Inner>,
}

/// How a world is made.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// From a pod's start to its readiness (`EMBEDDED_READY_AFTER`).
    pub ready_after: Duration,
    /// The namespaces that exist. In each of them are the Secrets of all warehouses.
    pub namespaces: Vec<Namespace>,
    /// What the clock shows at the beginning; time goes on from there by tokio's clock.
    pub begins_at: Timestamp,
}

/// Whether the cluster can be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClusterLink {
    /// It can.
    #[default]
    Up,
    /// It answers no call. What is answered from memory still is, and (other than in a real cluster) is not even out of date.
    Lost,
    /// It has not been read yet, so nothing can be answered from memory either.
    NeverSynced,
}

/// Whether Airflow can be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AirflowLink {
    /// It can.
    #[default]
    Up,
    /// It does not answer.
    Down,
    /// It refuses the login.
    RefusesUs,
    /// It takes the login, but the role may see no connections (DAGs it may).
    RoleTooLow,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            ready_after: Duration::from_secs(1),
            namespaces: vec!["dbt-server".parse().expect("it is a DNS label")],
            begins_at: Timestamp::constant(1_767_225_600, 0), // 2026-01-01T00:00:00Z
        }
    }
}

impl MemoryWorld {
    /// A new world with nothing in it. Needs no runtime.
    pub fn new(options: WorldOptions) -> Self {
        let WorldOptions { ready_after, namespaces, begins_at } = options;
        let inner = Inner {
            timeline: Timeline::new(begins_at),
            pace: Pace::new(ready_after),
            namespaces: namespaces.into_iter().collect(),
            random: SequenceRandom::new(),
            gate: Gate::new(),
            state: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The Helm releases, as the service works with them.
    pub fn installer(&self) -> Arc<MemoryInstaller> {
        Arc::new(MemoryInstaller(self.share()))
    }

    /// The cluster, as the service works with it.
    pub fn cluster(&self) -> Arc<MemoryCluster> {
        Arc::new(MemoryCluster(self.share()))
    }

    /// Airflow, as the service works with it.
    pub fn connections(&self) -> Arc<MemoryConnections> {
        Arc::new(MemoryConnections(self.share()))
    }

    /// The operation records, as one replica works with them. Every replica leads.
    pub fn operations(&self) -> Arc<MemoryOperations> {
        Arc::new(MemoryOperations::new(self.share()))
    }

    /// The clock of this world.
    pub fn clock(&self) -> Arc<MemoryClock> {
        Arc::new(MemoryClock(self.inner.timeline.clone()))
    }

    /// Chance for tests, one sequence for all instances. Its passwords can be guessed: the service itself brings its own.
    pub fn random(&self) -> Arc<SequenceRandom> {
        Arc::new(self.inner.random.clone())
    }

    // ─── for tests ───

    /// Looks at releases, plants them, and changes them as a human with `helm` and `kubectl` does.
    pub fn releases(&self) -> Releases {
        Releases(self.share())
    }

    /// Looks at servers, and makes trouble for them.
    pub fn servers(&self) -> Servers {
        Servers(self.share())
    }

    /// Looks at claims and plants them.
    pub fn claims(&self) -> Claims {
        Claims(self.share())
    }

    /// Looks at Airflow's connections, passwords included, plants them, and sets DAGs.
    pub fn airflow(&self) -> Airflow {
        Airflow(self.share())
    }

    /// Looks at the operation records.
    pub fn operation_records(&self) -> OperationRecords {
        OperationRecords(self.share())
    }

    /// Plans faults.
    pub fn faults(&self) -> Faults {
        Faults(self.share())
    }

    /// Counts calls.
    pub fn calls(&self) -> Calls {
        Calls(self.share())
    }

    /// Takes the cluster down or up.
    pub fn set_cluster_link(&self, link: ClusterLink) {
        self.inner.scene().state.cluster_link = link;
    }

    /// Takes Airflow down or up.
    pub fn set_airflow_link(&self, link: AirflowLink) {
        self.inner.scene().state.airflow_link = link;
    }

    /// Everything that deployments of ours have now, one line each: releases, objects, pods, claims and connections that are ours.
    /// Operation records are not part of it. Empty means that nothing is left.
    pub fn leftovers(&self) -> Vec<String> {
        let mut scene = self.inner.scene();
        scene.settle_all();
        let state = &*scene.state;
        let is_ours = |summary: &&Arc<ReleaseSummary>| summary.deployment.as_ref().is_some_and(|facts| facts.ours);
        let releases = state.releases.summaries().filter(is_ours).map(|summary| format!("release {} ({})", summary.key, summary.status));
        let others: BTreeSet<_> = state.releases.summaries().filter(|summary| !is_ours(summary)).map(|summary| &summary.key).collect();
        let owned = state.objects.owned_by_any().filter(|(key, _)| !others.contains(key));
        let objects = owned.map(|(key, object)| format!("object {object} of {key}"));
        let pods = state.servers.iter().flat_map(|(key, server)| server.pods.iter().map(move |_| format!("pod of {key}")));
        let claims =
            state.servers.iter().flat_map(|(key, server)| server.claims.keys().map(move |claim| format!("claim {claim} of {key}")));
        let connections = state.airflow.ours().map(|connection| format!("connection {}", connection.id));
        releases.chain(objects).chain(pods).chain(claims).chain(connections).collect()
    }

    fn share(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }
}

/// What all handles share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) timeline: Timeline,
    pub(crate) pace: Pace,
    pub(crate) namespaces: BTreeSet<Namespace>,
    pub(crate) gate: Gate,
    random: SequenceRandom,
    state: Mutex<State>,
}

/// All that changes. One lock holds it and is never held across an `.await`, so each call is one atomic step.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) cluster_link: ClusterLink,
    pub(crate) airflow_link: AirflowLink,
    pub(crate) releases: ReleaseTable,
    pub(crate) objects: ObjectTable,
    pub(crate) servers: ServerTable,
    /// Everywhere else they exist.
    pub(crate) removed_secrets: BTreeSet<(Namespace, Warehouse)>,
    pub(crate) airflow: AirflowState,
    pub(crate) operations: OperationTable,
}

/// The locked state at one moment.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a Inner,
    pub(crate) state: MutexGuard<'a, State>,
    pub(crate) now: Moment,
}

impl Inner {
    pub(crate) fn scene(&self) -> Scene<'_> {
        // Every step checks before it changes, so a panic elsewhere leaves no half-written state.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Scene { world: self, state, now: self.timeline.now() }
    }
}

impl Scene<'_> {
    /// The present moment as a wall clock shows it.
    pub(crate) fn timestamp(&self) -> Timestamp {
        self.world.timeline.timestamp(self.now)
    }

    /// What is under a server's name, played up to the present; none if there is nothing.
    pub(crate) fn server(&mut self, key: &ServerKey) -> Option<&mut Server> {
        let State { servers, removed_secrets, .. } = &mut *self.state;
        let server = servers.get_mut(key)?;
        let has_secret = |warehouse| !removed_secrets.contains(&(key.namespace.clone(), warehouse));
        server.settle(key, &self.world.pace, &has_secret, self.now);
        Some(server)
    }

    /// As [`Scene::server`], but makes an empty one. [`Scene::announce`] forgets it again if it stays empty.
    pub(crate) fn server_entry(&mut self, key: &ServerKey) -> &mut Server {
        self.state.servers.entry(key.clone()).or_default();
        self.server(key).expect("it was made in the line above")
    }

    /// Ends a change of a server: wakes its watches, or forgets it when nothing is there and nobody watches.
    pub(crate) fn announce(&mut self, key: &ServerKey) {
        let Some(server) = self.server(key) else { return };
        server.announce();
        if server.is_vacant() {
            self.state.servers.remove(key);
        }
    }

    /// What can be seen of a server, and when that changes next by itself.
    pub(crate) fn look(&mut self, key: &ServerKey) -> (ServerState, Option<Instant>) {
        let (world, now) = (self.world, self.now);
        let Some(server) = self.server(key) else { return (ServerState::default(), None) };
        let next = server.next_change(&world.pace, now).map(|moment| world.timeline.instant(moment));
        (server.view(key, &world.pace, &world.timeline, now), next)
    }

    /// Plays every server up to the present. For tests' eyes only: it takes time for all of them.
    pub(crate) fn settle_all(&mut self) {
        let keys: Vec<_> = self.state.servers.keys().cloned().collect();
        for key in keys {
            self.announce(&key);
        }
    }
}
