//! Logging in, and what a role may do.

use std::time::Duration;

use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _};
use dbt_controller_port_contracts::fixtures::fence;
use tokio::time::Instant;

use crate::adapter::{adapter, adapter_of, connection, settings};
use dbt_controller_tests::airflow::{Server, admin, kind, viewer};

#[tokio::test]
async fn a_good_login_is_told_with_the_version() {
    let health = adapter_of(&Server::shared()).check().await.unwrap();
    assert!(health.role_sufficient);
    assert_eq!(health.version, if kind() == "2" { "2.11.2" } else { "3.3.2" });
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let wrong = adapter(settings(&Server::shared().url, (admin().0, "wrong-password".to_owned())));
    let answers = [
        wrong.check().await.map(drop),
        wrong.put(&connection("wrong"), None, &fence()).await.map(drop),
        wrong.list_ours().await.map(drop),
        wrong.all_dags().await.map(drop),
    ];
    for answer in answers {
        let Err(ConnectionError::Refused(why)) = answer else { panic!("{answer:?}") };
        assert!(why.contains("AIRFLOW_PASSWORD") && !why.contains("wrong-password"), "{why}");
    }
}

#[tokio::test]
async fn a_viewer_has_a_role_that_is_too_low() {
    let store = adapter(settings(&Server::shared().url, viewer()));
    assert!(!store.check().await.unwrap().role_sufficient);
    for answer in [store.put(&connection("viewer"), None, &fence()).await.map(drop), store.list_ours().await.map(drop)] {
        let Err(ConnectionError::Refused(why)) = answer else { panic!("{answer:?}") };
        assert!(why.contains("role"), "{why}");
    }
}

#[tokio::test]
async fn tokens_that_live_for_seconds_are_renewed_in_time() {
    if kind() == "2" {
        // It has none.
        return;
    }
    let server = Server::start(&["AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME=3", "AIRFLOW__API_AUTH__JWT_LEEWAY=0"]).await;
    let (store, wanted) = (adapter_of(&server), connection("short"));
    let end = Instant::now() + Duration::from_secs(12);
    while Instant::now() < end {
        store.put(&wanted, None, &fence()).await.unwrap();
        store.get(&wanted.id).await.unwrap().unwrap();
    }
    // One that ended while nobody called.
    tokio::time::sleep(Duration::from_secs(5)).await;
    store.get(&wanted.id).await.unwrap().unwrap();
}
