//! Servers: StatefulSets, pods and claims, simulated.
//!
//! A server is a state and the moment up to which it was played. Whoever looks at it first plays it up to the present
//! ([`Server::settle`]), so no task runs for a server that nobody watches. A watch has a task of its own, which sleeps until the
//! next moment at which something changes (see [`watching`]).

mod autopsy;
mod cluster;
mod controller;
mod handle;
mod pod;
mod view;
mod watching;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dbt_controller_domain::Identity;
use dbt_controller_domain::model::{ByteQuantity, Claim, DagState, ReleaseKey, ServerKey};
use tokio::sync::watch;

pub use self::cluster::MemoryCluster;
pub use self::handle::{Claims, Servers};
pub use self::pod::Hindrance;
pub(crate) use self::pod::{Fate, FixedFields, Pod, PodTemplate, Selector, ServerSpec};
use crate::clock::Moment;

/// How fast things go.
#[derive(Debug)]
pub(crate) struct Pace {
    /// From a pod's start to its readiness.
    pub(crate) ready_after: Duration,
    /// From the order to delete a pod until it is gone.
    pub(crate) termination: Duration,
    /// From a change of a StatefulSet's spec until its controller has seen it. Until then the status is the old one, and a wait
    /// that does not look at `observedGeneration` takes the old server for the new one.
    pub(crate) observation: Duration,
    uids: AtomicU64,
}

/// All servers, by key.
pub(crate) type ServerTable = BTreeMap<ServerKey, Server>;

/// Whatever is in the cluster under a server's name.
#[derive(Debug, Default)]
pub(crate) struct Server {
    pub(crate) stateful_set: Option<StatefulSet>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) claims: BTreeMap<String, StoredClaim>,
    /// What keeps new pods from starting.
    pub(crate) hindrance: Option<Hindrance>,
    /// Whether the storage class does not grow claims.
    pub(crate) rigid_claims: bool,
    /// Whether the watch of the claims does not show them: its connection died without a word before they were made.
    pub(crate) unseen_claims: bool,
    /// Wakes the tasks of its watches; made at the first watch.
    changes: Option<watch::Sender<()>>,
}

#[derive(Debug)]
pub(crate) struct StatefulSet {
    release: ReleaseKey,
    pub(crate) spec: Spec,
    pub(crate) fixed: FixedFields,
    generation: i64,
    /// What the controller has seen, and works by.
    observed: Option<Observed>,
    /// When it will have seen the present spec.
    observed_at: Option<Moment>,
    created: Moment,
    pub(crate) dag_state: Option<DagState>,
}

#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) template: Arc<PodTemplate>,
    pub(crate) replicas: u32,
}

#[derive(Debug)]
struct Observed {
    spec: Spec,
    generation: i64,
    current_revision: String,
}

/// A claim.
#[derive(Debug)]
pub(crate) struct StoredClaim {
    pub(crate) identity: Option<Identity>,
    pub(crate) size: Option<ByteQuantity>,
    /// The pod that uses it, by ordinal.
    ordinal: Option<u32>,
    /// Deleted, but a pod still uses it.
    deleting: bool,
}

/// The change was refused because it concerns a field that cannot change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImmutableField;

// === impl Pace ===

impl Pace {
    pub(crate) fn new(ready_after: Duration) -> Self {
        Self { ready_after, termination: Duration::from_millis(100), observation: Duration::from_millis(10), uids: AtomicU64::new(0) }
    }

    /// How long a pull takes.
    fn pull(&self) -> Duration {
        self.ready_after / 4
    }

    /// The first wait before a restart. Short enough for three restarts within 5 s, and never 0, or a crashing container would
    /// go round without time passing.
    fn backoff(&self) -> Duration {
        (self.ready_after / 2).clamp(Duration::from_millis(10), Duration::from_millis(500))
    }

