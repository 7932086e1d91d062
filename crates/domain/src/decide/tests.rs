use super::*;
use crate::test_support::{now, release, request};

const HOUR: Duration = Duration::from_secs(3600);

fn decided(newest: Option<&Release>, request: &DeployRequest, manifest: &str, after: i64) -> Plan {
    let manifest = ManifestHash(manifest.to_owned());
    let observed = Observed {
        newest,
        previous: None,
        claim: None,
        manifest: &manifest,
        now: now() + jiff::SignedDuration::from_secs(after),
        pending_is_dead_after: HOUR,
    };
    decide(&observed, request)
}

#[track_caller]
fn refused(plan: Plan) -> FailureCode {
    match plan {
        Plan::Refuse(failure) => {
            assert_eq!(failure.undo, UndoOutcome::NothingToUndo);
            failure.code
        }
        other => panic!("expected a refusal, not {other:?}"),
    }
}

fn change(previous: Option<u32>) -> Plan {
    Plan::Change { previous: previous.map(RevisionNumber), rebuild: Rebuild::NONE }
}

/// A change for which the StatefulSet is made anew: its claims grow, or nobody knows what size it was made for.
fn anew(previous: Option<u32>) -> Plan {
    Plan::Change { previous: previous.map(RevisionNumber), rebuild: Rebuild { grow: true, adopt: false } }
}

#[test]
fn the_state_of_the_release_decides() {
    use ReleaseStatus::*;
    let table = [
        (None, "new", Plan::Install),
        (Some(Uninstalled), "new", Plan::Install),
        (Some(Uninstalling), "new", Plan::CleanUpAndInstall),
        (Some(Deployed), "new", change(Some(3))),
        (Some(Deployed), "old", Plan::Repair { revision: RevisionNumber(3) }),
        (Some(Failed), "new", anew(None)),
        (Some(Failed), "old", anew(None)),
        (Some(Superseded), "old", anew(Some(3))),
        (Some(Unknown), "old", anew(None)),
    ];
    for (status, manifest, expected) in table {
        let newest = status.map(|status| release(3, status));
        assert_eq!(decided(newest.as_ref(), &request(), manifest, 0), expected, "{status:?} with manifest {manifest}");
    }
}

#[test]
fn a_failed_change_goes_on_from_the_revision_in_force() {
    let mut newest = release(5, ReleaseStatus::Failed);
    newest.summary.standing.deployed = Some(RevisionNumber(4));
    assert_eq!(decided(Some(&newest), &request(), "old", 0), anew(Some(4)));
}

/// Helm calls the revision in force superseded, and then its rollback is refused: what ran before runs still.
#[test]
fn a_change_over_a_refused_rollback_goes_back_to_what_was_in_force_last() {
    let mut newest = release(5, ReleaseStatus::Failed);
    newest.summary.standing.superseded = Some(RevisionNumber(4));
    assert_eq!(decided(Some(&newest), &request(), "old", 0), anew(Some(4)));
}

#[test]
fn what_came_before_an_uninstall_is_not_gone_back_to() {
    use crate::model::Standing;
    use ReleaseStatus::{Deployed, Failed, Superseded, Uninstalled};
    let standing = |statuses: &[(u32, ReleaseStatus)]| {
        Standing::of(statuses.iter().map(|(revision, status)| (RevisionNumber(*revision), *status))).to_go_back_to().map(|number| number.0)
    };
    assert_eq!(standing(&[(1, Superseded), (2, Superseded), (3, Failed)]), Some(2));
    assert_eq!(standing(&[(1, Superseded), (2, Uninstalled), (3, Failed)]), None);
    assert_eq!(standing(&[(1, Uninstalled), (2, Superseded), (3, Failed)]), Some(2));
    assert_eq!(standing(&[(1, Superseded), (2, Deployed), (3, Failed)]), Some(2));
}

/// What is decided for this size when revision 5, of the second size, failed over revision 4 of the first, if that is in force, or else
/// over claims of that size.
fn sized(held: &str, in_force: bool, failed: &str, wished: &str) -> Plan {
    let with = |mut release: Release, size: &str| {
        release.summary.deployment.as_mut().unwrap().storage = Some(size.parse().unwrap());
        release
    };
    let mut newest = with(release(5, ReleaseStatus::Failed), failed);
    newest.summary.standing.deployed = in_force.then_some(RevisionNumber(4));
    let older = with(release(4, ReleaseStatus::Deployed), held);
    let claim = held.parse().unwrap();
    let observed = Observed {
        newest: Some(&newest),
        previous: in_force.then_some(&older),
        claim: (!in_force).then_some(&claim),
        manifest: &ManifestHash("new".to_owned()),
        now: now(),
        pending_is_dead_after: HOUR,
    };
    let mut request = request();
    request.resources.storage_size = wished.parse().unwrap();
    decide(&observed, &request)
}

#[test]
fn a_revision_that_failed_does_not_say_what_the_claims_have() {
    assert_eq!(sized("1Gi", true, "2Gi", "2Gi"), anew(Some(4)), "it may not have been applied");
    assert_eq!(sized("1Gi", true, "2Gi", "1Gi"), anew(Some(4)), "it may have been applied");
    assert_eq!(sized("1Gi", true, "1Gi", "1Gi"), change(Some(4)));
    assert_eq!(refused(sized("2Gi", true, "1Gi", "1Gi")), FailureCode::ClaimCannotShrink);
    assert_eq!(sized("1Gi", false, "2Gi", "2Gi"), anew(None));
    assert_eq!(refused(sized("2Gi", false, "1Gi", "1Gi")), FailureCode::ClaimCannotShrink);
}

