//! Why a pod cannot be created.
//!
//! The status of a StatefulSet says nothing of it, and events need a right of their own. So the pod that the StatefulSet controller
//! would make is created in a dry run: quota and admission answer as they answered the controller.

use std::collections::BTreeMap;

use dbt_controller_domain::model::{PodRefusal, ServerKey};
use dbt_controller_domain::ports::ClusterError;
use dbt_controller_kube_access::{Fault, READ_LIMIT, call};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodSpec, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;

use super::KubeCluster;
use super::events::{About, events};

/// Asks by up to three requests: the StatefulSet, the dry run, and where that succeeds and the claim is missing, its events.
pub(super) async fn why_no_pod(cluster: &KubeCluster, key: &ServerKey) -> Result<Option<PodRefusal>, ClusterError> {
    let found = call(READ_LIMIT, cluster.api::<StatefulSet>(&key.namespace).get_opt(key.name.as_str())).await;
    let Some(set) = found.map_err(Fault::of_cluster)? else { return Ok(None) };
    let Some(ordinal) = missing_ordinal(cluster, key, &set) else { return Ok(None) };
    let Some(pod) = next_pod(&set, ordinal) else { return Ok(None) };
    let dry_run = PostParams { dry_run: true, field_manager: None };
    let refusal = match call(READ_LIMIT, cluster.api::<Pod>(&key.namespace).create(&dry_run, &pod)).await {
        Ok(_) => None,
        // It was made in the meantime.
        Err(Fault::AlreadyExists(_)) => return Ok(None),
        Err(Fault::Quota(message)) => Some(PodRefusal { by_quota: true, message }),
        Err(Fault::Refused(message) | Fault::TooLarge(message) | Fault::NamespaceMissing(message)) => {
            Some(PodRefusal { by_quota: false, message })
        }
        // A webhook that does not answer refuses the controller's pod, too, but it may only be restarting.
        Err(fault) => return Err(fault.of_cluster()),
    };
    match refusal {
        Some(refusal) => Ok(Some(refusal)),
        None => Ok(why_no_claim(cluster, key, &set, ordinal).await),
    }
}

/// The first pod that the server should have and does not; none when it is asleep or complete.
fn missing_ordinal(cluster: &KubeCluster, key: &ServerKey, set: &StatefulSet) -> Option<u32> {
    let spec = &set.spec;
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or_default();
    let start = u32::try_from(start).ok()?;
    let replicas = u32::try_from(spec.replicas.unwrap_or(1)).ok()?;
    let is_missing = |ordinal: &u32| cluster.servers.look(key, |server| !server.pods.contains_key(ordinal));
    (start..start.saturating_add(replicas)).find(is_missing)
}

/// The pod as `newStatefulSetPod` in `pkg/controller/statefulset/stateful_set_utils.go` makes it.
fn next_pod(set: &StatefulSet, ordinal: u32) -> Option<Pod> {
    let name = set.metadata.name.clone()?;
    let spec = &set.spec;
    let revision = set.status.as_ref().and_then(|status| status.update_revision.clone());
    let PodTemplateSpec { metadata, spec: pod } = spec.template.clone();
    let template = metadata.unwrap_or_default();
    let pod_name = format!("{name}-{ordinal}");
    let mut labels = template.labels.unwrap_or_default();
    labels.extend(own_labels(&pod_name, ordinal, revision));
    let owner = OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "StatefulSet".to_owned(),
        name: name.clone(),
        uid: set.metadata.uid.clone()?,
        controller: Some(true),
        // With it, a plug-in of admission asks whether *we* may set finalizers on the StatefulSet, which we need not.
        block_owner_deletion: None,
    };
    let claims = spec.volume_claim_templates.iter().flatten().filter_map(|claim| claim.metadata.name.clone());
    let claimed: BTreeMap<_, _> = claims.map(|template| (template.clone(), format!("{template}-{name}-{ordinal}"))).collect();
    let mut pod = PodSpec { hostname: Some(pod_name.clone()), subdomain: spec.service_name.clone(), ..pod.unwrap_or_default() };
    let volumes = pod.volumes.get_or_insert_default();
    volumes.retain(|volume| !claimed.contains_key(&volume.name));
    volumes.extend(claimed.into_iter().map(|(name, claim)| Volume {
        name,
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name: claim, read_only: None }),
        ..Volume::default()
    }));
    Some(Pod {
        metadata: ObjectMeta {
            name: Some(pod_name),
            labels: Some(labels),
            annotations: template.annotations,
            finalizers: template.finalizers,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(pod),
        status: None,
    })
}

