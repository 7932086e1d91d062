use std::sync::Arc;

use super::*;
use crate::model::{OperationRecord, ReleaseStatus, Task};
use crate::test_support::{deploy_task, identity, key, queued, release};

fn other() -> Identity {
    Identity::parse("test", Some("project-main")).unwrap()
}

fn claim(identity: Option<Identity>) -> Claim {
    Claim { name: "a-a-0".to_owned(), identity, size: None, phase: "Bound".to_owned(), terminating: false }
}

fn record(identity: &Identity, task: Task) -> OperationRecord {
    OperationRecord { waiting: vec![queued("op-1", identity, task)], ..OperationRecord::empty(key()) }
}

fn held(releases: &[Arc<ReleaseSummary>], claims: &[Claim], operations: Option<&OperationRecord>) -> Option<String> {
    holder_of(&key().name, &identity(), releases, claims, operations)
}

#[test]
fn a_name_that_nobody_has_is_free_and_so_is_ones_own() {
    assert_eq!(held(&[], &[], None), None);
    let own = Arc::new(release(1, ReleaseStatus::Deployed).summary);
    assert_eq!(held(&[own], &[claim(Some(identity()))], Some(&record(&identity(), deploy_task()))), None);
}

#[test]
fn a_release_of_another_holds_the_name_until_it_is_history() {
    let mut theirs = release(1, ReleaseStatus::Deployed).summary;
    theirs.deployment.as_mut().unwrap().identity = Some(other());
    assert!(held(&[Arc::new(theirs.clone())], &[], None).unwrap().contains("project `test`"));
    theirs.status = ReleaseStatus::Uninstalled;
    assert_eq!(held(&[Arc::new(theirs)], &[], None), None);
}

#[test]
fn a_release_that_is_no_deployment_holds_the_name_in_any_namespace() {
    let mut foreign = release(1, ReleaseStatus::Deployed).summary;
    foreign.deployment = None;
    foreign.key.namespace = "elsewhere".parse().unwrap();
    assert!(held(&[Arc::new(foreign)], &[], None).is_some());
}

#[test]
fn a_claim_left_by_another_or_by_nobody_knows_whom_holds_the_name() {
    assert!(held(&[], &[claim(Some(other()))], None).is_some());
    assert!(held(&[], &[claim(None)], None).is_some());
}

#[test]
fn an_operation_of_another_holds_the_name_and_a_clean_up_does_not() {
    assert!(held(&[], &[], Some(&record(&other(), deploy_task()))).is_some());
    let mut cleanup = record(&other(), Task::Settle);
    cleanup.waiting[0].info.identity = None;
    assert_eq!(held(&[], &[], Some(&cleanup)), None);
}

#[test]
fn an_operation_of_the_identity_is_found_under_its_name() {
    assert_eq!(under_way(&identity(), &record(&identity(), deploy_task())), Some(key()));
    assert_eq!(under_way(&identity(), &record(&other(), deploy_task())), None);
}

#[test]
fn a_record_that_cannot_be_read_stands_in_the_way_of_its_name_and_of_no_other() {
    let mut broken = release(1, ReleaseStatus::Deployed).summary;
    (broken.deployment, broken.unreadable) = (None, Some("no gzip".to_owned()));
    let names = identity().release_names();
    assert!(names.contains(&broken.key.name));
    let failure = unreadable_among(&names, &[Arc::new(broken.clone())]).unwrap();
    assert_eq!(failure.code, FailureCode::ReleaseUnreadable);
    assert!(failure.message.contains("no gzip"), "{failure}");
    let elsewhere = Identity::parse("unrelated", None).unwrap().release_names();
    assert_eq!(unreadable_among(&elsewhere, &[Arc::new(broken.clone())]), None);
    broken.status = ReleaseStatus::Uninstalled;
    assert_eq!(unreadable_among(&names, &[Arc::new(broken)]), None);
}
