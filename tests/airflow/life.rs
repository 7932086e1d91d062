//! Servers that stop, come back, and are replaced; addresses that are wrong.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::PutOutcome;
use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _};
use dbt_controller_port_contracts::fixtures::fence;

use crate::adapter::{adapter, adapter_of, connection, settings};
use dbt_controller_tests::airflow::{Server, admin, kind};

#[tokio::test]
async fn a_server_that_stops_in_mid_call_and_comes_back_is_used_again() {
    let server = Server::start(&[]).await;
    let (store, wanted) = (Arc::new(adapter_of(&server)), connection("back"));
    store.put(&wanted, None, &fence()).await.unwrap();
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let (store, wanted) = (Arc::clone(&store), wanted.clone());
            tokio::spawn(async move {
                loop {
                    match store.put(&wanted, None, &fence()).await {
                        Ok(_) => {}
                        Err(ConnectionError::Unavailable(_) | ConnectionError::Unreachable(_)) => return,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let again = server.stop().await;
    for call in calls {
        call.await.unwrap();
    }
    // With another secret the token that we have is a foreign one.
    let secret = format!("AIRFLOW__API_AUTH__JWT_SECRET={}", "another-secret-".repeat(5));
    let _server = Server::start(&[&again[0], &again[1], &secret]).await;
    assert!(store.get(&wanted.id).await.unwrap().unwrap().agrees_with(&wanted));
    assert_eq!(store.put(&wanted, None, &fence()).await.unwrap(), PutOutcome::Updated);
}

#[tokio::test]
async fn airflow_2_is_replaced_by_airflow_3_at_the_same_address() {
    let newer = if kind() == "2" { "3".to_owned() } else { kind() };
    let server = Server::start(&["KIND=2"]).await;
    let (store, wanted) = (adapter_of(&server), connection("upgrade"));
    assert_eq!(store.put(&wanted, None, &fence()).await.unwrap(), PutOutcome::Created);
    let known = store.get(&wanted.id).await.unwrap();
    let [port, _] = server.stop().await;
    assert!(matches!(store.get(&wanted.id).await, Err(ConnectionError::Unavailable(_))));
    let _server = Server::start(&[&format!("KIND={newer}"), &port]).await;
    // Its database is another one.
    assert_eq!(store.put(&wanted, known.as_ref(), &fence()).await.unwrap(), PutOutcome::Created);
    assert!(store.get(&wanted.id).await.unwrap().unwrap().agrees_with(&wanted));
    assert!(store.check().await.unwrap().version.starts_with("3."));
}

#[tokio::test]
async fn a_wrong_path_is_told() {
    let url = format!("{}/wrong", Server::shared().url);
    let store = adapter(settings(&url, admin()));
    for answer in [store.get(&connection("path").id).await.map(drop), store.put(&connection("path"), None, &fence()).await.map(drop)] {
        let Err(ConnectionError::Unavailable(why) | ConnectionError::Unreachable(why)) = answer else { panic!("{answer:?}") };
        assert!(why.to_string().contains("AIRFLOW_URL"), "{why}");
    }
}

#[tokio::test]
async fn an_airflow_below_a_path_is_found() {
    let server = Server::start(&["BASE_PATH=/team/airflow"]).await;
    let url = format!("http://{}/team/airflow", server.address());
    for url in [url.clone(), format!("{url}/")] {
        let (store, wanted) = (adapter(settings(&url, admin())), connection("base"));
        store.put(&wanted, None, &fence()).await.unwrap();
        assert!(store.get(&wanted.id).await.unwrap().unwrap().agrees_with(&wanted));
        assert!(store.list_ours().await.unwrap().iter().any(|ours| ours.id == wanted.id));
        store.delete(&wanted.id, &fence()).await.unwrap();
    }
}