fn own_labels(pod: &str, ordinal: u32, revision: Option<String>) -> impl Iterator<Item = (String, String)> {
    let labels = [("statefulset.kubernetes.io/pod-name", pod.to_owned()), ("apps.kubernetes.io/pod-index", ordinal.to_string())];
    let revision = revision.map(|revision| ("controller-revision-hash", revision));
    labels.into_iter().chain(revision).map(|(key, value)| (key.to_owned(), value))
}

/// Before the pod the controller makes its claim, which a quota can refuse too. To try that would take another right, so this
/// is asked of the events, where they can be read.
async fn why_no_claim(cluster: &KubeCluster, key: &ServerKey, set: &StatefulSet, ordinal: u32) -> Option<PodRefusal> {
    if cluster.servers.look(key, |server| server.claims.contains_key(&ordinal)) {
        return None;
    }
    let about = About { kind: "StatefulSet", name: key.name.to_string(), uid: set.metadata.uid.clone()? };
    let events = match events(&cluster.client, &key.namespace, &about).await {
        Ok(events) => events,
        Err(fault) => {
            tracing::debug!(server = %key, error = %fault, "the events that may tell why there is no claim cannot be read");
            return None;
        }
    };
    let refused = events.into_iter().rfind(|seen| seen.event.reason == "FailedCreate" && seen.event.message.starts_with("create Claim"))?;
    let message = refused.event.message;
    Some(PodRefusal { by_quota: message.contains("exceeded quota"), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_the_one_that_the_controller_would_make() {
        let set = serde_json::json!({
            "metadata": { "name": "dbt-server-a", "namespace": "ns", "uid": "set-uid" },
            "spec": {
                "serviceName": "dbt-server-a", "selector": {}, "replicas": 1,
                "template": {
                    "metadata": { "labels": { "app": "x" }, "annotations": { "checksum": "1" } },
                    "spec": {
                        "containers": [{ "name": "dbt-server", "image": "i" }],
                        "volumes": [{ "name": "conf", "emptyDir": {} }, { "name": "dbt-server-a", "emptyDir": {} }],
                    },
                },
                "volumeClaimTemplates": [{ "metadata": { "name": "dbt-server-a" }, "spec": {} }],
            },
            "status": { "updateRevision": "dbt-server-a-5d4", "replicas": 0 },
        });
        let pod = serde_json::to_value(next_pod(&serde_json::from_value(set).unwrap(), 0).unwrap()).unwrap();
        assert_eq!(
            pod,
            serde_json::json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "dbt-server-a-0",
                    "annotations": { "checksum": "1" },
                    "labels": {
                        "app": "x",
                        "apps.kubernetes.io/pod-index": "0",
                        "controller-revision-hash": "dbt-server-a-5d4",
                        "statefulset.kubernetes.io/pod-name": "dbt-server-a-0",
                    },
                    "ownerReferences": [
                        { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "dbt-server-a", "uid": "set-uid", "controller": true },
                    ],
                },
                "spec": {
                    "hostname": "dbt-server-a-0",
                    "subdomain": "dbt-server-a",
                    "containers": [{ "name": "dbt-server", "image": "i" }],
                    "volumes": [
                        { "name": "conf", "emptyDir": {} },
                        { "name": "dbt-server-a", "persistentVolumeClaim": { "claimName": "dbt-server-a-dbt-server-a-0" } },
                    ],
                },
            })
        );
    }
}
