//! The `StatefulSet`: one pod with the dbt server and nginx before it, and its claim.

mod proxy;
mod server;
mod volumes;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, Secret,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Serialize;

pub(crate) use server::CONTAINER;

pub(super) use proxy::PORT as PROXY_PORT;

use super::Source;
use crate::annotations::{CHECKSUM_CONFIG, CHECKSUM_SECRET};
use crate::{Security, json};

/// Writes to the pod template what the pod reads of Secret and `ConfigMap`, so that a change of either restarts it.
pub(super) fn add_checksums(stateful_set: &mut StatefulSet, secret: &Secret, config_map: &ConfigMap) {
    let annotations = stateful_set.spec.template.metadata.get_or_insert_default().annotations.get_or_insert_default();
    annotations.insert(CHECKSUM_SECRET.to_owned(), checksum(&secret.data));
    annotations.insert(CHECKSUM_CONFIG.to_owned(), checksum(&(&config_map.data, &config_map.binary_data)));
}

fn checksum(data: &impl Serialize) -> String {
    let value = serde_json::to_value(data).expect("maps of texts have a JSON form");
    json::digest(&value)
}

impl Source<'_> {
    /// Without `replicas`: the controller puts servers to sleep and wakes them, and an upgrade, Helm's included, must not undo that.
    pub(super) fn stateful_set(&self) -> StatefulSet {
        let spec = StatefulSetSpec {
            service_name: Some(self.server().to_string()),
            selector: LabelSelector { match_labels: Some(self.selector()), match_expressions: None },
            template: self.pod_template(),
            volume_claim_templates: Some(vec![self.claim_template()]),
            ..StatefulSetSpec::default()
        };
        StatefulSet { metadata: self.metadata(self.server().to_string()), spec, ..StatefulSet::default() }
    }

    /// Holds only what the pod needs: whatever changes here restarts the server.
    fn pod_template(&self) -> PodTemplateSpec {
        let spec = PodSpec {
            service_account_name: Some(self.server().to_string()),
            containers: vec![self.server_container(), self.proxy_container()],
            volumes: Some(self.volumes()),
            termination_grace_period_seconds: Some(i64::try_from(self.settings.termination_grace.as_secs()).unwrap_or(i64::MAX)),
            ..self.pod_security()
        };
        let metadata = ObjectMeta { labels: Some(self.labels()), ..ObjectMeta::default() };
        PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) }
    }

    fn pod_security(&self) -> PodSpec {
        match self.settings.security {
            Security::Hardened => PodSpec {
                automount_service_account_token: Some(false),
                // Else each Service of the namespace becomes a handful of variables of the pod.
                enable_service_links: Some(false),
                security_context: Some(PodSecurityContext {
                    seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
                    ..PodSecurityContext::default()
                }),
                ..PodSpec::default()
            },
            Security::Legacy => PodSpec {
                security_context: Some(PodSecurityContext {
                    run_as_user: Some(0),
                    run_as_group: Some(0),
                    fs_group: Some(0),
                    ..PodSecurityContext::default()
                }),
                ..PodSpec::default()
            },
        }
    }

    fn claim_template(&self) -> PersistentVolumeClaim {
        let size = Quantity(self.desired.request.resources.storage_size.to_string());
        let spec = PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements { requests: Some([("storage".to_owned(), size)].into()), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        };
        PersistentVolumeClaim { metadata: self.claim_metadata(), spec: Some(spec), status: None }
    }
}
