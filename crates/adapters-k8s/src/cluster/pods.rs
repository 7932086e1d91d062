//! Deleting pods that nobody would replace.

use dbt_controller_domain::model::ServerKey;
use dbt_controller_domain::ports::{ClusterError, Fence};
use dbt_controller_kube_access::{Denied, Fault, fenced};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Preconditions};

use super::servers::Server;
use super::{KubeCluster, denied};

/// Deletes the broken pods of a server: one request for the newest generation, one for each such pod.
///
/// Before the controller has seen the newest template, the status names the old revision as the one to update to, and what is broken
/// would look as if it were new.
pub(super) async fn delete_broken(cluster: &KubeCluster, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError> {
    let sets = cluster.api::<StatefulSet>(&key.namespace);
    let Some(set) = fenced(fence, sets.get_metadata_opt(key.name.as_str())).await.map_err(denied)? else { return Ok(Vec::new()) };
    let generation = set.metadata.generation.unwrap_or_default();
    let is_observed = |server: &Server| match &server.set {
        Some(set) => set.state.generation >= generation && set.state.observed_generation >= set.state.generation,
        None => false,
    };
    cluster.shown(key, fence, is_observed).await?;

    let api = cluster.api::<Pod>(&key.namespace);
    let mut deleted = Vec::new();
    for BrokenPod { ordinal, name, uid } in cluster.servers.look(key, broken_pods) {
        if delete(&api, &name, &uid, fence).await? {
            let is_shown = |server: &Server| server.pods.get(&ordinal).is_none_or(|pod| pod.state.uid != uid || pod.state.terminating);
            cluster.shown(key, fence, is_shown).await?;
            deleted.push(name);
        }
    }
    Ok(deleted)
}

struct BrokenPod {
    ordinal: u32,
    name: String,
    uid: String,
}

fn broken_pods(server: &Server) -> Vec<BrokenPod> {
    let Some(set) = &server.set else { return Vec::new() };
    let pods = server.pods.iter().map(|(ordinal, view)| (*ordinal, &view.state));
    pods.filter(|(_, pod)| !pod.ready && !pod.terminating && pod.revision != set.state.update_revision)
        .map(|(ordinal, pod)| BrokenPod { ordinal, name: pod.name.clone(), uid: pod.uid.clone() })
        .collect()
}

/// False when the pod is gone, or is another one by now.
async fn delete(api: &Api<Pod>, name: &str, uid: &str, fence: &Fence) -> Result<bool, ClusterError> {
    let this_one = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    match fenced(fence, api.delete(name, &DeleteParams { preconditions: Some(this_one), ..DeleteParams::default() })).await {
        Ok(_) => Ok(true),
        Err(Denied::Fault(Fault::NotFound(_) | Fault::Conflict(_))) => Ok(false),
        Err(error) => Err(denied(error)),
    }
}
