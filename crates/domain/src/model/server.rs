//! What is seen of a server in the cluster: its StatefulSet, pods and claims.

use std::time::Duration;

use dbt_controller_naming::Identity;
use jiff::Timestamp;

use super::{ByteQuantity, DagState, Namespace, ReleaseKey, ServerName};
use crate::words;

/// A server: its StatefulSet's namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerKey {
    /// The namespace.
    pub namespace: Namespace,
    /// The StatefulSet's name.
    pub name: ServerName,
}

impl std::fmt::Display for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One observation of a server, complete in itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerState {
    /// The StatefulSet, if it exists.
    pub stateful_set: Option<StatefulSetState>,
    /// Its pods, by ordinal.
    pub pods: Vec<PodState>,
}

impl ServerState {
    /// Whether a StatefulSet stands there that is not this release's. Its pods and claims are somebody else's too, whatever they are called.
    pub fn is_somebody_elses(&self, release: &ReleaseKey) -> bool {
        self.stateful_set.as_ref().is_some_and(|set| set.release.as_ref() != Some(release))
    }
}

/// Spec and status of a StatefulSet, as far as readiness needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatefulSetState {
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `spec.replicas`.
    pub replicas: u32,
    /// `status.readyReplicas`.
    pub ready_replicas: u32,
    /// `status.updatedReplicas`.
    pub updated_replicas: u32,
    /// `status.currentRevision`.
    pub current_revision: String,
    /// `status.updateRevision`.
    pub update_revision: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The release whose it is, by Helm's annotations; none when it is no release's.
    pub release: Option<ReleaseKey>,
    /// Why no pod can be created (quota, admission), when the cluster said so.
    pub pod_refusal: Option<PodRefusal>,
    /// What the release's DAGs were doing when somebody of us last looked; none when nobody did.
    pub dag_state: Option<DagState>,
}

/// Why the cluster refuses to create the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRefusal {
    /// Whether a quota or another admission check refused it.
    pub by_quota: bool,
    /// The cluster's words.
    pub message: String,
}

/// One pod of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodState {
    /// Its name.
    pub name: String,
    /// Its uid, the precondition of deleting it.
    pub uid: String,
    /// Its `controller-revision-hash`.
    pub revision: String,
    /// Condition `Ready`.
    pub ready: bool,
    /// When the pod was created.
    pub created_at: Timestamp,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// The scheduler's words when it finds no node.
    pub unschedulable: Option<String>,
    /// A volume that cannot be mounted, in the cluster's words.
    pub volume_failure: Option<String>,
    /// Its containers, in order.
    pub containers: Vec<ContainerState>,
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// What it does now.
    pub status: ContainerStatus,
    /// Exit code and reason of its last end, if it ended.
    pub last_exit: Option<ContainerExit>,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerStatus {
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It waits, for example for its image.
    Waiting {
        /// Kubernetes' word, such as `ImagePullBackOff`.
        reason: String,
        /// Kubernetes' sentence, may be empty.
        message: String,
        /// Since when this reason (or another of its family) has stood, as far as it was seen.
        since: Timestamp,
    },
    /// It ended.
    Terminated(ContainerExit),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerExit {
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// Kubernetes' word, such as `Error` or `OOMKilled`.
    pub reason: String,
    /// When it ended.
    pub at: Timestamp,
    /// How long it had run, where that is known.
    pub ran_for: Option<Duration>,
}

words! {
    /// A server in one word.
    pub enum ServerPhase {
        /// Serves requests.
        Ready = "ready",
        /// On its way up.
        Starting = "starting",
        /// Scaled to 0 on purpose.
        Sleeping = "sleeping",
        /// Does not come up.
        Failing = "failing",
        /// Has no StatefulSet.
        Missing = "missing",
    }
}

/// A claim (PersistentVolumeClaim) of a server's own template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its name, `<template>-<StatefulSet>-<ordinal>`.
    pub name: String,
    /// Whose data it holds, from its annotations.
    pub identity: Option<Identity>,
    /// Its requested size.
    pub size: Option<ByteQuantity>,
    /// `Bound`, `Pending` or `Lost`.
    pub phase: String,
    /// Whether it is being deleted. It is there until no pod uses it.
    pub terminating: bool,
}

/// The outcome of one health probe of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether the server answered its `/ready`.
    pub reachable: bool,
    /// How long the answer took; none when there was no answer.
    pub latency: Option<Duration>,
    /// When it was asked.
    pub checked_at: Timestamp,
}
