//! Deleting pods that nobody would replace.

use dbt_controller_domain::model::ServerKey;
use dbt_controller_domain::ports::{ClusterError, Fence};
use dbt_controller_kube_access::{Denied, Fault, fenced};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Preconditions};

use super::fold::PodView;
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
    delete_each(cluster, key, broken_pods, fence).await
}

/// Deletes the pods that lost their StatefulSet: one request for each.
pub(super) async fn delete_orphans(cluster: &KubeCluster, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError> {
    delete_each(cluster, key, orphans, fence).await
}

async fn delete_each(
    cluster: &KubeCluster,
    key: &ServerKey,
    which: fn(&Server) -> Vec<FoundPod>,
    fence: &Fence,
) -> Result<Vec<String>, ClusterError> {
    let api = cluster.api::<Pod>(&key.namespace);
    let mut deleted = Vec::new();
    for FoundPod { ordinal, name, uid } in cluster.servers.look(key, which) {
        if delete(&api, &name, &uid, fence).await? {
            let is_shown = |server: &Server| server.pods.get(&ordinal).is_none_or(|pod| pod.state.uid != uid || pod.state.terminating);
            cluster.shown(key, fence, is_shown).await?;
            deleted.push(name);
        }
    }
    Ok(deleted)
}

struct FoundPod {
    ordinal: u32,
    name: String,
    uid: String,
}

fn broken_pods(server: &Server) -> Vec<FoundPod> {
    let Some(set) = &server.set else { return Vec::new() };
    found(server, |pod| !pod.state.ready && pod.state.revision != set.state.update_revision)
}

/// A pod whose StatefulSet is gone but named as its owner is the garbage collector's.
fn orphans(server: &Server) -> Vec<FoundPod> {
    if server.set.is_some() {
        return Vec::new();
    }
    found(server, |pod| pod.owner.is_none())
}

/// The pods of this kind that are not on their way out.
fn found(server: &Server, is_wanted: impl Fn(&PodView) -> bool) -> Vec<FoundPod> {
    let pods = server.pods.iter().filter(|(_, pod)| !pod.state.terminating && is_wanted(pod));
    pods.map(|(ordinal, pod)| FoundPod { ordinal: *ordinal, name: pod.state.name.clone(), uid: pod.state.uid.clone() }).collect()
}

/// False when the pod is gone, or is another one by now.
async fn delete(api: &Api<Pod>, name: &str, uid: &str, fence: &Fence) -> Result<bool, ClusterError> {
    let this_one = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    match fenced(fence, api.delete(name, &DeleteParams { preconditions: Some(this_one), ..DeleteParams::default() })).await {
        Ok(_) => Ok(true),
        Err(Denied::Fault(Fault::NotFound(_) | Fault::OtherUid(_))) => Ok(false),
        Err(error) => Err(denied(error)),
    }
}
