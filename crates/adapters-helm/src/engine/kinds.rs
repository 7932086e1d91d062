//! Kinds of objects, and how the API calls them.

use kube::core::{ApiResource, GroupVersionKind};

use crate::Gateway;

/// A kind without its version: what an object is, whichever version of its API it was written with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) kind: String,
}

/// A kind that is watched: group, version, kind.
type Watched = (&'static str, &'static str, &'static str);

/// What releases of ours have, in the order in which Helm installs it.
const ALWAYS: [Watched; 6] = [
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Secret"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("apps", "v1", "StatefulSet"),
    ("networking.k8s.io", "v1", "Ingress"),
];

/// The watched kinds, in the order in which Helm installs them. Of the gateways' own kinds only the one in use: the others need not
/// exist in this cluster.
pub(super) fn watched(gateway: Gateway) -> Vec<ApiResource> {
    let own: Option<Watched> = match gateway {
        Gateway::Ingress => None,
        Gateway::IngressRoute => Some(("traefik.io", "v1alpha1", "IngressRoute")),
        Gateway::HttpRoute => Some(("gateway.networking.k8s.io", "v1", "HTTPRoute")),
    };
    ALWAYS.into_iter().chain(own).map(|(group, version, kind)| resource(&GroupVersionKind::gvk(group, version, kind))).collect()
}

/// How the API calls a kind. The plural of kinds that we do not know is guessed by the rules of English, as it is right for those of
/// Kubernetes and for nearly all others.
pub(super) fn resource(kind: &GroupVersionKind) -> ApiResource {
    ApiResource::from_gvk(kind)
}

/// `apps/v1` and `StatefulSet` as one.
pub(super) fn parse(api_version: &str, kind: &str) -> GroupVersionKind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    GroupVersionKind::gvk(group, version, kind)
}

impl Kind {
    pub(super) fn of(resource: &ApiResource) -> Self {
        Self { group: resource.group.clone(), kind: resource.kind.clone() }
    }

    /// Claims outlive their release, whoever's template made them.
    pub(super) fn is_claim(&self) -> bool {
        self.group.is_empty() && self.kind == "PersistentVolumeClaim"
    }

    pub(super) fn is_stateful_set(&self) -> bool {
        self.group == "apps" && self.kind == STATEFUL_SET
    }
}

pub(super) const STATEFUL_SET: &str = "StatefulSet";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_those_of_the_api() {
        let plurals: Vec<_> =
            [Gateway::IngressRoute, Gateway::HttpRoute].map(watched).concat().into_iter().map(|kind| kind.plural).collect();
        let core = ["serviceaccounts", "secrets", "configmaps", "services", "statefulsets", "ingresses"];
        assert_eq!(plurals[..7], [core.as_slice(), &["ingressroutes"]].concat());
        assert_eq!(plurals[13], "httproutes");
        for (api_version, kind, plural) in
            [("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"), ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")]
        {
            assert_eq!(resource(&parse(api_version, kind)).plural, plural);
        }
    }
}
