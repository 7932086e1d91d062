//! Where a server that we did not write is reached.

use dbt_controller_domain::model::ReleaseKey;
use serde_json::Value;

use crate::json;
use crate::manifest::{Manifest, ManifestObject};

/// What Airflow tasks call: the host of the release's Ingress or other gateway, else the Service inside the cluster.
pub(super) fn url(key: &ReleaseKey, stateful_set: &ManifestObject, manifest: &Manifest) -> String {
    let base = manifest.objects().iter().find_map(public_base).unwrap_or_else(|| {
        let service = service_name(stateful_set, manifest);
        format!("http://{service}.{}.svc.cluster.local", stateful_set.namespace().unwrap_or(key.namespace.as_str()))
    });
    format!("{base}/invocations")
}

/// The host name in a URL.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or_default()
}

/// Scheme and host under which an object publishes a server.
fn public_base(object: &ManifestObject) -> Option<String> {
    let spec = object.value().get("spec")?;
    let has_tls = spec.get("tls").is_some_and(|tls| !tls.is_null() && *tls != Value::Array(Vec::new()));
    let scheme = if has_tls { "https" } else { "http" };
    match object.kind() {
        "Ingress" => {
            let host = json::items_at(spec, &["rules"]).iter().find_map(|rule| json::text_at(rule, &["host"]))?;
            Some(format!("{scheme}://{host}"))
        }
        "IngressRoute" => {
            let host = json::items_at(spec, &["routes"]).iter().find_map(|route| host_of_rule(json::text_at(route, &["match"])?))?;
            Some(format!("{scheme}://{host}"))
        }
        // Whether the Gateway speaks TLS stands elsewhere; that is what it is there for.
        "HTTPRoute" => json::items_at(spec, &["hostnames"]).first()?.as_str().map(|host| format!("https://{host}")),
        _ => None,
    }
}

/// The host in Traefik's ``Host(`example.com`) && …``.
fn host_of_rule(rule: &str) -> Option<&str> {
    let (_, rest) = rule.split_once("Host(")?;
    let rest = rest.trim_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '`' | '"' | '\''))?;
    rest[1..].split_once(quote).map(|(host, _)| host)
}

/// The Service that carries the server's name or that its `StatefulSet` names, else the first of the release.
fn service_name<'a>(stateful_set: &'a ManifestObject, manifest: &'a Manifest) -> &'a str {
    let names: Vec<_> = manifest.objects().iter().filter(|object| object.kind() == "Service").map(ManifestObject::name).collect();
    let wished = [Some(stateful_set.name()), json::text_at(stateful_set.value(), &["spec", "serviceName"])];
    let named = wished.into_iter().flatten().find(|name| names.contains(name));
    named.or(names.first().copied()).unwrap_or(stateful_set.name())
}