    fn uid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.uids.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

// === impl Server ===

impl Server {
    /// Writes the StatefulSet as a release wants it. `replicas` is left as it is; a new one has the API's default, 1.
    ///
    /// A changed claim size is refused, or makes a new StatefulSet around the old one's pods. Every other fixed field is refused.
    pub(crate) fn apply(&mut self, spec: &ServerSpec, may_make_anew: bool, pace: &Pace, now: Moment) -> Result<(), ImmutableField> {
        let ServerSpec { release: _, template, fixed } = spec;
        match &mut self.stateful_set {
            Some(set) if set.fixed != *fixed => {
                if !may_make_anew || set.fixed.selector != fixed.selector {
                    return Err(ImmutableField);
                }
                let replicas = set.spec.replicas;
                let mut anew = StatefulSet::new(spec.clone(), pace, now);
                anew.spec.replicas = replicas;
                *set = anew;
            }
            Some(set) if set.spec.template.revision == template.revision => {}
            Some(set) => {
                set.spec.template = Arc::clone(template);
                set.changed(pace, now);
            }
            None => self.stateful_set = Some(StatefulSet::new(spec.clone(), pace, now)),
        }
        Ok(())
    }

    /// Sets `spec.replicas`; false without a StatefulSet.
    pub(crate) fn scale(&mut self, replicas: u32, pace: &Pace, now: Moment) -> bool {
        let Some(set) = &mut self.stateful_set else { return false };
        if set.spec.replicas != replicas {
            set.spec.replicas = replicas;
            set.changed(pace, now);
        }
        true
    }

    /// Deletes the StatefulSet, and its pods unless they are to be orphaned.
    pub(crate) fn remove_stateful_set(&mut self, keep_pods: bool, pace: &Pace, now: Moment) {
        if self.stateful_set.take().is_some() && !keep_pods {
            self.pods.iter_mut().for_each(|pod| pod.terminate(pace, now));
        }
    }

    /// Deletes claims: at once, or when the pod that uses one is gone (Kubernetes' finalizer `pvc-protection`).
    pub(crate) fn delete_claims(&mut self, names: &[String]) {
        for name in names {
            if let Some(claim) = self.claims.get_mut(name) {
                claim.deleting = true;
            }
        }
        self.drop_deleted_claims();
    }

    pub(crate) fn list_claims(&self) -> Vec<Claim> {
        let as_seen = |(name, claim): (&String, &StoredClaim)| Claim {
            name: name.clone(),
            identity: claim.identity.clone(),
            size: claim.size.clone(),
            phase: "Bound".to_owned(),
            terminating: claim.deleting,
        };
        self.claims.iter().map(as_seen).collect()
    }

    /// Wakes its watches.
    pub(crate) fn announce(&self) {
        if let Some(changes) = &self.changes {
            changes.send_replace(());
        }
    }

    /// Ends its watches, as a broken connection does.
    pub(crate) fn break_watches(&mut self) {
        self.changes = None;
    }

    /// Whether nothing is left that the world would have to remember.
    pub(crate) fn is_vacant(&self) -> bool {
        let Self { stateful_set, pods, claims, hindrance, rigid_claims, unseen_claims, changes } = self;
        stateful_set.is_none()
            && pods.is_empty()
            && claims.is_empty()
            && hindrance.is_none()
            && !rigid_claims
            && !unseen_claims
            && changes.as_ref().is_none_or(|changes| changes.receiver_count() == 0)
    }

    fn subscribe(&mut self) -> watch::Receiver<()> {
        self.changes.get_or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    fn drop_deleted_claims(&mut self) {
        let pods = &self.pods;
        let in_use = |claim: &StoredClaim| pods.iter().any(|pod| Some(pod.ordinal) == claim.ordinal);
        self.claims.retain(|_, claim| !claim.deleting || in_use(claim));
    }
}

// === impl StatefulSet ===

impl StatefulSet {
    fn new(spec: ServerSpec, pace: &Pace, now: Moment) -> Self {
        let ServerSpec { release, template, fixed } = spec;
        Self {
            release,
            spec: Spec { template, replicas: 1 },
            fixed,
            generation: 1,
            observed: None,
            observed_at: Some(now + pace.observation),
            created: now,
            dag_state: None,
        }
    }

    /// `status.updateRevision`: none until the controller has seen the StatefulSet.
    fn update_revision(&self) -> Option<&str> {
        self.observed.as_ref().map(|observed| observed.spec.template.revision.as_str())
    }

    fn changed(&mut self, pace: &Pace, now: Moment) {
        self.generation += 1;
        self.observed_at.get_or_insert(now + pace.observation);
    }
}

// === impl StoredClaim ===

impl StoredClaim {
    /// A claim that no pod uses yet.
    pub(crate) fn new(identity: Option<Identity>, size: Option<ByteQuantity>) -> Self {
        Self { identity, size, ordinal: None, deleting: false }
    }
}
