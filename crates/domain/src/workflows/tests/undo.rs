use super::stage::{Script, Stage, claim, failure};
use crate::model::*;
use crate::operations::Ending;
use crate::test_support::{deploy_task, new_login_task, release, server_key};

/// The writes after the step that failed.
fn undo_of(stage: &Stage, failed: &str) -> Vec<String> {
    let writes = stage.writes();
    let at = writes.iter().position(|call| call == failed).unwrap_or_else(|| panic!("{failed} was not called: {writes:?}"));
    writes[at + 1..].iter().filter(|call| *call != "operations.write").cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn each_failed_step_of_a_first_deploy_is_undone_to_nothing() {
    let purge: &[&str] = &["installer.uninstall", "cluster.delete_claims"];
    let table: &[(&str, &[&str])] = &[
        ("installer.begin", &[]),
        ("installer.apply", purge),
        ("connections.put", &["connections.delete", "installer.uninstall", "cluster.delete_claims"]),
        ("installer.commit", &["connections.delete", "installer.uninstall", "cluster.delete_claims"]),
    ];
    for (step, undo) in table {
        let (ending, stage) = Script::first().failing(step).play(deploy_task()).await;
        let failure = failure(ending);
        assert_eq!(undo_of(&stage, step), *undo, "{step}");
        let expected = if undo.is_empty() { UndoOutcome::NothingToUndo } else { UndoOutcome::Undone };
        assert_eq!(failure.undo, expected, "{step}: {failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_server_that_does_not_come_up_leaves_an_autopsy_and_nothing_else() {
    let (ending, stage) = Script::first().failing("cluster.watch@1").play(deploy_task()).await;
    let failure = failure(ending);
    assert_eq!((failure.code, failure.phase, failure.undo), (FailureCode::ImagePullFailed, Some(Phase::Ready), UndoOutcome::Undone));
    assert_eq!(undo_of(&stage, "installer.apply"), ["installer.uninstall", "cluster.delete_claims"]);
    let gaps = failure.autopsy.unwrap().gaps;
    assert_eq!(gaps, ["seen with *** in it"], "the token of the Git URL is kept out, also by itself");
}

#[tokio::test(start_paused = true)]
async fn a_failed_ledger_write_stops_the_deploy_before_the_step() {
    let (ending, stage) = Script::first().failing("operations.write@1").play(deploy_task()).await;
    assert_eq!(failure(ending).undo, UndoOutcome::NothingToUndo);
    assert!(!stage.called("installer.begin"), "what an undo needs to know is stored before the first write");
}

#[tokio::test(start_paused = true)]
async fn each_failed_step_of_a_change_goes_back_to_the_old_revision() {
    let back: &[&str] = &["installer.roll_back", "installer.commit"];
    let reconnect: &[&str] = &["connections.put", "installer.roll_back", "installer.commit"];
    let table: &[(&str, &str, &[&str])] = &[
        ("installer.apply", "installer.apply", back),
        ("cluster.watch@1", "installer.apply", back),
        ("connections.put@1", "connections.put", reconnect),
        ("installer.commit@1", "installer.commit", reconnect),
    ];
    for (fault, step, undo) in table {
        let (ending, stage) = Script::deployed().failing(fault).play(new_login_task()).await;
        let failure = failure(ending);
        assert_eq!(undo_of(&stage, step), *undo, "{fault}");
        assert_eq!(failure.undo, UndoOutcome::Undone, "{fault}: {failure}");
        assert!(!stage.called("cluster.delete_claims"), "{fault}: the claims of the old server stay");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restored_connection_has_the_password_of_the_old_revision() {
    let (_, stage) = Script::deployed().failing("installer.commit@1").play(new_login_task()).await;
    let story = stage.story.lock().unwrap();
    let passwords: Vec<_> = story.written.iter().map(|written| written.credentials.clone()).collect();
    assert_eq!(passwords, [crate::test_support::credentials("wished-password"), crate::test_support::credentials("old-password")]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_slept_is_put_back_to_sleep() {
    let (ending, stage) = Script { replicas: 0, ..Script::deployed() }.failing("installer.commit@1").play(deploy_task()).await;
    assert_eq!(failure(ending).undo, UndoOutcome::Undone);
    assert!(stage.called("cluster.set_replicas(0)"));
}

#[tokio::test(start_paused = true)]
async fn the_claims_of_before_survive_the_undo_of_a_first_deploy() {
    let mut script = Script::deployed().failing("installer.apply");
    script.newest = Some(release(3, ReleaseStatus::Uninstalled));
    let (ending, stage) = script.play(deploy_task()).await;
    assert_eq!(failure(ending).undo, UndoOutcome::Undone);
    assert!(!stage.called("cluster.delete_claims"));
}

/// It makes room for another one of its name, which is the deploy's.
#[tokio::test(start_paused = true)]
async fn a_claim_that_was_being_deleted_is_none_of_before() {
    let mut script = Script::deployed().failing("installer.apply");
    (script.newest, script.claims_terminating) = (Some(release(3, ReleaseStatus::Uninstalled)), true);
    let (ending, stage) = script.play(deploy_task()).await;
    assert_eq!(failure(ending).undo, UndoOutcome::Undone);
    assert!(stage.called("cluster.delete_claims"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_undo_takes_over_the_code_and_says_what_is_left() {
    let first: &[(&str, &str)] = &[
        ("installer.uninstall", "the release is not removed"),
        ("cluster.delete_claims", &format!("claims {} are not deleted", claim())),
        ("cluster.claims_now@2", "claims are not looked for"),
        ("connections.delete", "connection `test_project_main` is not as it was"),
    ];
    for (fault, sentence) in first {
        let (ending, _) = Script::first().failing("installer.commit").failing(fault).play(deploy_task()).await;
        let failure = failure(ending);
        assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{fault}");
        assert!(failure.message.contains(sentence), "{fault}: {}", failure.message);
        assert!(failure.message.contains("broken on purpose"), "the first cause stays: {}", failure.message);
    }
    let change: &[(&str, &str)] = &[
        ("installer.roll_back", "could not be rolled back to revision 1"),
        ("cluster.watch@2", "the server of revision 1 does not come up again"),
        ("connections.put@2", "connection `test_project_main` is not as it was"),
    ];
    for (fault, sentence) in change {
        let (ending, stage) = Script::deployed().failing("installer.commit@1").failing(fault).play(new_login_task()).await;
        let failure = failure(ending);
        assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{fault}");
        assert!(failure.message.contains(sentence), "{fault}: {}", failure.message);
        assert_eq!(
            stage.called("installer.fail"),
            *fault == "cluster.watch@2",
            "{fault}: a rollback that does not run is marked as failed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_undo_could_not_remove_stays_as_a_debt() {
    let (ending, _) = Script::first()
        .failing("installer.commit")
        .failing("connections.delete")
        .failing("cluster.delete_claims")
        .play(deploy_task())
        .await;
    let Ending::Done { debts, .. } = ending else { panic!("{ending:?}") };
    assert_eq!(
        debts,
        [Debt::Connection("test_project_main".parse().unwrap()), Debt::Remains { server: server_key().name, claims_before: Vec::new() }]
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_step_of_the_removal_of_a_first_deploy_fails_is_owed() {
    for fault in ["installer.uninstall", "cluster.claims_now@2", "cluster.delete_claims", "installer.get@2", "cluster.watch@2"] {
        let (ending, _) = Script::first().failing("installer.commit").failing(fault).play(deploy_task()).await;
        let Ending::Done { debts, .. } = ending else { panic!("{fault}: {ending:?}") };
        assert_eq!(debts, [Debt::Remains { server: server_key().name, claims_before: Vec::new() }], "{fault}");
    }
}

/// Kubernetes' controller makes it without a look whether the StatefulSet is still there.
#[tokio::test(start_paused = true)]
async fn a_claim_that_may_still_come_is_owed() {
    let late = || Debt::Claim { server: server_key().name, name: claim() };
    let remains = Debt::Remains { server: server_key().name, claims_before: Vec::new() };
    let first = || Script { unobserved: true, ..Script::first() };
    let failing = || first().failing("installer.apply");
    // With how often the record is written before the StatefulSet goes: whoever takes over finds none that tells of the claim.
    let table = [
        (failing(), deploy_task(), vec![late()], 2),
        (failing().failing("cluster.delete_claims"), deploy_task(), vec![remains, late()], 2),
        (first(), Task::Delete, vec![late()], 1),
        (first().failing("cluster.watch"), Task::Delete, vec![late()], 1),
        // It has come by then.
        (Script { unobserved: true, ..Script::deployed() }, Task::Delete, Vec::new(), 1),
        (Script { foreign_since: Some("installer.get"), ..first() }, Task::Delete, Vec::new(), 0),
    ];
    for (case, (script, task, owed, stored)) in table.into_iter().enumerate() {
        let (ending, stage) = script.play(task).await;
        let Ending::Done { debts, .. } = ending else { panic!("{case}: {ending:?}") };
        assert_eq!(debts, owed, "{case}");
        let writes = stage.writes();
        let uninstalled = writes.iter().position(|call| call == "installer.uninstall").unwrap();
        let before = writes[..uninstalled].iter().rev().take_while(|call| *call == "operations.write");
        assert_eq!(before.count(), stored, "{case}: {writes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_whoever_ran_it_before_saw_coming_is_owed() {
    let late = Debt::Claim { server: server_key().name, name: claim() };
    for task in [deploy_task(), Task::Delete] {
        let stage = Script::first().stage(task, |running| {
            let cause = Failure::new(FailureCode::CrashLoop, "container `dbt-server` ended 3 times");
            (running.ledger.writing, running.ledger.revision, running.ledger.undoing) =
                (true, Some(RevisionNumber(1)), Some(Box::new(cause)));
            running.ledger.owed.push(late.clone());
        });
        let ending = stage.execute(true).await;
        let Ending::Done { debts, .. } = ending else { panic!("{ending:?}") };
        assert_eq!(debts, std::slice::from_ref(&late));
    }
}

/// A server that an equal POST woke.
#[tokio::test(start_paused = true)]
async fn an_undo_does_not_put_somebody_elses_server_to_sleep() {
    let mut script = Script { replicas: 0, foreign_since: Some("cluster.set_replicas(1)"), ..Script::deployed() };
    script.newest.as_mut().unwrap().summary.deployment.as_mut().unwrap().manifest_hash = Some(ManifestHash("new".to_owned()));
    let (ending, stage) = script.play(deploy_task()).await;
    let failure = failure(ending);
    assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed));
    let told = ["StatefulSet/dbt-server-test-project-main exists and is not of this release (no Helm release)", "not put back to sleep"];
    assert!(told.iter().all(|told| failure.message.contains(told)), "{failure}");
    assert!(!stage.called("cluster.set_replicas(0)"));
}

#[tokio::test(start_paused = true)]
async fn the_undo_of_an_adoption_leaves_somebody_elses_server_alone() {
    let mut script = Script { foreign_since: Some("installer.get"), ..pending() };
    script.newest.as_mut().unwrap().summary.deployment.as_mut().unwrap().operation = Some("op-now".parse().unwrap());
    let cause = Failure::new(FailureCode::CrashLoop, "container `dbt-server` ended 3 times");
    let stage = script.stage(deploy_task(), |running| {
        let ledger = &mut running.ledger;
        (ledger.writing, ledger.adopting, ledger.undoing) = (true, true, Some(Box::new(cause)));
        (ledger.previous, ledger.revision) = (Some(RevisionNumber(1)), Some(RevisionNumber(2)));
    });
    let failure = failure(stage.execute(true).await);
    assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed));
    assert!(failure.message.contains("the release is left as it is: StatefulSet/dbt-server-test-project-main exists"), "{failure}");
    assert!(!stage.called("cluster.delete_stateful_set") && !stage.called("installer.roll_back"));
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_goes_back_owes_no_removal() {
    let (ending, _) = Script::deployed().failing("installer.commit@1").failing("installer.roll_back").play(new_login_task()).await;
    let Ending::Done { debts, .. } = ending else { panic!("{ending:?}") };
    assert_eq!(debts, []);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_somebody_else_changed_is_not_touched_any_more() {
    for step in ["installer.apply", "installer.commit"] {
        let script = Script { changed: true, ..Script::deployed().failing(step) };
        let (ending, stage) = script.play(deploy_task()).await;
        let failure = failure(ending);
        assert_eq!((failure.code, failure.undo), (FailureCode::ReleaseChanged, UndoOutcome::LeftAsIs), "{step}");
        let touched = undo_of(&stage, step);
        assert!(touched.iter().all(|call| call.starts_with("connections.")), "{step}: {touched:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_was_broken_off_goes_on_with_its_first_failure() {
    let mut script = Script::first();
    let mut own = release(1, ReleaseStatus::PendingInstall);
    own.summary.deployment.as_mut().unwrap().operation = Some("op-now".parse().unwrap());
    script.newest = Some(own);
    let cause = Failure::new(FailureCode::CrashLoop, "container `dbt-server` ended 3 times");
    let noted = cause.clone();
    let stage = script.stage(deploy_task(), |running| {
        running.phase = Phase::Undo;
        running.ledger.writing = true;
        running.ledger.revision = Some(RevisionNumber(1));
        running.ledger.undoing = Some(Box::new(noted));
    });
    let failure = failure(stage.execute(true).await);
    assert_eq!((failure.code, failure.undo), (FailureCode::CrashLoop, UndoOutcome::Undone));
    assert!(stage.called("installer.uninstall") && !stage.called("installer.apply"));
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_only_the_releases_record_tells_of_is_gone_on_with() {
    for status in [ReleaseStatus::Uninstalling, ReleaseStatus::Failed] {
        let mut script = Script::first();
        let mut own = release(1, status);
        own.summary.deployment.as_mut().unwrap().operation = Some("op-now".parse().unwrap());
        script.newest = Some(own);
        let stage = script.stage(deploy_task(), |running| {
            running.phase = Phase::Record;
            running.ledger.writing = true;
        });
        let failure = failure(stage.execute(true).await);
        assert_eq!((failure.code, failure.undo), (FailureCode::Interrupted, UndoOutcome::Undone), "{status}: {failure}");
        assert!(stage.called("installer.uninstall") && !stage.called("installer.apply"), "{status}");
    }
}

/// A deploy of revision 2 after revision 1, whose holder is gone.
fn left_in_the_middle(mut script: Script, noted: Option<RevisionNumber>) -> Stage {
    let own = script.newest.as_mut().unwrap();
    own.summary.revision = RevisionNumber(2);
    own.summary.deployment.as_mut().unwrap().operation = Some("op-now".parse().unwrap());
    script.stage(deploy_task(), |running| {
        running.ledger.writing = true;
        running.ledger.revision = noted;
        running.ledger.previous = Some(RevisionNumber(1));
    })
}

fn pending() -> Script {
    Script { newest: Some(release(2, ReleaseStatus::PendingUpgrade)), ..Script::deployed() }
}

#[tokio::test(start_paused = true)]
async fn a_taken_over_change_whose_server_is_broken_is_rolled_back() {
    let stage = left_in_the_middle(pending().failing("cluster.watch@1"), Some(RevisionNumber(2)));
    let failure = failure(stage.execute(true).await);
    assert_eq!(failure.undo, UndoOutcome::Undone);
    assert!(failure.autopsy.is_some());
    assert!(stage.called("installer.roll_back") && stage.called("installer.commit"));
}

/// The old server's log may have them.
#[tokio::test(start_paused = true)]
async fn without_the_secrets_of_the_revision_before_there_is_no_autopsy() {
    let stage = left_in_the_middle(pending().failing("cluster.watch@1").failing("installer.get@2"), Some(RevisionNumber(2)));
    let failure = failure(stage.execute(true).await);
    assert_eq!((failure.undo, failure.autopsy), (UndoOutcome::Undone, None));
}

/// Where the request is the one of before and asks for other objects all the same, the undo's revision looks like the one that was asked for.
#[tokio::test(start_paused = true)]
async fn the_revision_of_an_undo_is_no_success() {
    let newest = Some(release(2, ReleaseStatus::Deployed));
    for (wrote_both, code) in [(true, Some(FailureCode::Interrupted)), (false, None)] {
        let stage = left_in_the_middle(Script { newest: newest.clone(), wrote_both, ..Script::deployed() }, None);
        let Ending::Done { outcome, .. } = stage.execute(true).await else { panic!("not done") };
        assert_eq!(outcome.err().map(|failure| failure.code), code);
    }
}
