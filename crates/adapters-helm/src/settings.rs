//! How the objects of servers are made: what an operator decides for all of them.

use std::time::Duration;

use dbt_controller_domain::model::ByteQuantity;
use dbt_controller_domain::words;

use crate::Overlay;

words! {
    /// When a node pulls an image.
    pub enum PullPolicy {
        /// At each start of a container.
        Always = "Always",
        /// When the node does not have it.
        IfNotPresent = "IfNotPresent",
        /// Never: nodes have it, or the container does not start.
        Never = "Never",
    }
}

words! {
    /// The kind of object that publishes a server at its host name.
    pub enum Gateway {
        /// `networking.k8s.io/v1`, class `traefik`; cert-manager makes its certificate.
        Ingress = "ingress",
        /// Traefik's own `traefik.io/v1alpha1`. cert-manager does not watch it: the TLS Secret comes from elsewhere, or the overlay names
        /// another.
        IngressRoute = "ingressroute",
        /// `gateway.networking.k8s.io/v1`. The Gateway holds the certificate; the overlay names it unless it is `traefik-gateway`.
        HttpRoute = "httproute",
    }
}

words! {
    /// How much a server's pod may do on its node.
    pub enum Security {
        /// Nothing is privileged, nginx is not root and writes to scratch volumes only.
        Hardened = "hardened",
        /// As the replaced service ran its pods: privileged, as root. For images that need it.
        Legacy = "legacy",
    }
}

/// How the objects of servers are made. A change reaches a server at its next POST.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// `SERVER_IMAGE_PULL_POLICY`: when the server's image is pulled. None (the default): `Always` for the tag `latest`, else
    /// `IfNotPresent`.
    pub image_pull_policy: Option<PullPolicy>,
    /// `SERVER_GATEWAY`: what publishes a server that asks for https; an Ingress by default.
    pub gateway: Gateway,
    /// `SERVER_PROXY_TIMEOUT`: how long nginx waits for the server program, counted in whole seconds, at least one; 300 s by default.
    pub proxy_timeout: Duration,
    /// `SERVER_TERMINATION_GRACE`: how long a pod may go on with its tasks when it is told to end, in whole seconds; 60 s by default.
    pub termination_grace: Duration,
    /// `SERVER_EPHEMERAL_STORAGE_LIMIT`: how much the server may write beside its claim; no limit by default.
    pub ephemeral_storage_limit: Option<ByteQuantity>,
    /// `SERVER_SECURITY`: hardened by default.
    pub security: Security,
    /// `SERVER_OVERLAY_FILE`: what else is changed; nothing by default.
    pub overlay: Overlay,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            image_pull_policy: None,
            gateway: Gateway::Ingress,
            proxy_timeout: Duration::from_secs(300),
            termination_grace: Duration::from_secs(60),
            ephemeral_storage_limit: None,
            security: Security::Hardened,
            overlay: Overlay::default(),
        }
    }
}

impl ServerSettings {
    /// When the image with this tag is pulled. A tag other than `latest` is taken to stay what it is.
    pub(crate) fn pull_policy(&self, tag: &str) -> PullPolicy {
        self.image_pull_policy.unwrap_or(if tag == "latest" { PullPolicy::Always } else { PullPolicy::IfNotPresent })
    }
}
