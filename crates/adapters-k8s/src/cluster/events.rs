//! Events about an object.

use std::time::Duration;

use dbt_controller_domain::model::{ClusterEvent, Namespace};
use dbt_controller_kube_access::{Fault, call};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::Client;
use kube::api::{Api, ListParams};

/// How long reading them may take.
const LIMIT: Duration = Duration::from_secs(3);
/// The most events that are read of an object.
const MOST: u32 = 100;

/// An event, and since when it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeenEvent {
    pub(super) first: Timestamp,
    pub(super) event: ClusterEvent,
}

/// The object that events are about.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// Names come again (a StatefulSet's pods), uids do not.
    pub(super) uid: String,
}

/// The events about an object, oldest first: one request.
pub(super) async fn events(client: &Client, namespace: &Namespace, about: &About) -> Result<Vec<SeenEvent>, Fault> {
    let api = Api::<Event>::namespaced(client.clone(), namespace.as_str());
    let params = ListParams::default().fields(&format!("involvedObject.uid={}", about.uid)).limit(MOST);
    let list = call(LIMIT, api.list(&params)).await?;
    let mut events: Vec<_> = list.items.into_iter().map(|event| fold(event, about)).collect();
    events.sort_by_key(|seen| seen.event.at);
    Ok(events)
}

/// Events are written in two ways: with first and last time and a count, or with one time and a series.
fn fold(event: Event, about: &About) -> SeenEvent {
    let created = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let once = event.event_time.as_ref().map(|time| time.0).or(created).unwrap_or(Timestamp::UNIX_EPOCH);
    let series = event.series.as_ref();
    let last_of_series = series.and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let count = series.and_then(|series| series.count).or(event.count).and_then(|count| u32::try_from(count).ok());
    SeenEvent {
        first: event.first_timestamp.as_ref().map_or(once, |time| time.0),
        event: ClusterEvent {
            at: last_of_series.or(event.last_timestamp.as_ref().map(|time| time.0)).unwrap_or(once),
            object: format!("{}/{}", about.kind, about.name),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
            count: count.unwrap_or(1).max(1),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(value: serde_json::Value) -> SeenEvent {
        let about = About { kind: "Pod", name: "dbt-server-a-0".to_owned(), uid: "u".to_owned() };
        fold(serde_json::from_value(value).unwrap(), &about)
    }

    #[test]
    fn both_ways_of_writing_an_event_are_read() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let counted = folded(serde_json::json!({
            "metadata": {}, "involvedObject": {}, "reason": "BackOff", "message": "Back-off restarting", "count": 7,
            "firstTimestamp": "2026-11-20T10:00:00Z", "lastTimestamp": "2026-11-20T10:05:00Z", "eventTime": null,
        }));
        assert_eq!((counted.first, counted.event.at), (time("2026-11-20T10:00:00Z"), time("2026-11-20T10:05:00Z")));
        assert_eq!((counted.event.count, counted.event.object.as_str()), (7, "Pod/dbt-server-a-0"));
        let series = folded(serde_json::json!({
            "metadata": {}, "involvedObject": {}, "reason": "FailedScheduling", "note": "", "eventTime": "2026-11-20T10:00:00.000000Z",
            "firstTimestamp": null, "lastTimestamp": null,
            "series": { "count": 3, "lastObservedTime": "2026-11-20T10:02:00.000000Z" },
        }));
        assert_eq!((series.first, series.event.at), (time("2026-11-20T10:00:00Z"), time("2026-11-20T10:02:00Z")));
        assert_eq!(series.event.count, 3);
        let bare = folded(serde_json::json!({ "metadata": { "creationTimestamp": "2026-11-20T10:00:00Z" }, "involvedObject": {} }));
        assert_eq!((bare.event.at, bare.event.count), (time("2026-11-20T10:00:00Z"), 1));
    }
}
