//! The annotations that only this crate writes. Those that tell whose an object is are in `kube-access`, for other adapters read them.

pub(crate) use dbt_controller_kube_access::annotations::{CONNECTION, HELM_RELEASE_NAME, HELM_RELEASE_NAMESPACE};

/// When the release was first deployed, in RFC 3339.
pub(crate) const CREATED_AT: &str = "dbt-controller.fast.bi/created-at";

/// What all annotations of ours begin with.
pub(crate) const PREFIX: &str = "dbt-controller.fast.bi/";

/// On pods: a hash of the Secret's data, so that a change of it restarts the pod.
pub(crate) const CHECKSUM_SECRET: &str = "checksum/secret";
/// On pods: a hash of the `ConfigMap`'s data. nginx reads it at its start only, and a file that is mounted by `subPath` never changes.
pub(crate) const CHECKSUM_CONFIG: &str = "checksum/config";
