//! Whatever a record may hold comes back from its stored form.

mod any;

use dbt_controller_domain::model::Rebuild;
use dbt_controller_port_contracts::fixtures;
use proptest::prelude::*;

use super::*;

fn hashes(record: &OperationRecord) -> Vec<String> {
    record.unfinished().map(|(_, task)| task.hash().as_str().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_record_comes_back_as_it_was(record in any::record(), lock_at in any::optional_time()) {
        let stored = Stored { lock_at, record: Arc::new(record) };
        let json = encode(&stored).unwrap();
        let read = decode(&json).unwrap();
        prop_assert_eq!(read.lock_at, stored.lock_at);
        // Records hold secrets, so they have no comparison: their debug form has all else, the hash of a request covers its secrets.
        prop_assert_eq!(format!("{:?}", read.record), format!("{:?}", stored.record));
        prop_assert_eq!(hashes(&read.record), hashes(&stored.record));
        prop_assert_eq!(encode(&read).unwrap(), json, "equal records have equal bytes");
    }

    #[test]
    fn damage_is_told_and_never_panics(record in any::record(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut json = encode(&Stored { lock_at: None, record: Arc::new(record) }).unwrap();
        let place = place.index(json.len());
        prop_assert!(decode(&json[..place]).is_err(), "half a record is none");
        json[place] = byte;
        // Many a changed byte is only another text; what matters is that none is a panic.
        if let Err(error) = decode(&json) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

fn example() -> serde_json::Value {
    let key = fixtures::release_key(&fixtures::namespace(), &dbt_controller_domain::Identity::parse("a", None).unwrap());
    let record = fixtures::record(&key).running(&fixtures::operation_id(), "h").waiting().build();
    serde_json::from_slice(&encode(&Stored { lock_at: None, record }).unwrap()).unwrap()
}

fn read(value: &serde_json::Value) -> Result<Stored, DecodeError> {
    decode(&serde_json::to_vec(value).unwrap())
}

#[test]
fn what_a_newer_version_wrote_is_refused_and_named() {
    let mut newer = example();
    assert!(read(&newer).is_ok());
    newer["schema"] = (SCHEMA + 1).into();
    newer["another"] = "field".into();
    assert_eq!(read(&newer).unwrap_err(), DecodeError::Newer(SCHEMA + 1));
}

#[test]
fn what_earlier_versions_wrote_is_read() {
    let (since_2, since_3, since_4) = (["dag_state_before", "rebuild"], ["waking", "owed"], ["suspending"]);
    for (schema, missing) in
        [(1, [&since_2[..], &since_3, &since_4].concat()), (2, [&since_3[..], &since_4].concat()), (3, since_4.to_vec())]
    {
        let mut older = example();
        older["schema"] = schema.into();
        let ledger = older["record"]["running"]["ledger"].as_object_mut().unwrap();
        assert!(missing.iter().all(|field| ledger.remove(*field).is_some()));
        assert!(older["record"]["running"].as_object_mut().unwrap().remove("stale_after_ms").is_some());
        let stored = read(&older).unwrap();
        let running = stored.record.running.as_ref().unwrap();
        assert_eq!(running.stale_after, std::time::Duration::ZERO);
        let ledger = &running.ledger;
        assert_eq!((ledger.dag_state_before, ledger.rebuild, ledger.waking, ledger.suspending), (None, Rebuild::NONE, false, false));
        assert_eq!(ledger.owed, []);
    }
    let mut form_4 = example();
    form_4["schema"] = 4.into();
    assert!(read(&form_4).is_ok());
}

#[test]
fn an_unknown_field_is_damage_since_it_would_be_lost_at_the_next_write() {
    for pointer in ["", "/record", "/record/running", "/record/running/ledger", "/record/waiting/0/info", "/record/running/info/caller"] {
        let mut value = example();
        value.pointer_mut(pointer).unwrap()["another"] = true.into();
        assert!(matches!(read(&value), Err(DecodeError::Damaged { .. })), "{pointer}");
    }
}

#[test]
fn an_error_repeats_nothing_of_what_it_read() {
    let mut value = example();
    value["record"]["running"]["renewal"] = "hunter2".into();
    let error = read(&value).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    let mut value = example();
    value["record"]["running"]["phase"] = "hunter2".into();
    let error = read(&value).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}
