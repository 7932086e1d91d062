//! Reading, deleting and growing claims.

use dbt_controller_domain::model::{ByteQuantity, Claim, ServerKey};
use dbt_controller_domain::ports::{ClusterError, Fence};
use dbt_controller_kube_access::{Denied, Fault, ObjectKey, READ_LIMIT, call, fenced};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, ListParams, Patch};
use serde_json::json;

use super::fold::{self, server_of_claim};
use super::{KubeCluster, denied, own_patch};

/// What the watch shows, with the claim of the server's own pod as it is: one request. It lists by name, for the right to list is needed anyway
/// and the right to get is not; the API server finds what has one name as fast as by a get.
pub(super) async fn now(cluster: &KubeCluster, key: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
    cluster.readable(&key.namespace)?;
    let own = key.name.claim_name(0);
    let by_name = ListParams::default().fields(&format!("metadata.name={own}"));
    let found = call(READ_LIMIT, cluster.api::<PersistentVolumeClaim>(&key.namespace).list(&by_name)).await.map_err(Fault::of_cluster)?;
    let read = found.items.into_iter().filter_map(fold::claim).map(|view| view.claim);
    Ok(read.chain(cluster.servers.claims(key).into_iter().filter(|claim| claim.name != own)).collect())
}

/// Deletes claims by name: one request each.
pub(super) async fn delete(cluster: &KubeCluster, key: &ServerKey, claims: &[String], fence: &Fence) -> Result<(), ClusterError> {
    fence.check()?;
    cluster.readable(&key.namespace)?;
    let api = cluster.api::<PersistentVolumeClaim>(&key.namespace);
    for name in claims {
        let ordinal = match server_of_claim(key.namespace.as_str(), name) {
            Some((server, ordinal)) if server == *key => ordinal,
            _ => return Err(ClusterError::Unexpected(format!("claim `{name}` is not of the template of server {key}").into())),
        };
        match fenced(fence, api.delete(name, &DeleteParams::default())).await {
            Ok(_) | Err(Denied::Fault(Fault::NotFound(_) | Fault::NamespaceMissing(_))) => {}
            Err(error) => return Err(denied(error)),
        }
        cluster.shown(key, fence, |server| server.claims.get(&ordinal).is_none_or(|view| view.claim.terminating)).await?;
    }
    Ok(())
}

/// Asks for more storage: one request for each claim that has less.
pub(super) async fn grow(cluster: &KubeCluster, key: &ServerKey, size: &ByteQuantity, fence: &Fence) -> Result<(), ClusterError> {
    fence.check()?;
    cluster.readable(&key.namespace)?;
    let api = cluster.api::<PersistentVolumeClaim>(&key.namespace);
    let patch = Patch::Merge(json!({ "spec": { "resources": { "requests": { "storage": size.as_str() } } } }));
    let smaller: Vec<_> = cluster.servers.look(key, |server| {
        let is_smaller = |bytes: Option<u64>| bytes.is_none_or(|bytes| bytes < size.bytes());
        server.claims.values().filter(|view| is_smaller(view.bytes)).map(|view| view.claim.name.clone()).collect()
    });
    for name in smaller {
        let written = fenced(fence, api.patch_metadata(&name, &own_patch(), &patch)).await.map_err(denied)?;
        let version = written.metadata.resource_version.unwrap_or_default();
        let object = ObjectKey::new(key.namespace.as_str(), name);
        cluster.claims.seen(&object, &version, fence.call_limit()).await.map_err(Fault::of_cluster)?;
    }
    Ok(())
}
