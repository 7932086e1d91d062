//! Claims.

use dbt_controller_domain::model::Claim;
use dbt_controller_kube_access::identity_of;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::quantity::{bytes, size};
use super::{server_of_claim, uid_of};

/// What is kept of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct ClaimView {
    pub(in crate::cluster) uid: String,
    /// The requested size, also when the domain has no spelling for it.
    pub(in crate::cluster) bytes: Option<u64>,
    pub(in crate::cluster) claim: Claim,
}

/// Folds a claim; none when it is of no server's own template.
///
/// Its labels cannot tell: Kubernetes makes them from the StatefulSet's selector and the template, and each of them has changed over
/// the years. The name cannot change.
pub(in crate::cluster) fn claim(claim: PersistentVolumeClaim) -> Option<ClaimView> {
    let meta = claim.metadata;
    let uid = uid_of(&meta);
    let name = meta.name?;
    server_of_claim(meta.namespace.as_deref()?, &name)?;
    let bytes = claim.spec.as_ref().and_then(|spec| bytes(&spec.resources.as_ref()?.requests.as_ref()?.get("storage")?.0));
    Some(ClaimView {
        uid,
        bytes,
        claim: Claim {
            name,
            identity: meta.annotations.as_ref().and_then(identity_of),
            size: bytes.and_then(size),
            phase: claim.status.and_then(|status| status.phase).unwrap_or_else(|| "Pending".to_owned()),
            terminating: meta.deletion_timestamp.is_some(),
        },
    })
}
