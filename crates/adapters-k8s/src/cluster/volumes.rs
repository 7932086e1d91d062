//! Finding out that a volume cannot be mounted.
//!
//! Only events tell. To watch them all would cost more than all other watches together, so they are asked for: only for a pod that
//! somebody waits for and that has been without its volumes for longer than is usual.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::{Namespace, PodState};
use dbt_controller_domain::ports::Clock;
use dbt_controller_kube_access::Fault;
use jiff::Timestamp;
use kube::Client;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::events::{About, SeenEvent, events};
use super::servers::{Servers, Suspect};

/// How often suspects are looked for.
const PERIOD: Duration = Duration::from_secs(10);
/// How long a pod may take for its volumes before it becomes a suspect.
const USUAL: Duration = Duration::from_secs(20);
/// How long a failure must have stood. The first tries often fail, because the kubelet has not seen the Secret yet.
const STANDS: Duration = Duration::from_secs(30);
/// After so long without a repetition a failure is over: the kubelet tries again after two minutes at the latest.
const OVER: Duration = Duration::from_secs(150);
/// The pause in a namespace while our account may not read its events.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(600);

/// Asks after the volumes of suspects until it is dropped.
#[derive(Debug)]
pub(super) struct VolumeInspector(AbortHandle);

impl Drop for VolumeInspector {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl VolumeInspector {
    pub(super) fn start(client: Client, servers: Arc<Servers>, clock: Arc<dyn Clock>) -> Self {
        Self(tokio::spawn(inspect(client, servers, clock)).abort_handle())
    }
}

async fn inspect(client: Client, servers: Arc<Servers>, clock: Arc<dyn Clock>) {
    let mut is_told = false;
    // Where our account may not read events, and until when it is not asked for them again.
    let mut forbidden: HashMap<Namespace, Instant> = HashMap::new();
    loop {
        tokio::time::sleep(PERIOD).await;
        forbidden.retain(|_, until| *until > Instant::now());
        for suspect in servers.suspects(|pod| is_late(pod, clock.now())) {
            if forbidden.contains_key(&suspect.server.namespace) {
                continue;
            }
            let about = About { kind: "Pod", name: suspect.pod.name.clone(), uid: suspect.pod.uid.clone() };
            match events(&client, &suspect.server.namespace, &about).await {
                Ok(events) => note(&servers, &suspect, failure(&events, clock.now())),
                Err(Fault::Forbidden(reason)) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::info!(
                            reason,
                            "events cannot be read: volumes that cannot be mounted are noticed only at the end of the wait"
                        );
                    }
                    forbidden.insert(suspect.server.namespace.clone(), Instant::now() + FORBIDDEN_PAUSE);
                }
                Err(fault) => {
                    tracing::warn!(server = %suspect.server, error = %fault, "the events of a pod without volumes are read again later");
                }
            }
        }
    }
}

fn note(servers: &Servers, suspect: &Suspect, failure: Option<String>) {
    if failure != suspect.pod.volume_failure {
        servers.volumes_were_asked(suspect, failure);
    }
}

fn is_late(pod: &PodState, now: Timestamp) -> bool {
    age(pod.created_at, now) >= USUAL
}

/// What the newest event says, when mounting has gone wrong for some time and still does.
fn failure(events: &[SeenEvent], now: Timestamp) -> Option<String> {
    let failures = || events.iter().filter(|seen| is_failure(seen));
    let first = failures().map(|seen| seen.first).min()?;
    let newest = failures().max_by_key(|seen| seen.event.at)?;
    let stands = age(first, now) >= STANDS && age(newest.event.at, now) <= OVER;
    stands.then(|| newest.event.message.clone())
}

fn is_failure(seen: &SeenEvent) -> bool {
    let event = &seen.event;
    // A volume that is still attached to another node gets free in some minutes, so that is worth the wait.
    ["FailedMount", "FailedAttachVolume", "FailedMapVolume"].contains(&event.reason.as_str()) && !event.message.starts_with("Multi-Attach")
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use dbt_controller_domain::model::ClusterEvent;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn event(reason: &str, message: &str, first: i64, last: i64) -> SeenEvent {
        let event =
            ClusterEvent { at: at(last), object: "Pod/a-0".to_owned(), reason: reason.to_owned(), message: message.to_owned(), count: 1 };
        SeenEvent { first: at(first), event }
    }

    #[test]
    fn a_failure_that_stands_and_goes_on_is_told() {
        let events = [
            event("FailedMount", "secret \"a\" not found", 0, 60),
            event("Scheduled", "assigned", 0, 0),
            event("FailedMount", "timed out", 50, 50),
        ];
        assert_eq!(failure(&events, at(61)).as_deref(), Some("secret \"a\" not found"));
    }

    #[test]
    fn what_is_young_or_over_or_passes_by_itself_is_none() {
        assert_eq!(failure(&[event("FailedMount", "sync", 0, 1)], at(5)), None, "just now");
        assert_eq!(failure(&[event("FailedMount", "sync", 0, 1)], at(400)), None, "long ago");
        assert_eq!(failure(&[event("FailedAttachVolume", "Multi-Attach error for volume", 0, 90)], at(100)), None);
        assert_eq!(failure(&[event("Pulling", "", 0, 60)], at(61)), None);
        assert_eq!(failure(&[], at(61)), None);
    }
}