#[test]
fn a_pending_revision_of_somebody_else_is_left_alone_until_it_must_be_dead() {
    for status in ReleaseStatus::ALL.iter().copied().filter(|status| status.is_pending()) {
        let mut newest = release(2, status);
        newest.summary.deployment.as_mut().unwrap().operation = None;
        assert_eq!(refused(decided(Some(&newest), &request(), "new", 3599)), FailureCode::ReleasePending, "{status}");
        assert_eq!(decided(Some(&newest), &request(), "new", 3600), anew(None), "{status}");
    }
}

#[test]
fn somebody_elses_uninstall_is_left_alone_until_it_must_be_dead() {
    let mut newest = release(2, ReleaseStatus::Uninstalling);
    newest.summary.helm_uninstalls_since = Some(now());
    assert_eq!(refused(decided(Some(&newest), &request(), "new", 3599)), FailureCode::ReleasePending);
    assert_eq!(decided(Some(&newest), &request(), "new", 3600), Plan::CleanUpAndInstall);
}

#[test]
fn a_pending_revision_of_our_own_service_is_dead_because_we_hold_the_lock() {
    let newest = release(1, ReleaseStatus::PendingInstall);
    assert_eq!(decided(Some(&newest), &request(), "new", 0), anew(None));
}

#[test]
fn a_claim_grows_and_never_shrinks() {
    let newest = release(1, ReleaseStatus::Deployed);
    let mut wished = request();
    wished.resources.storage_size = "2Gi".parse().unwrap();
    assert_eq!(decided(Some(&newest), &wished, "new", 0), anew(Some(1)));
    wished.resources.storage_size = "1023Mi".parse().unwrap();
    assert_eq!(refused(decided(Some(&newest), &wished, "new", 0)), FailureCode::ClaimCannotShrink);
    wished.resources.storage_size = "1024Mi".parse().unwrap();
    assert_eq!(decided(Some(&newest), &wished, "new", 0), change(Some(1)), "the same size in other words does not grow");
}

#[test]
fn another_identity_and_a_foreign_release_are_not_written() {
    let mut newest = release(1, ReleaseStatus::Deployed);
    newest.summary.deployment.as_mut().unwrap().identity = Some(crate::Identity::parse("other", None).unwrap());
    assert_eq!(refused(decided(Some(&newest), &request(), "new", 0)), FailureCode::NameTaken);
    newest.summary.deployment = None;
    assert_eq!(refused(decided(Some(&newest), &request(), "new", 0)), FailureCode::NameTaken);
    newest.summary.unreadable = Some("not gzip".to_owned());
    assert_eq!(refused(decided(Some(&newest), &request(), "new", 0)), FailureCode::ReleaseUnreadable);
}

/// A release of the replaced service under this name.
fn replaced(name: &str) -> Release {
    let mut release = release(4, ReleaseStatus::Deployed);
    release.summary.key.name = name.parse().unwrap();
    let facts = release.summary.deployment.as_mut().unwrap();
    (facts.ours, facts.identity, facts.operation, facts.manifest_hash) = (false, None, None, None);
    release
}

#[test]
fn a_release_of_the_replaced_service_is_adopted_by_the_identity_whose_name_it_has() {
    let name = request().identity.replaced_release_name().unwrap();
    let adopt = Plan::Change { previous: Some(RevisionNumber(4)), rebuild: Rebuild { grow: false, adopt: true } };
    assert_eq!(decided(Some(&replaced(name.as_str())), &request(), "new", 0), adopt);
    for other in ["dbt-test-project-00000000", "dbt-server-test-project-main", "by-hand"] {
        assert_eq!(refused(decided(Some(&replaced(other)), &request(), "new", 0)), FailureCode::NameTaken, "{other}");
    }
}

/// The StatefulSet may still be the old one.
#[test]
fn an_adoption_that_was_neither_finished_nor_undone_is_begun_anew() {
    let older = replaced(request().identity.replaced_release_name().unwrap().as_str());
    let mut newest = release(5, ReleaseStatus::Failed);
    newest.summary.standing.deployed = Some(RevisionNumber(4));
    let observed = Observed {
        newest: Some(&newest),
        previous: Some(&older),
        claim: None,
        manifest: &ManifestHash("new".to_owned()),
        now: now(),
        pending_is_dead_after: HOUR,
    };
    let adopt = Plan::Change { previous: Some(RevisionNumber(4)), rebuild: Rebuild { grow: false, adopt: true } };
    assert_eq!(decide(&observed, &request()), adopt);
}

#[test]
fn a_release_of_the_replaced_service_with_which_no_server_can_run_is_not_adopted() {
    let mut request = request();
    request.identity = Identity::parse(&"x".repeat(29), Some("main")).unwrap();
    let name = request.identity.replaced_release_name().unwrap();
    assert!(is_replaced(&replaced(name.as_str()).summary, &request.identity));
    assert_eq!(refused(decided(Some(&replaced(name.as_str())), &request, "new", 0)), FailureCode::NameTaken);
}
