//! The Ingress of a server that is published.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec, IngressTLS,
    ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Source, service};

/// The host name for which external-dns makes a record.
const DNS_NAME: &str = "external-dns.alpha.kubernetes.io/hostname";

impl Source<'_> {
    pub(super) fn ingress(&self) -> Ingress {
        let host = self.host();
        let mut metadata = self.published_metadata();
        metadata.annotations.get_or_insert_default().extend([
            ("cert-manager.io/cluster-issuer".to_owned(), "lets-encrypt-issuer".to_owned()),
            ("traefik.ingress.kubernetes.io/router.middlewares".to_owned(), "traefik-ingress-redirect-https@kubernetescrd".to_owned()),
        ]);
        let backend = IngressServiceBackend {
            name: self.server().to_string(),
            port: Some(ServiceBackendPort { name: Some(service::PORT_NAME.to_owned()), number: None }),
        };
        let path = HTTPIngressPath {
            path: Some("/".to_owned()),
            path_type: "Prefix".to_owned(),
            backend: IngressBackend { service: Some(backend), resource: None },
        };
        let spec = IngressSpec {
            ingress_class_name: Some("traefik".to_owned()),
            rules: Some(vec![IngressRule { host: Some(host.clone()), http: Some(HTTPIngressRuleValue { paths: vec![path] }) }]),
            tls: Some(vec![IngressTLS { hosts: Some(vec![host]), secret_name: Some(self.desired.key.name.tls_secret_name()) }]),
            default_backend: None,
        };
        Ingress { metadata, spec: Some(spec), ..Ingress::default() }
    }

    /// The metadata of what publishes the server.
    pub(super) fn published_metadata(&self) -> ObjectMeta {
        let mut metadata = self.metadata(self.server().to_string());
        metadata.annotations.get_or_insert_default().insert(DNS_NAME.to_owned(), self.host());
        metadata
    }
}
