//! Writing: whose a connection is, lost answers, races.

use dbt_controller_domain::model::{Connection, DeleteOutcome, PutOutcome, ReleaseKey};
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _};
use dbt_controller_port_contracts::fixtures::{self, fence};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::airflow::Airflow;
use crate::harness::{adapter_of, connection, namespace};
use crate::stub::Play;

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
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
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
async fn a_delete_whose_answer_was_lost_has_deleted() {
    let airflow = Airflow::start(2).await;
    let (store, wanted) = (adapter_of(&airflow), connection());
    store.put(&wanted, None, &fence()).await.unwrap();
    airflow.instead(&format!("DELETE /api/v1/connections/{}", wanted.id), true, Play::Close);
    assert_eq!(store.delete(&wanted.id, &fence()).await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(store.delete(&wanted.id, &fence()).await.unwrap(), DeleteOutcome::Absent);
}
