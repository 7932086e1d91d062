//! What a fuzzer calls: any bytes as what others may have written into the cluster, and what must hold then. Panics when it does not.
#![allow(clippy::panic, reason = "a broken property is what the fuzzer looks for")]

use std::collections::BTreeMap;

use dbt_controller_domain::model::{ReleaseKey, RevisionNumber};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::facts::Recorded;
use crate::manifest::Manifest;
use crate::record::{Record, RecordKey, Stamp};

/// The payload of a record: as it stands, and as the JSON in one, since no fuzzer finds its way through gzip.
pub fn record(bytes: &[u8]) {
    read(bytes.to_vec());
    read(crate::record::pack_for_fuzzing(bytes));
}

/// The manifest of a record.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(manifest) = Manifest::from_text(text) else { return };
    let again = Manifest::from_text(&manifest.to_text()).unwrap_or_else(|error| panic!("what was written is not read: {error}"));
    assert!(again == manifest, "what was written is read as something else");
    assert_eq!(again.hash(), manifest.hash());
    for object in manifest.objects() {
        let _owned = object.owned(&key().release);
    }
    facts(&serde_json::Value::Null, &manifest);
}

fn read(payload: Vec<u8>) {
    let secret = Secret { data: Some(BTreeMap::from([("release".to_owned(), ByteString(payload))])), ..Secret::default() };
    let Ok(record) = Record::decode(key(), &secret) else { return };
    let _parts =
        (record.status(), record.first_deployed(), record.last_deployed(), record.rollback_revision(), record.chart(), record.size());
    if let (Ok(values), Ok(text)) = (record.values(), record.manifest())
        && let Ok(manifest) = Manifest::from_text(&text)
    {
        facts(&values, &manifest);
    }
    let Ok(written) = record.encode(Stamp::Modified, Timestamp::UNIX_EPOCH) else { return };
    let again = Record::decode(key(), &written).unwrap_or_else(|error| panic!("what was written is not read: {error}"));
    // Records hold secrets, so they have no comparison; the Secret has everything.
    let written_again = again.encode(Stamp::Modified, Timestamp::UNIX_EPOCH);
    assert!(written_again.is_ok_and(|secret| secret == written), "what was written is read as something else");
}

/// Everything that is read from a revision.
fn facts(values: &serde_json::Value, manifest: &Manifest) {
    let key = key();
    let recorded = Recorded { key: &key.release, revision: key.revision, values, manifest };
    let _facts = (recorded.deployment(), recorded.credentials(), recorded.htpasswd(), recorded.redacted_values(), manifest.kinds());
}

fn key() -> RecordKey {
    let text = "it is a DNS label";
    let release = ReleaseKey { namespace: "dbt-server".parse().expect(text), name: "dbt-server-a".parse().expect(text) };
    RecordKey::new(&release, RevisionNumber(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(target: &str, read: fn(&[u8])) {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        files.iter().for_each(|file| read(&std::fs::read(file).unwrap()));
    }

    #[test]
    fn the_corpora_are_replayed() {
        replay("record", record);
        replay("manifest", manifest);
    }
}
