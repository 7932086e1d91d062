//! Server-sent events.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, body, request};

/// One event of a stream.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: u64,
    data: Value,
}

/// The events of a stream that was read to its end, without comments.
fn events(stream: &str) -> Vec<Event> {
    let blocks = stream.split("\n\n").filter(|block| block.lines().any(|line| line.starts_with("data:")));
    blocks
        .map(|block| {
            let field = |name: &str| {
                let prefix = format!("{name}: ");
                block.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
            };
            Event { name: field("event"), id: field("id").parse().unwrap(), data: serde_json::from_str(&field("data")).unwrap() }
        })
        .collect()
}

/// Deploys without waiting, and follows the operation to its end.
async fn followed(app: &TestApp, body: &Value) -> (String, Reply) {
    let receipt = app.deploy_async(body).await.expect(202);
    let path = receipt["details"]["events"].as_str().unwrap().to_owned();
    let reply = app.get(&path).await;
    (path, reply)
}

#[tokio::test(start_paused = true)]
async fn a_deploy_is_told_phase_by_phase_and_ends_with_its_outcome() {
    let app = TestApp::new();
    let (_, reply) = followed(&app, &body()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.header("content-encoding"), Some("identity"));
    assert_eq!(reply.header("x-accel-buffering"), Some("no"));

    let events = events(&reply.text());
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=events.len() as u64).collect::<Vec<_>>());
    let phases: Vec<_> = events.iter().filter(|event| event.name == "phase").map(|event| event.data["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, ["name", "record", "apply", "ready", "connect", "commit"]);
    let (outcome, story) = events.split_last().unwrap();
    assert_eq!(outcome.name, "outcome");
    assert_eq!(outcome.data["outcome"]["status"], "success");
    assert_eq!(outcome.data["outcome"]["details"]["airflow_connection"]["id"], "test_project_main");
    assert!(
        story.iter().all(|event| ["phase", "progress"].contains(&event.name.as_str()) && event.data["sequence"] == event.id),
        "{story:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_gets_what_it_missed_and_then_nothing() {
    let app = TestApp::new();
    let (path, reply) = followed(&app, &body()).await;
    let all = events(&reply.text());
    let last = all.last().unwrap().id;
    let resume = async |seen: &str| app.send(request(Method::GET, &path).insert_header(("Last-Event-ID", seen))).await;

    assert_eq!(events(&resume("2").await.text()), all[2..]);
    assert_eq!(events(&resume(&(last - 1).to_string()).await.text()), all[all.len() - 1..]);
    assert_eq!(events(&resume("not one of ours").await.text()), all);
    let nothing = resume(&last.to_string()).await;
    assert_eq!((nothing.status, nothing.bytes.len()), (204, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_deploy_ends_with_its_autopsy() {
    let app = TestApp::new();
    let (_, reply) = followed(&app, &json!({ "project_name": "p", "tag": "missing" })).await;
    let events = events(&reply.text());
    assert!(events.iter().any(|event| event.name == "phase" && event.data["phase"] == "undo"), "{events:?}");
    let outcome = &events.last().unwrap().data["outcome"];
    assert_eq!((&outcome["status"], &outcome["code"], &outcome["undo"]), (&json!("error"), &json!("image_pull_failed"), &json!("undone")));
    assert!(outcome["autopsy"]["containers"].is_array());
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_by_comments() {
    let app = TestApp::new();
    let (_, reply) = followed(&app, &json!({ "project_name": "p", "tag": "missing" })).await;
    // Pulling is tried for a minute before it is given up.
    assert!(reply.text().contains("\n: keep-alive\n") || reply.text().contains(": keep-alive"), "{}", reply.text());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stops_ends_its_streams() {
    let app = TestApp::new();
    let receipt = app.deploy_async(&json!({ "project_name": "p", "tag": "missing" })).await.expect(202);
    app.stop.cancel();
    let reply = app.get(receipt["details"]["events"].as_str().unwrap()).await;
    assert!(events(&reply.text()).iter().all(|event| event.name != "outcome"));
}
