use std::collections::BTreeMap;

use dbt_controller_port_contracts::fixtures::{self, RecordBuilder};
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::advance;

use super::*;

fn release() -> ReleaseName {
    "dbt-server-a-main".parse().unwrap()
}

fn record() -> RecordBuilder {
    let identity = dbt_controller_domain::Identity::parse("a", Some("main")).unwrap();
    fixtures::record(&fixtures::release_key(&fixtures::namespace(), &identity))
}

fn secret(name: &str, data: &[u8]) -> Secret {
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), resource_version: Some("7".to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(DATA_KEY.to_owned(), ByteString(data.to_vec()))])),
        ..Secret::default()
    }
}

#[test]
fn the_name_of_an_object_tells_its_release() {
    assert_eq!(release_of(&release().operation_object_name()), Some(release()));
    for name in ["dbt-controller-op", "dbt-controller-op.", "other.dbt-server-a-main", "dbt-controller-op.UPPER", ""] {
        assert_eq!(release_of(name), None, "{name}");
    }
}

#[test]
fn an_object_is_read_and_a_damaged_or_foreign_one_is_told_in_words() {
    let json = codec::encode(&Stored { lock_at: None, record: record().waiting().build() }).unwrap();
    let kept = content(secret("dbt-controller-op.dbt-server-a-main", &json)).unwrap();
    assert_eq!((kept.version.as_str(), &kept.stored.record.key.name), ("7", &release()));

    let reason = |secret| content(secret).unwrap_err();
    assert_eq!(
        reason(secret("dbt-controller-op.dbt-server-b", &json)),
        "it holds the record of another release; remove it by hand when no operation of the release is under way"
    );
    assert!(reason(secret("dbt-controller-op.dbt-server-a-main", &json[..40])).starts_with("it is damaged (the end is missing"));
    let empty = reason(Secret { data: None, ..secret("dbt-controller-op.dbt-server-a-main", b"") });
    assert!(empty.starts_with("it has no data `record`; remove it by hand"), "{empty}");
    let newer = reason(secret("dbt-controller-op.dbt-server-a-main", br#"{"schema":9,"whatever":true}"#));
    assert!(newer.starts_with("it was written by a newer version of the service (form 9"), "{newer}");
}

#[test]
fn a_lock_is_another_when_id_holder_or_renewal_changed() {
    let operation = fixtures::operation_id();
    let running = |holder: &str, renewal| record().running(&operation, holder).renewal(renewal);
    let is_same = |one: RecordBuilder, other: RecordBuilder| Lock::of(&one.build()) == Lock::of(&other.build());
    assert!(is_same(running("h", 1), running("h", 1).event("more").waiting()));
    assert!(!is_same(running("h", 1), running("h", 2)));
    assert!(!is_same(running("h", 1), running("i", 1)));
    assert!(!is_same(running("h", 1), record().running(&fixtures::operation_id(), "h").renewal(1)));
    assert!(Lock::of(&record().build()).is_none());
}

/// A store whose API server never answers: what it says from memory.
async fn silent_store() -> KubeOperationStore {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    // Dropped here: connections are refused.
    drop(listener);
    let mut config = kube::Config::new(uri);
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    KubeOperationStore::start(client, &fixtures::namespace(), StoreSettings::new(Duration::from_secs(6)))
}

#[tokio::test]
async fn an_age_grows_while_nobody_writes() {
    let store = silent_store().await;
    let operation = fixtures::operation_id();
    let kept = |record: RecordBuilder| {
        let stored = Stored { lock_at: Some("2026-11-21T10:00:00Z".parse().unwrap()), record: record.build() };
        Kept { version: "1".to_owned(), stored }
    };
    let running = kept(record().running(&operation, "h"));
    assert_eq!(store.stored(&running).lock_age, Duration::ZERO, "nothing is known of the server's clock yet");

    tokio::time::pause();
    let now = Instant::now();
    store.clock.learn("Sat, 21 Nov 2026 10:00:10 GMT", now, now);
    assert_eq!(store.stored(&running).lock_age, Duration::from_secs(10));
    advance(Duration::from_secs(21)).await;
    assert_eq!(store.stored(&running).lock_age, Duration::from_secs(31));
    assert_eq!(store.stored(&kept(record().waiting())).lock_age, Duration::ZERO, "nothing runs");
    store.clock.learn("Sat, 21 Nov 2026 09:00:00 GMT", Instant::now(), Instant::now());
    assert_eq!(store.stored(&running).lock_age, Duration::ZERO, "the server's clock was set back");
}

#[tokio::test]
async fn a_cluster_that_is_away_hinders_no_start_and_every_call_ends() {
    let store = silent_store().await;
    assert!(matches!(store.list().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.read(&release()).await, Err(StoreError::Unavailable(_))));
    let written = store.compare_and_swap(&release(), None, record().build()).await;
    assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
    let watch = store.watch(&release()).await;
    assert!(watch.has_changed().is_err(), "whoever watches comes back");
    assert!(!*store.leadership().borrow());
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    assert!(store.behind().is_some());
}

#[tokio::test]
async fn a_record_over_the_limit_is_refused_without_a_request() {
    let store = silent_store().await;
    let line = "x".repeat(64 * 1024);
    let long = (0..15).fold(record().waiting(), |record, _| record.waiting()).running(&fixtures::operation_id(), "h");
    let now = Instant::now();
    store.clock.learn("Sat, 21 Nov 2026 10:00:10 GMT", now, now);
    let long = (0..15).fold(long, |record, _| record.event(&line));
    match store.compare_and_swap(&release(), None, long.build()).await {
        Err(StoreError::TooLarge(bytes)) => assert!(bytes > SIZE_LIMIT, "{bytes}"),
        other => panic!("{other:?}"),
    }
}
