use std::collections::BTreeMap;

use dbt_controller_domain::model::{ReleaseStatus, RevisionNumber};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::*;
use crate::record::{Draft, Record, Stamp};

fn key(name: &str, revision: u32) -> RecordKey {
    let release = ReleaseKey { namespace: "ns".parse().unwrap(), name: name.parse().unwrap() };
    RecordKey::new(&release, RevisionNumber(revision))
}

/// A record of somebody's chart in this status, at this version.
fn secret(key: &RecordKey, status: ReleaseStatus, version: u64) -> Secret {
    let draft = Draft {
        key: key.clone(),
        status,
        description: "",
        first_deployed: "2026-11-20T10:00:00Z".parse().unwrap(),
        last_deployed: "2026-11-21T10:00:00Z".parse().unwrap(),
        chart: &json!({ "metadata": { "name": "chart", "version": "1.0.0", "appVersion": "2" } }),
        config: &json!({}),
        manifest: "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n",
    };
    let now = "2026-11-21T10:00:00Z".parse().unwrap();
    let secret = Record::new(&draft, &BTreeMap::new()).encode(Stamp::Created, now).unwrap();
    let metadata = ObjectMeta { resource_version: Some(version.to_string()), ..secret.metadata };
    Secret { metadata, ..secret }
}

impl Table {
    fn put(&self, name: &str, revision: u32, status: ReleaseStatus, version: u64) -> Option<RecordKey> {
        let key = key(name, revision);
        let entry = Arc::new(Entry::of(key.clone(), &secret(&key, status, version)));
        self.set(&key, Some(&entry))
    }

    fn only(&self) -> Arc<ReleaseSummary> {
        let list = self.list();
        assert_eq!(list.len(), 1);
        Arc::clone(&list[0])
    }
}

#[test]
fn releases_are_listed_by_key_with_their_newest_revision() {
    let table = Table::default();
    table.put("b", 1, ReleaseStatus::Superseded, 1);
    table.put("b", 10, ReleaseStatus::Failed, 4);
    table.put("b", 9, ReleaseStatus::Deployed, 3);
    table.put("a", 1, ReleaseStatus::PendingInstall, 2);
    let list: Vec<_> = table
        .list()
        .iter()
        .map(|summary| (summary.key.name.to_string(), summary.revision.0, summary.status, summary.standing.deployed))
        .collect();
    let promised =
        [("a".to_owned(), 1, ReleaseStatus::PendingInstall, None), ("b".to_owned(), 10, ReleaseStatus::Failed, Some(RevisionNumber(9)))];
    assert_eq!(list, promised);
    assert_eq!(table.list()[1].kinds, ["Service"]);
    assert_eq!(table.list()[1].chart, "chart-1.0.0");
}

#[test]
fn a_release_goes_with_its_last_record() {
    let table = Table::default();
    table.put("a", 1, ReleaseStatus::Superseded, 1);
    table.put("a", 2, ReleaseStatus::Deployed, 2);
    assert_eq!(table.set(&key("a", 1), None), None);
    assert_eq!(table.only().revision, RevisionNumber(2));
    table.set(&key("a", 2), None);
    assert!(table.list().is_empty() && table.newest(&key("a", 1).release).is_none());
}

#[test]
fn the_higher_of_two_revisions_in_force_counts() {
    let table = Table::default();
    table.put("a", 1, ReleaseStatus::Deployed, 1);
    table.put("a", 2, ReleaseStatus::Deployed, 2);
    table.put("a", 3, ReleaseStatus::PendingUpgrade, 3);
    assert_eq!(table.only().standing.deployed, Some(RevisionNumber(2)));
}

#[test]
fn a_superseded_record_is_looked_into_when_it_becomes_the_newest() {
    let table = Table::default();
    assert_eq!(table.put("a", 1, ReleaseStatus::Superseded, 1), Some(key("a", 1)));
    assert_eq!(table.put("a", 2, ReleaseStatus::Deployed, 2), None);
    assert!(!table.wants(&key("a", 1)));
    assert_eq!(table.set(&key("a", 2), None), Some(key("a", 1)));
    assert!(table.wants(&key("a", 1)));
    assert_eq!(table.only().unreadable.as_deref(), Some("it was not read yet"));

    // What was read before the record changed again does not count.
    table.fill(&key("a", 1), Entry::read(key("a", 1), &secret(&key("a", 1), ReleaseStatus::Superseded, 5)));
    assert!(table.wants(&key("a", 1)));
    table.fill(&key("a", 1), Entry::read(key("a", 1), &secret(&key("a", 1), ReleaseStatus::Superseded, 1)));
    assert!(!table.wants(&key("a", 1)));
    assert_eq!(table.only().kinds, ["Service"]);
}

#[test]
fn a_record_in_another_format_stands_beside_the_one_of_its_number() {
    let table = Table::default();
    table.put("a", 1, ReleaseStatus::Deployed, 1);
    let other = RecordKey::parse("ns", "sh.helm.release.v2.a.v1").unwrap();
    table.set(&other, Some(&Arc::new(Entry::of(other.clone(), &secret(&key("a", 1), ReleaseStatus::Deployed, 2)))));
    assert!(table.only().unreadable.is_some(), "the later format is the newer one");
    assert_eq!(table.get(&key("a", 1)).map(|entry| entry.version.clone()).as_deref(), Some("1"));
    table.set(&other, None);
    assert!(table.only().unreadable.is_none());
}

#[test]
fn an_unreadable_record_does_not_hide_its_release_nor_others() {
    let table = Table::default();
    table.put("a", 1, ReleaseStatus::Deployed, 1);
    let mut broken = secret(&key("b", 1), ReleaseStatus::Deployed, 2);
    broken.data = None;
    table.set(&key("b", 1), Some(&Arc::new(Entry::of(key("b", 1), &broken))));
    let list = table.list();
    assert_eq!(list.len(), 2);
    assert!(list[0].unreadable.is_none() && list[1].unreadable.is_some());
    assert_eq!((list[1].status, list[1].standing.deployed), (ReleaseStatus::Deployed, Some(RevisionNumber(1))));
}
