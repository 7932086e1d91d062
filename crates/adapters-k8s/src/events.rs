//! Kubernetes Events about servers, in which people who look at the cluster read how operations ended.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::{FinishedOperation, OperationKind, ServerKey, Success};
use dbt_controller_domain::ports::{Clock, EventRecorder};
use dbt_controller_kube_access::{Fault, call};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cluster::KubeCluster;

/// Who reports, and as whom: what the API asks for in every Event.
const CONTROLLER: &str = "dbt-controller.fast.bi/dbt-api-service-controller";
/// How many may wait. A cluster that does not take them does not hold anything up.
const WAITING: usize = 256;
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(5);
/// The most characters of a note (`noteLengthLimit` of events.k8s.io/v1).
const NOTE: usize = 1024;

/// Writes Kubernetes Events, one at a time behind everything else. What the cluster does not take is only in the log.
pub struct KubeEvents {
    instance: String,
    cluster: Arc<KubeCluster>,
    clock: Arc<dyn Clock>,
    sender: mpsc::Sender<Event>,
    writer: JoinHandle<()>,
}

impl KubeEvents {
    /// A recorder that writes as this instance of the service, such as the name of its pod. Makes no request itself.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(client: Client, cluster: Arc<KubeCluster>, instance: String, clock: Arc<dyn Clock>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { instance, cluster, clock, sender, writer: tokio::spawn(write(client, receiver)) }
    }

    fn event(&self, server: &ServerKey, finished: &FinishedOperation) -> Event {
        let now = self.clock.now();
        let namespace = server.namespace.to_string();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", server.name, now.as_nanosecond())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            action: Some(action(finished.info.kind).to_owned()),
            reason: Some(format!("{}{}", action(finished.info.kind), if finished.outcome.is_ok() { "Succeeded" } else { "Failed" })),
            type_: Some(if finished.outcome.is_ok() { "Normal" } else { "Warning" }.to_owned()),
            note: Some(note(finished)),
            // After a DELETE there is no uid, and its Events are found by the name. `kubectl describe` looks for name and uid.
            regarding: Some(ObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: Some("StatefulSet".to_owned()),
                name: Some(server.name.to_string()),
                namespace: Some(namespace),
                uid: self.cluster.uid(server),
                ..ObjectReference::default()
            }),
            ..Event::default()
        }
    }
}

impl EventRecorder for KubeEvents {
    fn record(&self, server: &ServerKey, finished: &FinishedOperation) {
        // An equal POST that found everything in order did nothing, and costs no write.
        if let Ok(Success::Deployed { unchanged: true, notes, .. }) = &finished.outcome
            && notes.is_empty()
        {
            return;
        }
        if self.sender.try_send(self.event(server, finished)).is_err() {
            tracing::debug!(operation.id = %finished.info.id, "too many Events wait already; this one is left out");
        }
    }
}

impl Drop for KubeEvents {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

async fn write(client: Client, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api = Api::<Event>::namespaced(client.clone(), &namespace);
        match call(LIMIT, api.create(&PostParams::default(), &event)).await {
            Ok(_) => {}
            // Said once, at start.
            Err(Fault::Forbidden(_)) => {}
            Err(fault) => tracing::debug!(%fault, namespace, "an Event could not be written"),
        }
    }
}

fn action(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Deploy => "Deploy",
        OperationKind::Delete => "Delete",
        OperationKind::Suspend => "Suspend",
        OperationKind::Resume => "Resume",
        OperationKind::Settle => "Settle",
        OperationKind::FollowDags => "FollowDags",
    }
}

fn note(finished: &FinishedOperation) -> String {
    let info = &finished.info;
    let what = match &finished.outcome {
        Ok(Success::Deployed { revision, unchanged: false, .. }) => format!("revision {revision} is deployed"),
        Ok(Success::Deployed { notes, unchanged: true, .. }) => notes.join("; "),
        Ok(Success::Deleted { claims, .. }) => format!("deleted with {} claims", claims.len()),
        Ok(Success::Suspended) => "the server sleeps".to_owned(),
        Ok(Success::Resumed) => "the server runs again".to_owned(),
        Ok(Success::Settled) => "what earlier operations had to leave was put in order".to_owned(),
        Ok(Success::FollowedDags { .. }) => "the server followed its DAGs".to_owned(),
        Err(failure) => failure.to_string(),
    };
    let who = format!(" (operation {}, request {}, by {})", info.id, info.caller.request_id, info.caller.actor);
    let room = NOTE.saturating_sub(who.chars().count());
    what.chars().take(room).chain(who.chars()).take(NOTE).collect()
}

#[cfg(test)]
mod tests {
    use dbt_controller_domain::model::*;

    use super::*;

    fn finished(outcome: Result<Success, Failure>) -> FinishedOperation {
        let key = ReleaseKey { namespace: "ns".parse().unwrap(), name: "dbt-server-a".parse().unwrap() };
        let info = OperationInfo {
            id: "op-1".parse().unwrap(),
            kind: OperationKind::Deploy,
            key,
            identity: None,
            task_hash: RequestHash::from_recorded("ab"),
            caller: Caller { request_id: "request-1".to_owned(), actor: "current".to_owned() },
            submitted_at: jiff::Timestamp::UNIX_EPOCH,
        };
        FinishedOperation {
            info,
            started_at: None,
            finished_at: jiff::Timestamp::UNIX_EPOCH,
            outcome,
            debts: Vec::new(),
            events: Vec::new(),
        }
    }

    #[test]
    fn a_note_says_what_and_by_whom_and_fits() {
        assert_eq!(note(&finished(Ok(Success::Suspended))), "the server sleeps (operation op-1, request request-1, by current)");
        let long = note(&finished(Err(Failure::new(FailureCode::CrashLoop, "é".repeat(2000)))));
        assert_eq!(long.chars().count(), NOTE);
        assert!(long.ends_with(" (operation op-1, request request-1, by current)"));
    }
}
