//! The Kubernetes objects of a server, typed: nothing is put together as text, so no value of a request can become another field.

mod config_map;
mod http_route;
mod ingress;
mod ingress_route;
mod metadata;
mod secret;
mod service;
mod service_account;
mod stateful_set;

use dbt_controller_domain::model::{DesiredRelease, ServerName};
use jiff::Timestamp;
use serde::Serialize;

pub(crate) use http_route::HttpRoute;
pub(crate) use ingress_route::IngressRoute;
pub(crate) use metadata::OWN_LABELS;
pub(crate) use secret::{BASIC_AUTH, BASIC_AUTH_PASSWORD, BASIC_AUTH_USER, is_own_key as is_own_secret_key};
pub(crate) use stateful_set::CONTAINER as SERVER_CONTAINER;

use crate::manifest::{Manifest, ManifestObject};
use crate::{Gateway, ServerSettings};

/// What the objects are made of.
struct Source<'a> {
    desired: &'a DesiredRelease,
    htpasswd: &'a str,
    created_at: Timestamp,
    settings: &'a ServerSettings,
}

/// The manifest of a release.
///
/// It depends on nothing but these arguments, and `created_at` on nothing but an annotation that has no part in the hash.
pub(crate) fn manifest(desired: &DesiredRelease, htpasswd: &str, created_at: Timestamp, settings: &ServerSettings) -> Manifest {
    let source = Source { desired, htpasswd, created_at, settings };
    let overlay = &settings.overlay;
    let secret = overlay.secret(source.secret());
    let config_map = overlay.config_map(source.config_map());
    let mut stateful_set = overlay.stateful_set(source.stateful_set(), &desired.server);
    stateful_set::add_checksums(&mut stateful_set, &secret, &config_map);
    let mut objects = vec![
        object(&overlay.service_account(source.service_account())),
        object(&secret),
        object(&config_map),
        object(&overlay.service(source.service())),
        object(&stateful_set),
    ];
    if desired.request.https_enabled {
        objects.push(match settings.gateway {
            Gateway::Ingress => object(&overlay.ingress(source.ingress())),
            Gateway::IngressRoute => object(&overlay.ingress_route(source.ingress_route())),
            Gateway::HttpRoute => object(&overlay.http_route(source.http_route())),
        });
    }
    Manifest::new(objects)
}

fn object(typed: &impl Serialize) -> ManifestObject {
    let value = serde_json::to_value(typed).expect("typed objects have text keys, so each of them has a JSON form");
    ManifestObject::new(value).expect("each function of this module gives its object a name")
}

/// How lists and small maps without keys of their own are merged: whole.
fn replace<T>(own: &mut Option<T>, other: Option<T>) {
    if other.is_some() {
        *own = other;
    }
}

// === impl Source ===

impl Source<'_> {
    /// The name of all objects but the Secrets.
    fn server(&self) -> &ServerName {
        &self.desired.server
    }

    /// The public host name.
    fn host(&self) -> String {
        self.desired.request.host(&self.desired.server_key())
    }
}

#[cfg(test)]
mod tests;
