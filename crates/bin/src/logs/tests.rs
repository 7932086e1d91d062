use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// Collects what is written.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged by `act` with these settings.
fn logged(level: LogLevel, readable: bool, act: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = Registry::default().with(layer(LogSettings { level, readable }, move || writer.clone(), false));
    tracing::subscriber::with_default(subscriber, act);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn speak_in_spans() {
    let request = tracing::info_span!("request", request_id = "r-1", release = tracing::field::Empty);
    let _request = request.enter();
    let operation = tracing::info_span!("operation", operation_id = "o-1", attempt = 2);
    let _operation = operation.enter();
    request.record("release", "dbt-server-a");
    tracing::error!(code = "internal", ok = false, "the \"server\" is gone");
}

#[test]
fn a_json_line_has_the_fields_of_its_spans_beside_its_own() {
    let line: Value = serde_json::from_str(&logged(LogLevel::INFO, false, speak_in_spans)).unwrap();
    for (field, expected) in [
        ("level", "ERROR"),
        ("message", "the \"server\" is gone"),
        ("request_id", "r-1"),
        ("release", "dbt-server-a"),
        ("operation_id", "o-1"),
        ("code", "internal"),
    ] {
        assert_eq!(line[field], expected, "{field} of {line}");
    }
    assert_eq!((&line["attempt"], &line["ok"]), (&2.into(), &false.into()));
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
}

#[test]
fn an_error_is_told_with_its_causes_and_a_duration_is_a_number() {
    #[derive(Debug, thiserror::Error)]
    #[error("no answer")]
    struct Outer(#[source] io::Error);
    let error = Outer(io::Error::other("connection refused"));
    let line = logged(LogLevel::INFO, false, || {
        tracing::warn!(error = &error as &dyn std::error::Error, duration_ms = Duration::from_secs(2).as_millis(), "it went wrong");
    });
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["error"], "no answer: connection refused");
    assert_eq!(line["duration_ms"], 2000);
}

#[test]
fn a_higher_level_leaves_lines_out_but_no_fields() {
    let lines = logged(LogLevel::ERROR, false, || {
        tracing::warn!("not shown");
        speak_in_spans();
    });
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("\"request_id\":\"r-1\""), "{lines}");
}

#[test]
fn libraries_never_speak_below_info() {
    let lines = logged(LogLevel::TRACE, false, || {
        tracing::debug!(target: "h2", "frame with a token");
        tracing::debug!(target: "dbt_controller_domain::workflows", "ours");
        tracing::info!(target: "actix_server", "theirs");
    });
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(!lines.contains("frame"), "{lines}");
}

#[test]
fn answers_that_a_library_does_not_understand_are_not_told() {
    let lines = logged(LogLevel::TRACE, false, || {
        tracing::warn!(target: "kube_client::client", "{{\"kind\":\"Secret\"}}, missing field");
        tracing::warn!(target: "kube_runtime::watcher", "watch list error with 403");
        tracing::error!(target: "kube_client::client", "failed with error");
        tracing::warn!(target: "kube_client::client::tls", "failed to reload CA bundle");
    });
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(!lines.contains("Secret") && !lines.contains("403"), "{lines}");
}

#[test]
fn a_readable_line_is_text_with_the_same_fields() {
    let line = logged(LogLevel::INFO, true, speak_in_spans);
    assert!(serde_json::from_str::<Value>(&line).is_err(), "{line}");
    for part in ["ERROR", "request_id=\"r-1\"", "operation_id=\"o-1\"", "is gone"] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn a_panic_is_told_without_the_values_that_its_message_quotes() {
    let text_of = |what: fn()| panic_text(&*std::panic::catch_unwind(what).unwrap_err());
    assert_eq!(text_of(|| panic!("the map is empty")), "the map is empty");
    let told = text_of(|| {
        let url = std::hint::black_box("https://bot:canary@git.example.com");
        panic!("cannot read {url}")
    });
    assert_eq!(told, "a formatted message, which is left out");
}
