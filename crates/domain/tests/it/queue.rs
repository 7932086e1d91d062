//! Several callers at once: joining, waiting, cancelling, limits.

use std::time::Duration;

use dbt_controller_adapters_memory::{Call, Fault, FaultKind};
use dbt_controller_domain::model::*;

use crate::freezing::Freezing;
use crate::stage::{NAME, Stage, caller, code, deploy, key, main_request, replica, request, revision, server, settings, target, world};

#[tokio::test(start_paused = true)]
async fn equal_deploys_at_once_are_one_operation_on_any_replica() {
    let stage = Stage::new();
    let other = replica(&stage.world, stage.world.operations(), settings());
    let first = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    let second = other.deploy(main_request("v1"), caller()).await.unwrap();
    assert_eq!((first.joined, second.joined), (false, true));
    assert_eq!(first.id, second.id);
    let (one, two) = tokio::join!(stage.controller.wait(&first), other.wait(&second));
    assert_eq!(one.unwrap().outcome, two.unwrap().outcome);
    assert_eq!(stage.world.releases().history(&key(NAME)).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn different_deploys_of_one_release_take_their_turns_and_the_last_one_stays() {
    let stage = Stage::new();
    let other = replica(&stage.world, stage.world.operations(), settings());
    let mut tickets = Vec::new();
    for (index, tag) in ["v1", "v2", "v3"].iter().enumerate() {
        let controller = if index % 2 == 0 { &stage.controller } else { &other };
        tickets.push(controller.deploy(main_request(tag), caller()).await.unwrap());
    }
    for (index, ticket) in tickets.iter().enumerate() {
        assert_eq!(revision(other.wait(ticket).await.unwrap().outcome.clone()), index as u32 + 1);
    }
    assert!(stage.world.releases().get(&key(NAME)).unwrap().summary.deployment.unwrap().image.ends_with(":v3"));
}

#[tokio::test(start_paused = true)]
async fn a_delete_stops_a_running_deploy_from_any_replica() {
    let stage = Stage::new();
    let other = replica(&stage.world, stage.world.operations(), settings());
    let deploying = stage.controller.deploy(main_request("missing-1"), caller()).await.unwrap();
    let waiting = stage.controller.deploy(main_request("v2"), caller()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let deleting = other.delete(&target(NAME), caller()).await.unwrap();
    let failure = stage.controller.wait(&deploying).await.unwrap().outcome.clone().unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::Cancelled, UndoOutcome::LeftAsIs));
    assert_eq!(code(other.wait(&waiting).await.unwrap().outcome.clone()), FailureCode::Cancelled);
    assert!(matches!(other.wait(&deleting).await.unwrap().outcome, Ok(Success::Deleted { .. })));
    stage.assert_nothing_left();
}

/// What runs cannot stop at once, so the first delete waits. Whoever deletes again means that nothing be left, in whatever order it ends.
#[tokio::test(start_paused = true)]
async fn a_deploy_between_two_deletes_is_never_made() {
    let stage = Stage::new();
    let other = replica(&stage.world, stage.world.operations(), settings());
    stage.world.faults().plan(Fault::new(Call::InstallerApply, 1, FaultKind::Hang));
    let deploying = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    stage.next(Call::InstallerApply).await;
    let deleting = stage.controller.delete(&target(NAME), caller()).await.unwrap();
    let between = other.deploy(main_request("v2"), caller()).await.unwrap();
    let again = stage.controller.delete(&target(NAME), caller()).await.unwrap();
    assert_eq!((&again.id, again.joined), (&deleting.id, true));
    for cancelled in [&deploying, &between] {
        assert_eq!(code(other.wait(cancelled).await.unwrap().outcome.clone()), FailureCode::Cancelled);
    }
    assert!(matches!(other.wait(&again).await.unwrap().outcome, Ok(Success::Deleted { .. })));
    tokio::time::sleep(Duration::from_secs(60)).await;
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn a_deploy_behind_a_delete_waits_for_it() {
    let stage = Stage::new();
    revision(stage.deploy(main_request("v1")).await);
    let deleting = stage.controller.delete(&target(NAME), caller()).await.unwrap();
    let deploying = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    assert_eq!(deploying.key.name.as_str(), NAME);
    assert!(stage.controller.wait(&deleting).await.unwrap().outcome.is_ok());
    assert_eq!(revision(stage.controller.wait(&deploying).await.unwrap().outcome.clone()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_hangs_up_does_not_stop_the_operation() {
    let stage = Stage::new();
    let ticket = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(10), stage.controller.wait(&ticket)).await.is_err());
    assert_eq!(revision(stage.controller.wait(&ticket).await.unwrap().outcome.clone()), 1);
}

/// The request of one of fifty projects, each with secrets of its own.
fn one_of_many(n: usize) -> DeployRequest {
    let mut request = request(&format!("project-{n}"), None, &format!("v{n}"));
    request.credentials.password = Some(format!("password-{n:04}").into());
    request
}

#[tokio::test(start_paused = true)]
async fn fifty_deployments_at_once_all_get_their_own_values() {
    let stage = Stage::new();
    let deploys: Vec<_> = (0..50)
        .map(|n| {
            let controller = stage.controller.clone();
            tokio::spawn(async move { deploy(&controller, one_of_many(n)).await })
        })
        .collect();
    for done in deploys {
        assert_eq!(revision(done.await.unwrap()), 1);
    }
    for n in 0..50 {
        let release = stage.world.releases().get(&key(&format!("dbt-server-project-{n}"))).unwrap();
        let facts = release.summary.deployment.unwrap();
        assert!(facts.image.ends_with(&format!(":v{n}")));
        let (_, password) = stage.world.airflow().login(&format!("project_{n}").parse().unwrap()).unwrap();
        assert_eq!(password, format!("password-{n:04}"));
        assert_eq!(facts.request_hash, Some(one_of_many(n).hash()));
    }
}

#[tokio::test(start_paused = true)]
async fn equal_deploys_at_the_very_same_moment_are_one_operation() {
    for _ in 0..20 {
        let stage = Stage::new();
        let other = replica(&stage.world, stage.world.operations(), settings());
        let (one, two) = tokio::join!(stage.controller.deploy(main_request("v1"), caller()), other.deploy(main_request("v1"), caller()));
        assert_eq!(one.unwrap().id, two.unwrap().id);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_allowed_number_of_deploys_run_side_by_side() {
    let stage = Stage::with(Settings { max_concurrent: 2, ..settings() });
    let mut tickets = Vec::new();
    for n in 0..5 {
        tickets.push(stage.controller.deploy(request(&format!("p{n}"), None, "v1"), caller()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let running = stage.controller.operations().await.unwrap();
    let count = |state| running.iter().filter(|view| view.state == state).count();
    assert_eq!((count(OperationState::Running), count(OperationState::Queued)), (2, 3));
    for ticket in &tickets {
        revision(stage.controller.wait(ticket).await.unwrap().outcome.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_queue_a_caller_is_sent_away_and_later_served() {
    let stage = Stage::with(Settings { max_concurrent: 1, max_queued: 2, ..settings() });
    let mut tickets = Vec::new();
    for n in 0..3 {
        tickets.push(stage.controller.deploy(request(&format!("p{n}"), None, "v1"), caller()).await.unwrap());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let refused = stage.controller.deploy(request("p9", None, "v1"), caller()).await.unwrap_err();
    assert_eq!(refused.code, FailureCode::TooManyOperations);
    for ticket in &tickets {
        revision(stage.controller.wait(ticket).await.unwrap().outcome.clone());
    }
    revision(stage.deploy(request("p9", None, "v1")).await);
}

#[tokio::test(start_paused = true)]
async fn what_can_begin_at_once_is_not_sent_away_by_a_full_queue() {
    let stage = Stage::with(Settings { max_concurrent: 1, max_queued: 0, ..settings() });
    revision(stage.deploy(main_request("v1")).await);
    let running = stage.controller.deploy(request("p1", None, "v1"), caller()).await.unwrap();
    stage.next(Call::InstallerApply).await;
    assert_eq!(stage.controller.deploy(request("p2", None, "v1"), caller()).await.unwrap_err().code, FailureCode::TooManyOperations);
    let suspending = stage.controller.suspend(&target(NAME), true, caller()).await.unwrap();
    assert!(stage.controller.wait(&suspending).await.unwrap().outcome.is_ok(), "it waits for no place");
    revision(stage.controller.wait(&running).await.unwrap().outcome.clone());
}

/// For pipelines an unknown name means that all is removed.
#[tokio::test(start_paused = true)]
async fn a_delete_of_what_only_a_broken_watch_would_show_is_not_told_that_there_is_nothing() {
    let world = world();
    let store = Freezing::new(world.operations());
    let replica = replica(&world, store.clone(), settings());
    store.fall_behind(true);
    let failure = replica.delete(&target(NAME), caller()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ClusterUnavailable, "{failure}");
    store.fall_behind(false);
    assert_eq!(replica.delete(&target(NAME), caller()).await.unwrap_err().code, FailureCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn the_line_of_one_release_is_bounded_too() {
    let stage = Stage::new();
    for n in 0..=OperationRecord::MAX_WAITING {
        stage.controller.deploy(main_request(&format!("v{n}")), caller()).await.unwrap();
    }
    let refused = stage.controller.deploy(main_request("v99"), caller()).await.unwrap_err();
    assert_eq!(refused.code, FailureCode::TooManyOperations);
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_is_not_ready_in_time_ends_by_timeout() {
    let patience = Patience { pull_error_window: Duration::from_secs(86_400), ..Patience::default() };
    let stage = Stage::with(Settings { deploy_timeout: Duration::from_secs(120), patience, ..settings() });
    let failure = stage.deploy(main_request("missing-1")).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::DeployTimeout, UndoOutcome::Undone), "{failure}");
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn the_story_of_an_operation_can_be_followed_and_read_afterwards() {
    let stage = Stage::new();
    let ticket = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    let mut views = stage.controller.follow(&ticket.id).await.unwrap().unwrap();
    let last = loop {
        if views.borrow_and_update().finished_at.is_some() || views.changed().await.is_err() {
            break views.borrow().clone();
        }
    };
    assert_eq!(last.state, OperationState::Succeeded);
    let phases: Vec<_> = last.events.iter().filter(|event| event.begins_phase).map(|event| event.phase).collect();
    assert_eq!(phases, [Phase::Name, Phase::Record, Phase::Apply, Phase::Ready, Phase::Connect, Phase::Commit]);
    let numbers: Vec<_> = last.events.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(stage.controller.operation(&ticket.id).await.unwrap().unwrap().events, last.events);
}

#[tokio::test(start_paused = true)]
async fn an_ended_operation_stays_readable_for_its_retention_and_no_record_stays_for_ever() {
    let stage = Stage::new();
    let background = tokio::spawn({
        let controller = stage.controller.clone();
        async move { controller.run_background().await }
    });
    revision(stage.deploy(main_request("v1")).await);
    tokio::time::sleep(Duration::from_secs(3500)).await;
    assert_eq!(stage.controller.operations().await.unwrap().len(), 1);
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(stage.controller.operations().await.unwrap().is_empty());
    assert_eq!(stage.world.operation_records().count(), 0);
    background.abort();
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_a_story_or_an_outcome() {
    let stage = Stage::new();
    let mut wished = main_request("crash-1");
    wished.credentials.password = Some("password-canary".into());
    stage.deploy(wished).await.unwrap_err();
    let told = format!("{:?}", stage.controller.operations().await.unwrap());
    assert!(told.contains("CrashLoop") && !told.contains("canary"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_slot_does_not_use_up_the_time_to_deploy() {
    let patience = Patience { pull_error_window: Duration::from_secs(86_400), ..Patience::default() };
    let stage = Stage::with(Settings { max_concurrent: 1, deploy_timeout: Duration::from_secs(120), patience, ..settings() });
    let first = stage.controller.deploy(request("slow", None, "missing-1"), caller()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(revision(stage.deploy(request("good", None, "v1")).await), 1);
    assert_eq!(code(stage.controller.wait(&first).await.unwrap().outcome.clone()), FailureCode::DeployTimeout);
}

#[tokio::test(start_paused = true)]
async fn one_identity_in_two_namespaces_at_once_is_deployed_in_one() {
    let stage = Stage::new();
    let other = replica(&stage.world, stage.world.operations(), settings());
    let elsewhere = DeployRequest { namespace: "data".parse().unwrap(), ..main_request("v1") };
    let (one, two) = tokio::join!(stage.deploy(main_request("v1")), deploy(&other, elsewhere));
    let outcomes = [one, two];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes.into_iter().find_map(Result::err).unwrap();
    assert_eq!(refused.code, FailureCode::DeployedElsewhere);
    assert_eq!(stage.world.releases().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_gone_in_the_middle_of_a_submission_leaves_no_operation_that_nobody_runs() {
    let stage = Stage::new();
    // The record is written, its answer gets lost, and the caller goes away before the submission has tried again.
    stage.world.faults().plan(Fault::new(Call::OperationsCompareAndSwap, 1, FaultKind::LoseAnswer));
    let submitting = stage.controller.deploy(main_request("v1"), caller());
    assert!(tokio::time::timeout(Duration::from_millis(10), submitting).await.is_err(), "it was over before it could be cut off");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.world.releases().get(&key(NAME)).map(|release| release.summary.status), Some(ReleaseStatus::Deployed));
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_looks_for_its_other_names_too_long_does_not_take_back_what_another_replica_runs() {
    let stage = Stage::new();
    let other = replica(&stage.world, stage.world.operations(), settings());
    let background = tokio::spawn(async move { other.run_background().await });
    // The name has changed hands, so the other names are looked at after the submission; that lasts longer than the lock.
    revision(stage.deploy(request("a-b", Some("c"), "v1")).await);
    stage.delete("dbt-server-a-b-c").await.unwrap();
    stage.world.faults().plan(Fault::new(Call::OperationsRead, 2, FaultKind::Hang).times(4));
    assert_eq!(revision(stage.deploy(request("a", Some("b-c"), "v1")).await), 1);
    assert_eq!(stage.world.leftovers().iter().filter(|line| line.starts_with("release")).count(), 1);
    background.abort();
}

/// A claim that `helm uninstall` has left in another namespace is removed while its deployment is made here.
#[tokio::test(start_paused = true)]
async fn a_delete_of_leftovers_elsewhere_does_not_stop_a_deploy_of_the_same_name() {
    let stage = Stage::new();
    let elsewhere: Namespace = "data".parse().unwrap();
    revision(stage.deploy(DeployRequest { namespace: elsewhere.clone(), ..main_request("v1") }).await);
    let left = ReleaseKey { namespace: elsewhere.clone(), ..key(NAME) };
    assert!(stage.world.releases().uninstall(&left, false));

    let deploying = stage.controller.deploy(main_request("v1"), caller()).await.unwrap();
    let there = Target { name: NAME.to_owned(), namespace: Some(elsewhere) };
    let deleting = stage.controller.delete(&there, caller()).await.unwrap();
    assert_eq!((&deploying.key, &deleting.key), (&key(NAME), &left));
    let again = stage.controller.delete(&there, caller()).await.unwrap();
    assert_eq!((again.id.clone(), again.joined), (deleting.id.clone(), true));
    assert_eq!(revision(stage.controller.wait(&deploying).await.unwrap().outcome.clone()), 1);
    assert!(matches!(stage.controller.wait(&deleting).await.unwrap().outcome, Ok(Success::Deleted { .. })));
    assert!(stage.world.claims().of(&ServerKey { namespace: left.namespace, name: server(NAME).name }).is_empty());
    assert_eq!(stage.world.claims().of(&server(NAME)).len(), 1);
    assert!(stage.delete(NAME).await.is_ok());
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_operation_whose_record_cannot_be_read_is_told() {
    let stage = Stage::new();
    stage.world.faults().plan(Fault::new(Call::OperationsRead, 1, FaultKind::Forbid));
    let ticket = Ticket { id: "op-1".parse().unwrap(), key: key(NAME), joined: false };
    let failure = stage.controller.wait(&ticket).await.unwrap_err();
    assert!(failure.code == FailureCode::Internal && !failure.message.contains("no longer on record"), "{failure}");
}

/// While a setting is being changed, a holder with the longer one renews its lock more seldom.
#[tokio::test(start_paused = true)]
async fn who_waits_on_a_replica_with_a_shorter_setting_does_not_give_up_on_the_holder() {
    let world = world();
    let holder = replica(&world, world.operations(), Settings { lock_stale_after: Duration::from_secs(300), ..settings() });
    let other = replica(&world, world.operations(), Settings { lock_stale_after: Duration::from_secs(6), ..settings() });
    let background = other.clone();
    tokio::spawn(async move { background.run_background().await });
    let ticket = holder.deploy(main_request("missing-1"), caller()).await.unwrap();
    let joined = other.deploy(main_request("missing-1"), caller()).await.unwrap();
    assert!(joined.joined);
    let (ended, told) = tokio::join!(holder.wait(&ticket), other.wait(&joined));
    assert_eq!(code(told.unwrap().outcome.clone()), FailureCode::ImagePullFailed);
    assert_eq!(code(ended.unwrap().outcome.clone()), FailureCode::ImagePullFailed);
}
