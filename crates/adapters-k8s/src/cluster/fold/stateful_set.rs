//! StatefulSets.

use dbt_controller_domain::model::{ReleaseKey, StatefulSetState};
use dbt_controller_kube_access::helm_release_of;
use k8s_openapi::api::apps::v1::StatefulSet;

use super::{count, created_at, uid_of};

/// The annotation that says what the release's DAGs were doing when the service last looked.
pub(in crate::cluster) const DAG_STATE: &str = "dbt-controller.fast.bi/dag-state";

/// What is kept of a StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct SetView {
    pub(in crate::cluster) uid: String,
    pub(in crate::cluster) state: StatefulSetState,
}

/// Folds a StatefulSet. Its status has no word on why a pod cannot be created, so `pod_refusal` is always none; a dry run tells.
pub(in crate::cluster) fn stateful_set(set: StatefulSet) -> SetView {
    let status = set.status.unwrap_or_default();
    let annotations = set.metadata.annotations.as_ref();
    let dag_state = annotations.and_then(|annotations| annotations.get(DAG_STATE)?.parse().ok());
    let release = annotations.and_then(helm_release_of);
    // A name that is none of a release's is not that of any of ours.
    let release = release.and_then(|(namespace, name)| Some(ReleaseKey { namespace: namespace.parse().ok()?, name: name.parse().ok()? }));
    SetView {
        uid: uid_of(&set.metadata),
        state: StatefulSetState {
            generation: set.metadata.generation.unwrap_or_default(),
            observed_generation: status.observed_generation.unwrap_or_default(),
            // The API server fills in 1 where none is given.
            replicas: set.spec.replicas.map_or(1, |replicas| count(Some(replicas))),
            ready_replicas: count(status.ready_replicas),
            updated_replicas: count(status.updated_replicas),
            current_revision: status.current_revision.unwrap_or_default(),
            update_revision: status.update_revision.unwrap_or_default(),
            created_at: created_at(&set.metadata),
            release,
            pod_refusal: None,
            dag_state,
        },
    }
}
