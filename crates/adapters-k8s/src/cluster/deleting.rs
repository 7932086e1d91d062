//! Deleting a StatefulSet, with or without its pods.

use dbt_controller_domain::model::ServerKey;
use dbt_controller_domain::ports::{ClusterError, Fence};
use dbt_controller_kube_access::{Denied, Fault, fenced};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{DeleteParams, Preconditions};

use super::servers::Server;
use super::{KubeCluster, denied};

/// Deletes a StatefulSet by one request and waits until it is gone: the garbage collector first lets its pods go, or ends them.
pub(super) async fn delete_stateful_set(
    cluster: &KubeCluster,
    key: &ServerKey,
    keep_pods: bool,
    fence: &Fence,
) -> Result<(), ClusterError> {
    fence.check()?;
    // What was not read yet is not absent.
    cluster.readable(&key.namespace)?;
    let api = cluster.api::<StatefulSet>(&key.namespace);
    // What is shown before the request is what has to go; something newer was made by somebody else.
    let shown = cluster.servers.look(key, |server| server.set.as_ref().map(|set| set.uid.clone()));
    let Some(uid) = shown else { return Ok(()) };
    let params = if keep_pods { DeleteParams::orphan() } else { DeleteParams::foreground() };
    let params = params.preconditions(Preconditions { uid: Some(uid.clone()), resource_version: None });
    match fenced(fence, api.delete(key.name.as_str(), &params)).await {
        Ok(_) | Err(Denied::Fault(Fault::NotFound(_) | Fault::NamespaceMissing(_) | Fault::OtherUid(_))) => {}
        Err(error) => return Err(denied(error)),
    }
    let is_deleted = |deleted: &str| deleted == uid;
    let set_is_gone = |server: &Server| server.set.as_ref().is_none_or(|set| !is_deleted(&set.uid));
    if keep_pods {
        return cluster.wait(key, fence, set_is_gone).await;
    }
    // Orphans of an earlier call are nobody's; only what is on its way out is waited for.
    let pods_are_gone =
        |server: &Server| server.pods.values().all(|pod| !pod.state.terminating && !pod.owner.as_deref().is_some_and(is_deleted));
    cluster.wait(key, fence, |server| set_is_gone(server) && pods_are_gone(server)).await
}
