//! What an operator changes about the objects of all servers: `SERVER_OVERLAY_FILE`.

mod rules;
mod strict;

use std::fmt;

use dbt_controller_domain::model::ServerName;
use k8s_openapi::DeepMerge;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::Ingress;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::objects::{HttpRoute, IngressRoute};
use crate::{json, yaml};

/// Partial objects, at most one of each kind, that are merged into those that we make.
///
/// They are YAML documents with `apiVersion` and `kind`. Fields are added or replaced; lists whose items have a key (containers and
/// volumes by `name`, mounts by `mountPath`, ports by their number) are merged item by item, other lists are replaced. The one claim
/// template, route or rule that we make is merged with the one that is given, which has no name.
///
/// ```yaml
/// apiVersion: apps/v1
/// kind: StatefulSet
/// spec:
///   template:
///     spec:
///       nodeSelector: { pool: dbt }
///       containers:
///         - name: dbt-server
///           env: [{ name: HTTPS_PROXY, value: "http://proxy.example.com:3128" }]
///   volumeClaimTemplates:
///     - spec: { storageClassName: fast }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    service_account: Option<ServiceAccount>,
    secret: Option<Secret>,
    config_map: Option<ConfigMap>,
    service: Option<Service>,
    stateful_set: Option<StatefulSet>,
    ingress: Option<Ingress>,
    ingress_route: Option<IngressRoute>,
    http_route: Option<HttpRoute>,
}

/// Everything that is wrong with an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayError {
    faults: Vec<String>,
}

// === impl OverlayError ===

impl OverlayError {
    /// The faults, a sentence each, at least one.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }
}

impl fmt::Display for OverlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("; "))
    }
}

impl std::error::Error for OverlayError {}

// === impl Overlay ===

impl Overlay {
    /// Reads and checks an overlay. An empty text changes nothing.
    ///
    /// # Errors
    /// Every fault at once: what is no YAML or no object of the kinds that we make, unknown fields, and what an overlay must not change.
    pub fn parse(text: &str) -> Result<Self, OverlayError> {
        let documents = yaml::read_strictly(text).map_err(|error| OverlayError { faults: vec![error.reason] })?;
        let mut overlay = Self::default();
        let mut faults = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            let found = overlay.add(document);
            faults.extend(found.into_iter().map(|fault| match json::text_at(document, &["kind"]) {
                Some(kind) => format!("{kind}: {fault}"),
                None => format!("document {}: {fault}", index + 1),
            }));
        }
        if faults.is_empty() { Ok(overlay) } else { Err(OverlayError { faults }) }
    }

    /// Adds a document, or says what is wrong with it.
    fn add(&mut self, document: &Value) -> Vec<String> {
        let faults = rules::check(document);
        let more = match json::text_at(document, &["kind"]).unwrap_or_default() {
            "ServiceAccount" => set(&mut self.service_account, document, "v1"),
            "Secret" => set(&mut self.secret, document, "v1"),
            "ConfigMap" => set(&mut self.config_map, document, "v1"),
            "Service" => set(&mut self.service, document, "v1"),
            "StatefulSet" => set(&mut self.stateful_set, document, "apps/v1"),
            "Ingress" => set(&mut self.ingress, document, "networking.k8s.io/v1"),
            "IngressRoute" => set(&mut self.ingress_route, document, "traefik.io/v1alpha1"),
            "HTTPRoute" => set(&mut self.http_route, document, "gateway.networking.k8s.io/v1"),
            _ => vec![format!("`kind` must be one of {}", rules::KINDS.map(|kind| format!("`{kind}`")).join(", "))],
        };
        faults.into_iter().chain(more).collect()
    }

    pub(crate) fn service_account(&self, own: ServiceAccount) -> ServiceAccount {
        merged(own, self.service_account.as_ref())
    }

    pub(crate) fn secret(&self, own: Secret) -> Secret {
        merged(own, self.secret.as_ref())
    }

    pub(crate) fn config_map(&self, own: ConfigMap) -> ConfigMap {
        merged(own, self.config_map.as_ref())
    }

    pub(crate) fn service(&self, own: Service) -> Service {
        merged(own, self.service.as_ref())
    }

    /// The claim template is called as the server, and templates are merged by name: the overlay's gets that name.
    pub(crate) fn stateful_set(&self, own: StatefulSet, server: &ServerName) -> StatefulSet {
        let mut other = self.stateful_set.clone();
        let claims = other.iter_mut().filter_map(|other| other.spec.volume_claim_templates.as_mut()).flatten();
        claims.for_each(|claim| claim.metadata.name = Some(server.to_string()));
        merged(own, other.as_ref())
    }

    pub(crate) fn ingress(&self, own: Ingress) -> Ingress {
        merged(own, self.ingress.as_ref())
    }

    pub(crate) fn ingress_route(&self, own: IngressRoute) -> IngressRoute {
        merged(own, self.ingress_route.as_ref())
    }

    pub(crate) fn http_route(&self, own: HttpRoute) -> HttpRoute {
        merged(own, self.http_route.as_ref())
    }
}

fn merged<T: DeepMerge + Clone>(mut own: T, overlay: Option<&T>) -> T {
    if let Some(overlay) = overlay {
        own.merge_from(overlay.clone());
    }
    own
}

/// Puts a document in its place.
fn set<T: DeserializeOwned + Serialize>(place: &mut Option<T>, document: &Value, api_version: &str) -> Vec<String> {
    if json::text_at(document, &["apiVersion"]) != Some(api_version) {
        return vec![format!("`apiVersion` must be `{api_version}`")];
    }
    if place.is_some() {
        return vec!["there are two documents of this kind; put them together".to_owned()];
    }
    match strict::typed(document) {
        Ok(typed) => {
            *place = Some(typed);
            Vec::new()
        }
        Err(faults) => faults,
    }
}

#[cfg(test)]
mod tests;
