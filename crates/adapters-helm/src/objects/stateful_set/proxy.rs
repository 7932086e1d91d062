//! The container of nginx, which asks for the login and hands requests on to the dbt server.

use k8s_openapi::api::core::v1::{Capabilities, Container, ContainerPort, Probe, SecurityContext, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::objects::Source;
use crate::{PullPolicy, Security};

const NAME: &str = "dbt-server-nginx-proxy";
const IMAGE: &str = "nginx:stable-bullseye";
/// Where nginx listens; above 1024, so that it need not be root.
pub(crate) const PORT: i32 = 8080;
/// User and group `nginx` of the image.
const USER: i64 = 101;

impl Source<'_> {
    /// The image's start scripts try to edit `default.conf`, say that they cannot, and go on; its `user nginx;` is ignored with a warning
    /// by an nginx that is not root.
    pub(super) fn proxy_container(&self) -> Container {
        let is_hardened = self.settings.security == Security::Hardened;
        Container {
            name: NAME.to_owned(),
            image: Some(IMAGE.to_owned()),
            image_pull_policy: Some(PullPolicy::IfNotPresent.to_string()),
            ports: Some(vec![ContainerPort { container_port: PORT, protocol: Some("TCP".to_owned()), ..ContainerPort::default() }]),
            volume_mounts: Some(self.proxy_mounts()),
            // Without it a pod is ready, and gets traffic, before nginx listens.
            readiness_probe: is_hardened.then(listens),
            security_context: is_hardened.then(security),
            ..Container::default()
        }
    }
}

fn listens() -> Probe {
    Probe { tcp_socket: Some(TCPSocketAction { port: IntOrString::Int(PORT), host: None }), period_seconds: Some(5), ..Probe::default() }
}

fn security() -> SecurityContext {
    SecurityContext {
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        run_as_non_root: Some(true),
        read_only_root_filesystem: Some(true),
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}
