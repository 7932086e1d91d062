//! Logging in.

use std::time::Duration;

use dbt_controller_domain::ports::{ConnectionError, ConnectionStore as _};
use dbt_controller_port_contracts::fixtures::fence;

use crate::airflow::Airflow;
use crate::harness::{adapter, adapter_of, connection, settings};
use crate::stub::Play;

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let airflow = Airflow::start(3).await;
    let (store, wanted) = (adapter_of(&airflow), connection());
    store.put(&wanted, None, &fence()).await.unwrap();
    // As after a restart with another secret.
    airflow.state().tokens.clear();
    assert!(store.get(&wanted.id).await.unwrap().is_some());
    assert_eq!(airflow.state().tokens_given, 2);
    // As when its time is over.
    let expired = Play::json(401, r#"{"detail": "Token Expired"}"#);
    airflow.instead(&format!("GET /api/v2/connections/{}", wanted.id), false, expired);
    assert!(store.get(&wanted.id).await.unwrap().is_some());
    assert_eq!(airflow.state().tokens_given, 3);
}

#[tokio::test]
async fn many_calls_at_once_renew_a_refused_token_once() {
    let airflow = Airflow::start(3).await;
    let store = std::sync::Arc::new(adapter_of(&airflow));
    let id = connection().id;
    store.get(&id).await.unwrap();
    airflow.state().tokens.clear();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (store, id) = (std::sync::Arc::clone(&store), id.clone());
            tokio::spawn(async move { store.get(&id).await.unwrap() })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(airflow.state().tokens_given, 2);
}

#[tokio::test]
async fn a_token_of_short_life_is_renewed_before_its_end() {
    let airflow = Airflow::start(3).await;
    airflow.state().token_life = 1;
    let store = adapter_of(&airflow);
    let end = tokio::time::Instant::now() + Duration::from_millis(2_500);
    while tokio::time::Instant::now() < end {
        store.get(&connection().id).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let given = airflow.state().tokens_given;
    assert!((3..=5).contains(&given), "{given}");
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_yet_is_used_on() {
    let airflow = Airflow::start(3).await;
    airflow.state().token_life = 4;
    let (store, wanted) = (adapter_of(&airflow), connection());
    let begin = tokio::time::Instant::now();
    store.put(&wanted, None, &fence()).await.unwrap();
    airflow.state().stuck = Some(("POST /auth/token".to_owned(), Play::html(503)));
    tokio::time::sleep_until(begin + Duration::from_millis(3_100)).await;
    airflow.stub.drain();
    for _ in 0..3 {
        assert!(store.get(&wanted.id).await.unwrap().is_some());
    }
    assert!(begin.elapsed() < Duration::from_secs(4), "too slow to tell");
    let (one, login) = (format!("GET /api/v2/connections/{}", wanted.id), "POST /auth/token".to_owned());
    assert_eq!(airflow.stub.drain(), [login, one.clone(), one.clone(), one]);
    tokio::time::sleep_until(begin + Duration::from_millis(4_100)).await;
    let ended = store.get(&wanted.id).await;
    assert!(matches!(ended, Err(ConnectionError::Unavailable(_))), "{ended:?}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_tried_again() {
    for generation in [2, 3] {
        let airflow = Airflow::start(generation).await;
        let mut wrong = settings(&airflow.stub.url());
        wrong.password = "wrong-canary".into();
        let store = adapter(wrong);
        for answer in [store.get(&connection().id).await.map(drop), store.check().await.map(drop), store.list_ours().await.map(drop)] {
            let Err(ConnectionError::Refused(why)) = answer else { panic!("{answer:?}") };
            assert!(why.contains("AIRFLOW_PASSWORD") && !why.contains("wrong-canary"), "{why}");
        }
        airflow.stub.drain();
        let _ = store.get(&connection().id).await;
        assert_eq!(airflow.stub.drain().len(), 1);
    }
}

#[tokio::test]
async fn a_role_that_is_too_low_is_told_from_a_wrong_password() {
    for generation in [2, 3] {
        let airflow = Airflow::start(generation).await;
        airflow.state().role_too_low = true;
        let store = adapter_of(&airflow);
        assert!(!store.check().await.unwrap().role_sufficient);
        let put = store.put(&connection(), None, &fence()).await;
        assert!(matches!(&put, Err(ConnectionError::Refused(why)) if why.contains("role")), "{put:?}");
        assert!(store.all_dags().await.unwrap().dags.is_empty());
    }
}

#[tokio::test]
async fn a_colon_in_the_user_is_fine_with_tokens_only() {
    for (generation, wanted) in [(2, "colon"), (3, "no token is given")] {
        let airflow = Airflow::start(generation).await;
        let mut odd = settings(&airflow.stub.url());
        odd.user = "a:b".to_owned();
        let answer = adapter(odd).get(&connection().id).await;
        assert!(matches!(&answer, Err(ConnectionError::Refused(why)) if why.contains(wanted)), "{answer:?}");
    }
}
