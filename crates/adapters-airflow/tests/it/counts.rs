//! How many calls things cost.

use dbt_controller_domain::ports::ConnectionStore as _;
use dbt_controller_port_contracts::fixtures::fence;

use crate::airflow::Airflow;
use crate::harness::{adapter_of, connection};

#[tokio::test]
async fn the_api_is_found_out_once_and_the_token_is_shared() {
    let airflow = Airflow::start(3).await;
    let store = adapter_of(&airflow);
    store.get(&connection().id).await.unwrap();
    let first = airflow.stub.drain();
    assert_eq!(first.len(), 3, "{first:?}");
    assert_eq!(first[..2], ["GET /api/v2/version", "POST /auth/token"]);
    let airflow = Airflow::start(2).await;
    adapter_of(&airflow).get(&connection().id).await.unwrap();
    let first = airflow.stub.drain();
    assert_eq!(first[..2], ["GET /api/v2/version", "GET /api/v1/version"]);
    assert_eq!(first.len(), 3, "{first:?}");
}

/// What a deploy asks of the port, and what that costs once the API is known.
#[tokio::test]
async fn a_first_deploy_costs_two_calls_and_an_unchanged_one_costs_one() {
    for generation in [2, 3] {
        let airflow = Airflow::start(generation).await;
        let (store, wanted) = (adapter_of(&airflow), connection());
        store.check().await.unwrap();
        airflow.stub.drain();

        let known = store.get(&wanted.id).await.unwrap();
        store.put(&wanted, known.as_ref(), &fence()).await.unwrap();
        let calls = airflow.stub.drain();
        assert_eq!(calls.len(), 2, "{calls:?}");

        assert!(store.get(&wanted.id).await.unwrap().unwrap().agrees_with(&wanted));
        assert_eq!(airflow.stub.drain().len(), 1);

        // A change looks once more before it writes: minutes may lie between a deploy's look and its write, and Airflow writes on no
        // condition.
        let known = store.get(&wanted.id).await.unwrap();
        store.put(&wanted, known.as_ref(), &fence()).await.unwrap();
        let calls = airflow.stub.drain();
        assert_eq!(calls.len(), 3, "{calls:?}");

        store.delete(&wanted.id, &fence()).await.unwrap();
        assert_eq!(airflow.stub.drain().len(), 1);
    }
}

#[tokio::test]
async fn lists_are_read_by_hundreds() {
    let airflow = Airflow::start(3).await;
    let store = adapter_of(&airflow);
    for number in 0..250 {
        airflow.state().dags.insert(format!("dag-{number:03}"), ("Release: dbt-server-a".to_owned(), number % 2 == 0));
    }
    store.check().await.unwrap();
    airflow.stub.drain();
    let all = store.all_dags().await.unwrap();
    assert_eq!(all.dags.values().map(Vec::len).collect::<Vec<_>>(), [250]);
    assert_eq!(airflow.stub.drain().len(), 3);
}
