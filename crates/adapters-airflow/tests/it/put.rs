//! Writing: whose a connection is, lost answers, races.

use std::time::Duration;

use dbt_controller_domain::model::{Connection, DeleteOutcome, PutOutcome, ReleaseKey};
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _, Fence};
use dbt_controller_port_contracts::fixtures::{self, fence};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::time::Instant;

use crate::airflow::Airflow;
use crate::harness::{adapter, adapter_of, connection, namespace, settings};
use crate::stub::{Play, Stub};

fn password_of(airflow: &Airflow, connection: &Connection) -> Option<String> {
    let state = airflow.state();
    Some(state.connections.get(connection.id.as_str())?["password"].as_str()?.to_owned())
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_looked_up_before_it_is_repeated() {
    for (generation, api) in [(2, "v1"), (3, "v2")] {
        for done in [true, false] {
            let airflow = Airflow::start(generation).await;
            let (store, wanted) = (adapter_of(&airflow), connection());
            store.check().await.unwrap();
            airflow.stub.drain();
            airflow.instead(&format!("POST /api/{api}/connections"), done, Play::Close);
            assert_eq!(store.put(&wanted, None, &fence()).await.unwrap(), PutOutcome::Created);
            let (list, one) = (format!("/api/{api}/connections"), format!("/api/{api}/connections/{}", wanted.id));
            let last = if done { format!("PATCH {one}") } else { format!("POST {list}") };
            assert_eq!(airflow.stub.drain(), [format!("POST {list}"), format!("GET {one}"), last], "done: {done}");
            assert_eq!(password_of(&airflow, &wanted).as_deref(), Some(wanted.credentials.password.expose_secret()));
        }
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_not_repeated_on_somebody_elses() {
    let airflow = Airflow::start(3).await;
    let (store, wanted) = (adapter_of(&airflow), connection());
    store.put(&wanted, None, &fence()).await.unwrap();
    let known = store.get(&wanted.id).await.unwrap();
    // The change is lost, and the second look finds somebody else's.
    let one = format!("/api/v2/connections/{}", wanted.id);
    airflow.instead(&format!("PATCH {one}"), false, Play::Close);
    let foreign =
        json!({ "connection_id": wanted.id.as_str(), "conn_type": "http", "description": "mine", "host": "x", "password": "theirs" });
    let put = async { store.put(&wanted, known.as_ref(), &fence()).await };
    let steal = async {
        while !airflow.stub.seen().iter().any(|seen| seen.method == "PATCH") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        airflow.state().connections.insert(wanted.id.to_string(), foreign.as_object().unwrap().clone());
    };
    let (put, ()) = tokio::join!(put, steal);
    assert!(matches!(put, Err(ConnectionError::Taken(whose)) if whose == "mine"));
    assert_eq!(password_of(&airflow, &wanted).as_deref(), Some("theirs"));
}

#[tokio::test]
async fn ten_equal_puts_at_once_all_succeed_and_one_creates() {
    for generation in [2, 3] {
        let airflow = Airflow::start(generation).await;
        let (store, wanted) = (std::sync::Arc::new(adapter_of(&airflow)), connection());
        let puts: Vec<_> = (0..10)
            .map(|_| {
                let (store, wanted) = (std::sync::Arc::clone(&store), wanted.clone());
                tokio::spawn(async move { store.put(&wanted, None, &fence()).await.unwrap() })
            })
            .collect();
        let mut outcomes = Vec::new();
        for put in puts {
            outcomes.push(put.await.unwrap());
        }
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == PutOutcome::Created).count(), 1, "{outcomes:?}");
        assert_eq!(airflow.state().connections.len(), 1);
        assert!(airflow.state().tokens_given <= 1);
    }
}

#[tokio::test]
async fn a_connection_of_the_replaced_service_is_taken_over_by_its_release_only() {
    let airflow = Airflow::start(3).await;
    let store = adapter_of(&airflow);
    let owner = ReleaseKey { namespace: namespace(), name: "dbt-test-1a2b".parse().unwrap() };
    let url = "http://dbt-server-dbt-test-1a2b.dbt-server.svc.cluster.local/invocations";
    let stored = json!({
        "connection_id": "dbt-test-1a2b", "conn_type": "http", "host": url, "login": "old", "password": "old",
        "description": format!("Configuration to call {url}"), "schema": "", "extra": "{}", "port": null,
    });
    airflow.state().connections.insert("dbt-test-1a2b".to_owned(), stored.as_object().unwrap().clone());
    let id = "dbt-test-1a2b".parse().unwrap();
    assert_eq!(store.get(&id).await.unwrap().unwrap().owner, Some(owner.clone()));
    assert_eq!(store.list_ours().await.unwrap().len(), 1);

    let other = ReleaseKey { namespace: "data".parse().unwrap(), ..owner.clone() };
    let put = store.put(&fixtures::connection(&other, &id), None, &fence()).await;
    assert!(matches!(put, Err(ConnectionError::Taken(_))), "{put:?}");
    let wanted = fixtures::connection(&owner, &id);
    assert_eq!(store.put(&wanted, None, &fence()).await.unwrap(), PutOutcome::Updated);
    assert!(store.get(&id).await.unwrap().unwrap().agrees_with(&wanted));
}

#[tokio::test]
async fn what_airflow_does_not_take_is_refused_before_a_call() {
    let airflow = Airflow::start(3).await;
    let store = adapter_of(&airflow);
    for password in ["", "***"] {
        let mut wanted = connection();
        wanted.credentials.password = password.into();
        let put = store.put(&wanted, None, &fence()).await;
        assert!(matches!(put, Err(ConnectionError::Rejected(_))), "{put:?}");
    }
    assert!(airflow.stub.seen().is_empty());
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_not_repeated_on_somebody_elses() {
    for lost in [Play::Close, Play::html(502), Play::json(503, "{}").header("retry-after", 1), Play::html(200)] {
        let airflow = Airflow::start(2).await;
        let (store, wanted) = (adapter_of(&airflow), connection());
        store.put(&wanted, None, &fence()).await.unwrap();
        let line = format!("DELETE /api/v1/connections/{}", wanted.id);
        airflow.instead(&line, true, lost.clone());
        airflow.stub.drain();
        let foreign = json!({ "connection_id": wanted.id.as_str(), "conn_type": "http", "description": "mine", "password": "theirs" });
        let delete = async { store.delete(&wanted.id, &fence()).await };
        let make_another = async {
            while !airflow.stub.seen().iter().any(|seen| seen.method == "DELETE") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            airflow.state().connections.insert(wanted.id.to_string(), foreign.as_object().unwrap().clone());
        };
        let (delete, ()) = tokio::join!(delete, make_another);
        assert!(matches!(delete, Err(ConnectionError::Unavailable(_))), "{lost:?}: {delete:?}");
        assert_eq!(airflow.stub.drain(), [line], "{lost:?}");
        assert_eq!(password_of(&airflow, &wanted).as_deref(), Some("theirs"), "{lost:?}");
    }
}

/// Also one that surely did nothing: somebody may make their own during the pause that Airflow asks for.
#[tokio::test]
async fn a_delete_is_tried_once_whatever_comes_between() {
    let airflow = Airflow::start(3).await;
    let (store, wanted) = (adapter_of(&airflow), connection());
    let line = format!("DELETE /api/v2/connections/{}", wanted.id);
    for (line, refusal) in [
        (line.as_str(), Play::json(429, "{}").header("retry-after", 1)),
        // The login that it needs first, and the question which Airflow it is.
        ("POST /auth/token", Play::Close),
        ("GET /api/v2/version", Play::Close),
    ] {
        store.put(&wanted, None, &fence()).await.unwrap();
        airflow.state().tokens.clear();
        airflow.instead(line, false, refusal);
        let store = adapter_of(&airflow);
        let delete = store.delete(&wanted.id, &fence()).await;
        assert!(matches!(delete, Err(ConnectionError::Unavailable(_))), "{line}: {delete:?}");
        assert!(password_of(&airflow, &wanted).is_some(), "{line}");
        // As every caller does, who waits for Airflow there.
        assert!(store.get(&wanted.id).await.unwrap().is_some(), "{line}");
        assert_eq!(store.delete(&wanted.id, &fence()).await.unwrap(), DeleteOutcome::Deleted, "{line}");
    }
    assert_eq!(store.delete(&wanted.id, &fence()).await.unwrap(), DeleteOutcome::Absent);
}

/// The caller has to take back what may have been written, and nothing else.
#[tokio::test]
async fn a_put_of_which_nothing_can_have_been_written_says_so() {
    // Nobody listens.
    let (wanted, url) = (connection(), Stub::start(|_| Play::Close).await.url());
    let put = adapter(settings(&url)).put(&wanted, None, &fence()).await;
    assert!(matches!(put, Err(ConnectionError::Unreachable(_))), "{put:?}");

    let (list, one) = ("/api/v2/connections", format!("/api/v2/connections/{}", wanted.id));
    let cases = [
        // The look before a change, and before a create the login and the question which Airflow it is.
        (format!("GET {one}"), Play::Close, true),
        ("POST /auth/token".to_owned(), Play::Close, true),
        ("POST /auth/token".to_owned(), Play::html(502), true),
        ("GET /api/v2/version".to_owned(), Play::Close, true),
        // The write itself is turned away, or what is asked for is not there.
        (format!("PATCH {one}"), Play::json(429, "{}"), true),
        (format!("PATCH {one}"), Play::html(404), true),
        // It may be done.
        (format!("PATCH {one}"), Play::Close, false),
        (format!("PATCH {one}"), Play::html(504), false),
        (format!("PATCH {one}"), Play::html(200), false),
        (format!("PATCH {one}"), Play::json(200, "{}"), false),
        (format!("PATCH {one}"), Play::Hang, false),
        (format!("POST {list}"), Play::Close, false),
        (format!("POST {list}"), Play::html(504), false),
        (format!("POST {list}"), Play::json(201, "{}"), false),
    ];
    for (line, play, nothing) in cases {
        let airflow = Airflow::start(3).await;
        let store = adapter_of(&airflow);
        let known = if line.ends_with(&one) {
            adapter_of(&airflow).put(&wanted, None, &fence()).await.unwrap();
            adapter_of(&airflow).get(&wanted.id).await.unwrap()
        } else {
            None
        };
        airflow.state().stuck = Some((line.clone(), play.clone()));
        let short = Fence::new(Duration::from_secs(3), Instant::now());
        let put = store.put(&wanted, known.as_ref(), &short).await;
        match put {
            Err(ConnectionError::Unreachable(_)) if nothing => {}
            Err(ConnectionError::Unavailable(_)) if !nothing => {}
            _ => panic!("{line} {play:?}: {put:?}"),
        }
    }
}

#[tokio::test]
async fn a_put_whose_time_runs_out_before_it_writes_has_written_nothing() {
    let airflow = Airflow::start(3).await;
    let (store, wanted) = (adapter_of(&airflow), connection());
    store.put(&wanted, None, &fence()).await.unwrap();
    let known = store.get(&wanted.id).await.unwrap();
    airflow.state().always = Some(Play::Hang);
    let put = store.put(&wanted, known.as_ref(), &Fence::new(Duration::from_millis(900), Instant::now())).await;
    assert!(matches!(put, Err(ConnectionError::Unreachable(_))), "{put:?}");
    // A write that was lost counts also when it is a look that ends the call.
    airflow.state().always = None;
    airflow.instead(&format!("PATCH /api/v2/connections/{}", wanted.id), false, Play::html(502));
    let put = async { store.put(&wanted, known.as_ref(), &fence()).await };
    let end = async {
        while !airflow.stub.seen().iter().any(|seen| seen.method == "PATCH") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        airflow.state().always = Some(Play::html(404));
    };
    let (put, ()) = tokio::join!(put, end);
    assert!(matches!(put, Err(ConnectionError::Unavailable(_))), "{put:?}");
}

#[tokio::test]
async fn a_change_that_meets_a_conflict_is_made_after_another_look() {
    for (generation, api) in [(2, "v1"), (3, "v2")] {
        let airflow = Airflow::start(generation).await;
        let (store, mut wanted) = (adapter_of(&airflow), connection());
        store.put(&wanted, None, &fence()).await.unwrap();
        let known = store.get(&wanted.id).await.unwrap();
        wanted.credentials.password = "another-password".into();
        let one = format!("/api/{api}/connections/{}", wanted.id);
        airflow.stub.drain();
        airflow.instead(&format!("PATCH {one}"), false, Play::json(409, json!({ "detail": "conflict" })));
        assert_eq!(store.put(&wanted, known.as_ref(), &fence()).await.unwrap(), PutOutcome::Updated);
        let (get, patch) = (format!("GET {one}"), format!("PATCH {one}"));
        assert_eq!(airflow.stub.drain(), [&get, &patch, &get, &patch].map(String::as_str));
        assert_eq!(password_of(&airflow, &wanted).as_deref(), Some("another-password"));
    }
}
