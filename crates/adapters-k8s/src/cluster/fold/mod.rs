//! What is kept of each object.

mod claim;
mod pod;
mod quantity;
mod stateful_set;

use dbt_controller_domain::model::ServerKey;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

pub(super) use claim::{ClaimView, claim};
pub(super) use pod::{PodView, is_same_family, pod};
pub(super) use stateful_set::{DAG_STATE, SetView, stateful_set};

/// The server that a StatefulSet's namespace and name make; none for a name that is no DNS label, since no server has such a one.
pub(super) fn server_key(namespace: &str, name: &str) -> Option<ServerKey> {
    Some(ServerKey { namespace: namespace.parse().ok()?, name: name.parse().ok()? })
}

/// The server and the ordinal that the name of a pod tells: `<server>-<ordinal>`.
pub(super) fn server_of_pod(namespace: &str, pod: &str) -> Option<(ServerKey, u32)> {
    let (server, ordinal) = pod.rsplit_once('-')?;
    Some((server_key(namespace, server)?, number(ordinal)?))
}

/// The server and the ordinal that the name of a claim tells: `<server>-<server>-<ordinal>`. Claims of other templates have none.
pub(super) fn server_of_claim(namespace: &str, claim: &str) -> Option<(ServerKey, u32)> {
    let (names, ordinal) = claim.rsplit_once('-')?;
    let (template, server) = names.split_at_checked(names.len() / 2)?;
    let server = server.strip_prefix('-')?;
    if template != server {
        return None;
    }
    Some((server_key(namespace, server)?, number(ordinal)?))
}

/// An ordinal as Kubernetes writes it: without sign and without leading zeros.
fn number(text: &str) -> Option<u32> {
    let number = text.parse::<u32>().ok()?;
    (number.to_string() == text).then_some(number)
}

fn uid_of(meta: &ObjectMeta) -> String {
    meta.uid.clone().unwrap_or_default()
}

fn created_at(meta: &ObjectMeta) -> Timestamp {
    // The API server sets it on every object.
    time(meta.creation_timestamp.as_ref()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn time(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

/// A count, which Kubernetes holds signed and never makes negative.
fn count(count: Option<i32>) -> u32 {
    count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
