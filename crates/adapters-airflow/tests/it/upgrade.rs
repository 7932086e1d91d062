//! Another Airflow at the same address, a wrong address.

use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _};
use dbt_controller_port_contracts::fixtures::fence;

use crate::airflow::Airflow;
use crate::harness::{adapter, adapter_of, connection, settings};
use crate::stub::{Play, Stub};

#[tokio::test]
async fn an_upgrade_under_a_running_service_is_noticed() {
    let airflow = Airflow::start(2).await;
    let (store, wanted) = (adapter_of(&airflow), connection());
    store.put(&wanted, None, &fence()).await.unwrap();
    for generation in [3, 2, 3] {
        airflow.state().generation = generation;
        assert!(store.get(&wanted.id).await.unwrap().is_some());
        airflow.state().generation = 5 - generation;
        store.put(&wanted, None, &fence()).await.unwrap();
        airflow.state().generation = generation;
        assert!(store.check().await.unwrap().version.starts_with(&generation.to_string()));
        store.list_ours().await.unwrap();
    }
}

/// Airflow 3 answers so outside its API.
#[tokio::test]
async fn a_web_page_is_a_wrong_address() {
    let stub = Stub::start(|seen| match seen.method.as_str() {
        "GET" => Play::html(200),
        _ => Play::json(405, r#"{"detail": "Method Not Allowed"}"#),
    });
    let stub = stub.await;
    let store = adapter(settings(&format!("{}/wrong", stub.url())));
    for answer in [
        store.get(&connection().id).await.map(drop),
        store.put(&connection(), None, &fence()).await.map(drop),
        store.check().await.map(drop),
    ] {
        let Err(ConnectionError::Unavailable(why) | ConnectionError::Unreachable(why)) = answer else { panic!("{answer:?}") };
        assert!(why.to_string().contains("AIRFLOW_URL"), "{why}");
    }
}

#[tokio::test]
async fn nothing_found_is_not_taken_for_an_absent_connection() {
    let airflow = Airflow::start(3).await;
    let (store, wanted) = (adapter_of(&airflow), connection());
    store.put(&wanted, None, &fence()).await.unwrap();
    // As a proxy answers that has lost its route.
    airflow.state().always = Some(Play::html(404));
    let answers = [store.get(&wanted.id).await.map(drop), store.delete(&wanted.id, &fence()).await.map(drop)];
    for answer in answers {
        assert!(matches!(answer, Err(ConnectionError::Unavailable(_))), "{answer:?}");
    }
}
