//! What real servers do not do on demand.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::PutOutcome;
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _, Fence};
use dbt_controller_port_contracts::fixtures::fence;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::airflow::Airflow;
use crate::harness::{adapter, adapter_of, connection, settings};
use crate::stub::{Play, Stub};

fn half() -> Play {
    Play::Raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"connection_id\": \"a".to_vec())
}

/// Each fault once at each call; the port's promise is kept all the same.
#[tokio::test]
async fn a_fault_that_passes_is_not_noticed() {
    let faults = [
        Play::Close,
        half(),
        Play::json(500, r#"{"detail": "database is locked"}"#),
        Play::html(502),
        Play::html(503),
        Play::json(429, "{}").header("retry-after", 1),
    ];
    for (generation, api) in [(2, "v1"), (3, "v2")] {
        for fault in &faults {
            let airflow = Airflow::start(generation).await;
            let (store, wanted) = (adapter_of(&airflow), connection());
            let one = format!("/api/{api}/connections/{}", wanted.id);
            airflow.instead(&format!("GET /api/{api}/version"), false, fault.clone());
            store.get(&wanted.id).await.unwrap();
            // Who is told that it asks too often has done nothing.
            let turned_away = matches!(fault, Play::Answer(429, ..));
            airflow.instead(&format!("POST /api/{api}/connections"), !turned_away, fault.clone());
            assert_eq!(store.put(&wanted, None, &fence()).await.unwrap(), PutOutcome::Created, "{fault:?}");
            airflow.instead(&format!("GET {one}"), false, fault.clone());
            let known = store.get(&wanted.id).await.unwrap();
            airflow.instead(&format!("PATCH {one}"), false, fault.clone());
            assert_eq!(store.put(&wanted, known.as_ref(), &fence()).await.unwrap(), PutOutcome::Updated, "{fault:?}");
            airflow.instead(&format!("GET /api/{api}/connections"), false, fault.clone());
            assert_eq!(store.list_ours().await.unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_fault_that_stays_is_given_up_soon() {
    for fault in [Play::Close, half(), Play::html(503)] {
        let stub = Stub::start(move |_| fault.clone()).await;
        let begin = Instant::now();
        let answer = adapter(settings(&stub.url())).get(&connection().id).await;
        assert!(matches!(answer, Err(ConnectionError::Unavailable(_))), "{answer:?}");
        assert!(begin.elapsed() < Duration::from_secs(3));
        assert_eq!(stub.seen().len(), 3);
    }
}

#[tokio::test]
async fn a_wait_that_is_longer_than_the_time_left_is_not_waited() {
    let stub = Stub::start(|_| Play::json(429, "{}").header("retry-after", 3600)).await;
    let begin = Instant::now();
    let answer = adapter(settings(&stub.url())).get(&connection().id).await;
    assert!(matches!(answer, Err(ConnectionError::Unavailable(_))), "{answer:?}");
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn no_write_lasts_longer_than_its_fence_allows_nor_begins_when_it_is_down() {
    let airflow = Airflow::start(3).await;
    let (store, wanted) = (adapter_of(&airflow), connection());
    store.check().await.unwrap();
    airflow.state().always = Some(Play::Hang);
    let short = Fence::new(Duration::from_millis(900), Instant::now());
    let begin = Instant::now();
    let put = store.put(&wanted, None, &short).await;
    assert!(matches!(put, Err(ConnectionError::Unavailable(_))), "{put:?}");
    assert!(begin.elapsed() < Duration::from_millis(400), "{:?}", begin.elapsed());

    // It goes down between two calls of one write.
    airflow.state().always = None;
    store.put(&wanted, None, &fence()).await.unwrap();
    let known = store.get(&wanted.id).await.unwrap();
    let fence = fence();
    airflow.instead(&format!("GET /api/v2/connections/{}", wanted.id), true, Play::html(503));
    airflow.stub.drain();
    let (put, ()) = tokio::join!(store.put(&wanted, known.as_ref(), &fence), async {
        while airflow.stub.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        fence.take_down();
    });
    assert!(matches!(put, Err(ConnectionError::Fenced(_))), "{put:?}");
    assert_eq!(airflow.stub.drain().len(), 1);
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_airflow_bears_and_reads_keep_no_write_waiting() {
    let airflow = Airflow::start(3).await;
    let store = Arc::new(adapter_of(&airflow));
    store.check().await.unwrap();
    airflow.state().always = Some(Play::Hang);
    airflow.stub.drain();
    let mut calls = JoinSet::new();
    let under_way = async |expected: usize| {
        let came = async {
            while airflow.stub.seen().len() < expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), came).await.unwrap();
        // Any more would come at once.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(airflow.stub.seen().len(), expected);
    };
    for _ in 0..20 {
        let store = Arc::clone(&store);
        calls.spawn(async move { drop(store.list_ours().await) });
    }
    // Nineteen wait for the next reading.
    under_way(1).await;
    for _ in 0..20 {
        let store = Arc::clone(&store);
        calls.spawn(async move { drop(store.get(&connection().id).await) });
    }
    under_way(3).await;
    for _ in 0..20 {
        let store = Arc::clone(&store);
        calls.spawn(async move { drop(store.put(&connection(), None, &fence()).await) });
    }
    under_way(5).await;
}

#[tokio::test]
async fn an_answer_of_thirty_megabytes_is_refused_and_not_kept() {
    let body = format!("{{\"version\": \"{}\"}}", "x".repeat(30 << 20));
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for play in [Play::json(200, &body), Play::Raw(chunked.into_bytes())] {
        let stub = Stub::start(move |_| play.clone()).await;
        let begin = Instant::now();
        let answer = adapter(settings(&stub.url())).get(&connection().id).await;
        let Err(ConnectionError::Unavailable(why)) = answer else { panic!("{answer:?}") };
        assert!(why.to_string().contains("8 MiB"), "{why}");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Stub::start(|_| Play::json(200, "{}")).await;
        let target = format!("{}/api/v2/stolen?canary", elsewhere.url());
        for generation in [2, 3] {
            let airflow = Airflow::start(generation).await;
            let store = adapter_of(&airflow);
            store.check().await.unwrap();
            airflow.state().always = Some(Play::html(status).header("location", &target));
            for answer in [store.get(&connection().id).await.map(drop), store.put(&connection(), None, &fence()).await.map(drop)] {
                let Err(ConnectionError::Unavailable(why)) = answer else { panic!("{answer:?}") };
                assert!(why.to_string().contains("redirect to 127.0.0.1") && !why.to_string().contains("canary"), "{why}");
            }
        }
        assert!(elsewhere.seen().is_empty());
    }
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let url = Stub::start(|_| Play::Close).await.url();
    let begin = Instant::now();
    let answer = adapter(settings(&url)).get(&connection().id).await;
    assert!(matches!(answer, Err(ConnectionError::Unavailable(_))), "{answer:?}");
    assert!(begin.elapsed() < Duration::from_secs(3));
}

/// Its callers ask again soon, and so do all other operations.
#[tokio::test]
async fn airflow_is_left_alone_for_as_long_as_it_asks_for() {
    let pause = |status| Play::json(status, r#"{"detail": "too many"}"#).header("retry-after", 2);
    for (line, play) in [("GET /api/v2/version", pause(503)), ("POST /auth/token", pause(429)), ("POST /api/v2/connections", pause(503))] {
        let airflow = Airflow::start(3).await;
        let (store, wanted) = (adapter_of(&airflow), connection());
        airflow.instead(line, false, play);
        let begin = Instant::now();
        // Too short to wait for it.
        let short = || Fence::new(Duration::from_secs(3), Instant::now());
        let put = store.put(&wanted, None, &short()).await;
        assert!(matches!(&put, Err(error) if error.to_string().contains("too many")), "{line}: {put:?}");
        airflow.stub.drain();
        for _ in 0..3 {
            let put = store.put(&wanted, None, &short()).await;
            let Err(ConnectionError::Unreachable(why)) = put else { panic!("{line}: {put:?}") };
            assert!(why.to_string().contains("too many"), "{why}");
            assert!(store.delete(&wanted.id, &short()).await.is_err());
        }
        assert!(begin.elapsed() < Duration::from_secs(1), "too slow to tell");
        assert_eq!(airflow.stub.drain(), Vec::<String>::new(), "{line}");
        // Who has the time waits for it.
        assert!(store.get(&wanted.id).await.unwrap().is_none(), "{line}");
        assert!(begin.elapsed() >= Duration::from_secs(2), "{line}");
        store.put(&wanted, None, &fence()).await.unwrap();
    }
}

/// As what stands before Airflow may do: a refusal with the whole request in its words.
#[tokio::test]
async fn a_login_that_is_repeated_does_not_come_back_in_errors() {
    let stub = |status: u16| {
        Stub::start(move |seen| match (seen.path(), seen.headers.get("authorization")) {
            ("/api/v2/version", _) => Play::json(200, r#"{"version": "3.3.2"}"#),
            ("/auth/token", _) if status == 0 => Play::json(201, r#"{"access_token": "canary-token.CANARY_TOKEN"}"#),
            (_, Some(login)) => Play::json(500, serde_json::json!({ "detail": format!("failed: {login}") })),
            // What is cut at its end is told in part.
            _ => Play::json(status, serde_json::json!({ "detail": format!("{}: {}", "x".repeat(240), seen.body) })),
        })
    };
    for status in [400, 401, 403, 404, 405, 408, 409, 410, 418, 422, 429, 500, 502, 503, 504, 0] {
        let stub = stub(status).await;
        let mut settings = settings(&stub.url());
        settings.password = "pass'word\"of%canary-CANARY-é-canary-at-the-end".into();
        let error = adapter(settings).get(&connection().id).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("***") || status == 409, "{status}: nothing was repeated: {text}");
        for secret in ["canary", "CANARY", "word", "cana"] {
            assert!(!text.contains(secret), "{status}: {text}");
        }
    }
    let stub = Stub::start(|seen| match (seen.path(), seen.headers.get("authorization")) {
        ("/api/v1/version", _) => Play::json(200, r#"{"version": "2.11.2"}"#),
        (_, Some(login)) => Play::json(500, serde_json::json!({ "detail": format!("failed: {login}") })),
        _ => Play::html(404),
    });
    let error = adapter(settings(&stub.await.url())).get(&connection().id).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("failed: Basic ***") && !text.contains("YWRtaW4"), "{text}");
}

#[tokio::test]
async fn values_that_airflow_repeats_do_not_come_back_in_errors() {
    for detail in [
        r#"{"detail": [{"loc": ["body", "password"], "msg": "too odd", "input": "canary-password"}]}"#,
        r#"{"detail": "'canary-password' is too odd - 'password'"}"#,
    ] {
        let airflow = Airflow::start(3).await;
        let (store, mut wanted) = (adapter_of(&airflow), connection());
        wanted.credentials.password = "canary-password".into();
        airflow.instead("POST /api/v2/connections", false, Play::json(422, detail));
        let Err(ConnectionError::Rejected(why)) = store.put(&wanted, None, &fence()).await else { panic!("not rejected") };
        assert!(why.contains("too odd") && !why.contains("canary"), "{why}");
    }
}
