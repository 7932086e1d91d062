//! Traefik's own gateway, <https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/crd/http/ingressroute/>: the part of
//! it that we write and that an overlay may change.

use k8s_openapi::DeepMerge;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::{Source, replace, service};

/// `traefik.io/v1alpha1`, `IngressRoute`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressRoute {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: IngressRouteSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressRouteSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry_points: Option<Vec<String>>,
    pub(crate) routes: Vec<Route>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Route {
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) middlewares: Option<Vec<ObjectRef>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) services: Option<Vec<RouteService>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RouteService {
    pub(crate) name: String,
    pub(crate) port: i32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ObjectRef {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Tls {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert_resolver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) options: Option<ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<ObjectRef>,
}

impl Source<'_> {
    pub(super) fn ingress_route(&self) -> IngressRoute {
        let route = Route {
            // A host name holds letters, digits, dashes and dots only, so it cannot leave the quotes.
            rule: Some(format!("Host(`{}`)", self.host())),
            kind: Some("Rule".to_owned()),
            services: Some(vec![RouteService { name: self.server().to_string(), port: service::PORT }]),
            ..Route::default()
        };
        IngressRoute {
            api_version: "traefik.io/v1alpha1".to_owned(),
            kind: "IngressRoute".to_owned(),
            metadata: self.published_metadata(),
            spec: IngressRouteSpec {
                entry_points: Some(vec!["websecure".to_owned()]),
                routes: vec![route],
                // Traefik falls back to its default certificate while this Secret is not there.
                tls: Some(Tls { secret_name: Some(self.desired.key.name.tls_secret_name()), ..Tls::default() }),
            },
        }
    }
}

impl DeepMerge for IngressRoute {
    fn merge_from(&mut self, other: Self) {
        self.metadata.merge_from(other.metadata);
        self.spec.merge_from(other.spec);
    }
}

/// Lists are replaced as a whole, but for the route: there is one, and it is merged.
impl DeepMerge for IngressRouteSpec {
    fn merge_from(&mut self, Self { entry_points, routes, tls }: Self) {
        replace(&mut self.entry_points, entry_points);
        for (own, other) in self.routes.iter_mut().zip(routes) {
            own.merge_from(other);
        }
        self.tls.merge_from(tls);
    }
}

impl DeepMerge for Route {
    fn merge_from(&mut self, Self { rule, kind, priority, middlewares, services }: Self) {
        self.rule.merge_from(rule);
        self.kind.merge_from(kind);
        self.priority.merge_from(priority);
        replace(&mut self.middlewares, middlewares);
        replace(&mut self.services, services);
    }
}

impl DeepMerge for Tls {
    fn merge_from(&mut self, Self { secret_name, cert_resolver, options, store }: Self) {
        self.secret_name.merge_from(secret_name);
        self.cert_resolver.merge_from(cert_resolver);
        replace(&mut self.options, options);
        replace(&mut self.store, store);
    }
}
