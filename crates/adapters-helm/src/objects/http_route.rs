//! A route of the Gateway API, <https://gateway-api.sigs.k8s.io/reference/spec/#httproute>: the part of it that we write and that an
//! overlay may change.

use k8s_openapi::DeepMerge;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Source, replace, service};

/// The Gateway that Traefik's own chart makes; an overlay names another.
const GATEWAY: &str = "traefik-gateway";

/// `gateway.networking.k8s.io/v1`, `HTTPRoute`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HttpRoute {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: HttpRouteSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HttpRouteSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_refs: Option<Vec<ParentRef>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hostnames: Option<Vec<String>>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ParentRef {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) section_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rule {
    /// Filters are of many kinds, with extensions; they are taken as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filters: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeouts: Option<Timeouts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend_refs: Option<Vec<BackendRef>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Timeouts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend_request: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BackendRef {
    pub(crate) name: String,
    pub(crate) port: i32,
}

impl Source<'_> {
    /// The certificate is the Gateway's business, and a rule without matches matches every path.
    pub(super) fn http_route(&self) -> HttpRoute {
        let backend = BackendRef { name: self.server().to_string(), port: service::PORT };
        HttpRoute {
            api_version: "gateway.networking.k8s.io/v1".to_owned(),
            kind: "HTTPRoute".to_owned(),
            metadata: self.published_metadata(),
            spec: HttpRouteSpec {
                parent_refs: Some(vec![ParentRef { name: GATEWAY.to_owned(), ..ParentRef::default() }]),
                hostnames: Some(vec![self.host()]),
                rules: vec![Rule { backend_refs: Some(vec![backend]), ..Rule::default() }],
            },
        }
    }
}

impl DeepMerge for HttpRoute {
    fn merge_from(&mut self, other: Self) {
        self.metadata.merge_from(other.metadata);
        self.spec.merge_from(other.spec);
    }
}

/// Lists are replaced as a whole, but for the rule: there is one, and it is merged.
impl DeepMerge for HttpRouteSpec {
    fn merge_from(&mut self, Self { parent_refs, hostnames, rules }: Self) {
        replace(&mut self.parent_refs, parent_refs);
        replace(&mut self.hostnames, hostnames);
        for (own, Rule { filters, timeouts, backend_refs }) in self.rules.iter_mut().zip(rules) {
            replace(&mut own.filters, filters);
            replace(&mut own.timeouts, timeouts);
            replace(&mut own.backend_refs, backend_refs);
        }
    }
}
