//! The Service, under whose name the server is reached inside the cluster.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Source;
use super::stateful_set::PROXY_PORT;

/// The port of the Service, by name: what gateways point at.
pub(super) const PORT_NAME: &str = "http";
/// The port of the Service: that of `http://<name>.<namespace>.svc.cluster.local`.
pub(super) const PORT: i32 = 80;

impl Source<'_> {
    pub(super) fn service(&self) -> Service {
        let port = ServicePort {
            name: Some(PORT_NAME.to_owned()),
            port: PORT,
            target_port: Some(IntOrString::Int(PROXY_PORT)),
            protocol: Some("TCP".to_owned()),
            ..ServicePort::default()
        };
        let spec = ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(self.selector()),
            ports: Some(vec![port]),
            ..ServiceSpec::default()
        };
        Service { metadata: self.metadata(self.server().to_string()), spec: Some(spec), ..Service::default() }
    }
}
