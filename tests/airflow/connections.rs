//! Connections: odd characters, races, the replaced service's.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::{PutOutcome, ReleaseKey};
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _, Fence};
use dbt_controller_port_contracts::fixtures::{self, fence};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::adapter::{adapter_of, connection, prefix};
use dbt_controller_tests::airflow::{Server, kind, tables};

const ODD: [&str; 9] = [
    "p@ss:w/rd?#%&=+",
    "\"quotes\" 'and' \\backslash\\ `",
    "{\"json\": [1]} {{ jinja }} ${shell} $(x)",
    " spaces at both ends ",
    "line\nbreak\ttab\u{1}\u{7f}",
    "Ünïcödé пароль 密码 🔑",
    "__var:x vault:secret",
    "****",
    "%41%2F..//../",
];

#[tokio::test]
async fn every_character_is_stored_as_it_is() {
    let server = Server::shared();
    let store = adapter_of(&server);
    let mut wanted = connection("odd");
    let long = "x".repeat(6000);
    for odd in ODD.into_iter().chain([long.as_str()]) {
        let short: String = odd.chars().take(400).collect();
        wanted.url = format!("http://host/{short}/invocations");
        wanted.credentials.user = short;
        wanted.credentials.password = odd.into();
        let known = store.get(&wanted.id).await.unwrap();
        store.put(&wanted, known.as_ref(), &fence()).await.unwrap();
        let stored = store.get(&wanted.id).await.unwrap().unwrap();
        assert!(stored.agrees_with(&wanted), "{stored:?}");
        assert_eq!(tables::password(&server, wanted.id.as_str()).await.as_deref(), Some(odd));
    }
    store.delete(&wanted.id, &fence()).await.unwrap();
}

#[tokio::test]
async fn ids_of_every_form_are_ids_of_connections() {
    let store = adapter_of(&Server::shared());
    let owner = connection("ids").owner;
    let long = format!("{}-{}", prefix("l"), "x".repeat(200));
    for id in ["A.b_c-D", "...", "-", "_x", "a..b", &long[..200], "test", "connections", "123"] {
        let wanted = fixtures::connection(&owner, &id.parse().unwrap());
        store.put(&wanted, None, &fence()).await.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert!(store.get(&wanted.id).await.unwrap().unwrap().agrees_with(&wanted), "{id}");
        store.delete(&wanted.id, &fence()).await.unwrap();
        assert!(store.get(&wanted.id).await.unwrap().is_none(), "{id}");
    }
}

#[tokio::test]
async fn ten_equal_puts_at_once_all_succeed_and_one_creates() {
    // Its own, lest the other tests wait behind these calls: it serves one at a time.
    let server = Server::start(&[]).await;
    let (store, wanted) = (Arc::new(adapter_of(&server)), connection("race"));
    let puts: Vec<_> = (0..10)
        .map(|_| {
            let (store, wanted) = (Arc::clone(&store), wanted.clone());
            let fence = Fence::new(Duration::from_secs(180), Instant::now());
            tokio::spawn(async move { store.put(&wanted, None, &fence).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for put in puts {
        created += usize::from(put.await.unwrap() == PutOutcome::Created);
    }
    assert_eq!(created, 1);
    assert!(store.get(&wanted.id).await.unwrap().unwrap().agrees_with(&wanted));
    let password = tables::password(&server, wanted.id.as_str()).await;
    assert_eq!(password.as_deref(), Some(wanted.credentials.password.expose_secret()));
}

#[tokio::test]
async fn a_crowd_of_deployments_at_once_does_not_stall_it() {
    // Its own, lest the other tests wait behind these calls.
    let server = Server::start(&[]).await;
    let store = Arc::new(adapter_of(&server));
    // Airflow 2 serves one call at a time here, so a crowd would wait for longer than a call may take.
    let crowd = if kind() == "2" { 5 } else { 40 };
    let mut deployments = JoinSet::new();
    for number in 0..crowd {
        let (store, wanted) = (Arc::clone(&store), connection(&format!("crowd-{number}")));
        deployments.spawn(async move {
            let fence = Fence::new(Duration::from_secs(180), Instant::now());
            let known = store.get(&wanted.id).await.unwrap();
            store.put(&wanted, known.as_ref(), &fence).await.unwrap();
            let known = store.get(&wanted.id).await.unwrap();
            store.put(&wanted, known.as_ref(), &fence).await.unwrap();
            assert!(store.list_ours().await.unwrap().iter().any(|stored| stored.id == wanted.id));
            store.delete(&wanted.id, &fence).await.unwrap();
        });
    }
    deployments.join_all().await;
}

#[tokio::test]
async fn a_connection_of_the_replaced_service_is_taken_over_whole() {
    let server = Server::shared();
    let store = adapter_of(&server);
    let name = format!("dbt-{}", prefix("old"));
    let url = format!("http://dbt-server-{name}.dbt-server.svc.cluster.local/invocations");
    let fields = json!({
        "conn_id": name, "conn_type": "http", "host": url, "login": "old", "password": "old", "port": 80, "schema": "http",
        "extra": "{\"token\": \"old\"}", "description": format!("Configuration to call {url}"),
    });
    tables::set_connection(&server, &fields).await;
    let owner = ReleaseKey { namespace: fixtures::namespace(), name: name.parse().unwrap() };
    let wanted = fixtures::connection(&owner, &name.parse().unwrap());
    let found = store.get(&wanted.id).await.unwrap().unwrap();
    assert_eq!((found.owner, found.has_foreign_fields), (Some(owner), true));
    assert!(store.list_ours().await.unwrap().iter().any(|ours| ours.id == wanted.id));
    assert_eq!(store.put(&wanted, None, &fence()).await.unwrap(), PutOutcome::Updated);
    assert!(store.get(&wanted.id).await.unwrap().unwrap().agrees_with(&wanted));
    store.delete(&wanted.id, &fence()).await.unwrap();
}

#[tokio::test]
async fn somebody_elses_of_the_same_id_is_left_alone() {
    let server = Server::shared();
    let (store, wanted) = (adapter_of(&server), connection("foreign"));
    let fields =
        json!({ "conn_id": wanted.id.as_str(), "conn_type": "http", "host": wanted.url, "password": "theirs", "description": "mine" });
    tables::set_connection(&server, &fields).await;
    let put = store.put(&wanted, None, &fence()).await;
    assert!(matches!(&put, Err(ConnectionError::Taken(whose)) if whose == "mine"), "{put:?}");
    assert_eq!(tables::password(&server, wanted.id.as_str()).await.as_deref(), Some("theirs"));
}
