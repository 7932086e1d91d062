use super::*;
use crate::model::{ContainerExit, PodRefusal};
use crate::test_support::{now, pod, ready_server, running, server, waiting};

fn judged(state: &ServerState) -> Verdict {
    judge(state, None, &Patience::default(), now())
}

fn later(seconds: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_secs(seconds)
}

#[track_caller]
fn hopeless(state: &ServerState, at: Timestamp) -> (FailureCode, String) {
    match judge(state, None, &Patience::default(), at) {
        Verdict::Hopeless { code, message } => (code, message),
        other => panic!("expected a hopeless server, not {other:?}"),
    }
}

#[track_caller]
fn still_waiting(state: &ServerState, at: Timestamp) -> Waiting {
    match judge(state, None, &Patience::default(), at) {
        Verdict::Waiting(waiting) => waiting,
        other => panic!("expected to wait, not {other:?}"),
    }
}

#[test]
fn a_server_is_ready_when_every_condition_holds_and_not_before() {
    assert_eq!(judged(&ready_server()), Verdict::Ready);
    let broken: [fn(&mut StatefulSetState); 5] = [
        |set| set.observed_generation = 0,
        |set| set.ready_replicas = 0,
        |set| set.updated_replicas = 0,
        |set| set.current_revision = "r0".to_owned(),
        |set| set.replicas = 2,
    ];
    for (index, break_it) in broken.iter().enumerate() {
        let mut state = ready_server();
        break_it(state.stateful_set.as_mut().unwrap());
        assert!(matches!(judged(&state), Verdict::Waiting(_)), "condition {index}");
    }
}

#[test]
fn no_replicas_are_sleep_and_no_stateful_set_is_a_wait() {
    let mut state = ready_server();
    state.stateful_set.as_mut().unwrap().replicas = 0;
    assert_eq!(judged(&state), Verdict::Asleep);
    assert!(matches!(judged(&ServerState::default()), Verdict::Waiting(_)));
}

#[test]
fn a_bad_image_ends_the_wait_at_once_and_a_pull_error_after_its_window() {
    let invalid = server("r1", Some(pod("r1", waiting("InvalidImageName"))));
    assert_eq!(hopeless(&invalid, now()).0, FailureCode::ImagePullFailed);

    let backoff = server("r1", Some(pod("r1", waiting("ImagePullBackOff"))));
    assert_eq!(still_waiting(&backoff, later(59)).look_again_in, Some(Duration::from_secs(1)));
    let (code, message) = hopeless(&backoff, later(60));
    assert_eq!(code, FailureCode::ImagePullFailed);
    assert!(message.contains("ImagePullBackOff") && message.contains("the cluster's words"), "{message}");
}

#[test]
fn a_crash_loop_is_hopeless_from_the_third_restart() {
    let exit = ContainerExit { code: 137, reason: "OOMKilled".to_owned(), at: now(), ran_for: None };
    let crashing = |restarts| {
        let container = ContainerState { restarts, last_exit: Some(exit.clone()), ..waiting("CrashLoopBackOff") };
        server("r1", Some(pod("r1", container)))
    };
    still_waiting(&crashing(2), now());
    let (code, message) = hopeless(&crashing(3), now());
    assert_eq!(code, FailureCode::CrashLoop);
    assert!(message.contains("137") && message.contains("OOMKilled"), "{message}");
}

#[test]
fn a_crash_after_a_long_run_is_no_loop() {
    let crashed_after = |seconds| {
        let exit = ContainerExit { code: 1, reason: "Error".to_owned(), at: now(), ran_for: Some(Duration::from_secs(seconds)) };
        let container = ContainerState { restarts: 5, last_exit: Some(exit), ..waiting("CrashLoopBackOff") };
        server("r1", Some(pod("r1", container)))
    };
    assert_eq!(hopeless(&crashed_after(599), now()).0, FailureCode::CrashLoop);
    still_waiting(&crashed_after(600), now());
}

#[test]
fn a_restart_long_ago_does_not_condemn_a_ready_container() {
    let container = ContainerState { restarts: 7, ..running(true) };
    assert_eq!(judged(&server("r1", Some(pod("r1", container)))), Verdict::Ready);
}

#[test]
fn a_missing_key_and_a_volume_that_cannot_be_mounted_are_hopeless() {
    assert_eq!(hopeless(&server("r1", Some(pod("r1", waiting("CreateContainerConfigError")))), now()).0, FailureCode::ContainerConfig);
    let mut mount = pod("r1", waiting("ContainerCreating"));
    mount.volume_failure = Some("secret \"x\" not found".to_owned());
    let (code, message) = hopeless(&server("r1", Some(mount)), now());
    assert_eq!(code, FailureCode::VolumeFailed);
    assert!(message.contains("secret \"x\" not found"), "{message}");
}

#[test]
fn a_secret_that_the_kubelet_has_not_read_yet_gets_the_time_of_a_pull() {
    let reason = "CreateContainerConfigError".to_owned();
    let message = "failed to sync secret cache: timed out waiting for the condition".to_owned();
    let status = ContainerStatus::Waiting { reason, message, since: now() };
    let state = server("r1", Some(pod("r1", ContainerState { status, ..waiting("") })));
    assert_eq!(still_waiting(&state, later(59)).look_again_in, Some(Duration::from_secs(1)));
    assert_eq!(hopeless(&state, later(60)).0, FailureCode::ContainerConfig);
}

#[test]
fn an_unschedulable_pod_waits_and_says_so() {
    let mut unschedulable = pod("r1", waiting("ContainerCreating"));
    unschedulable.unschedulable = Some("0/3 nodes are available".to_owned());
    let waiting = still_waiting(&server("r1", Some(unschedulable)), later(3600));
    assert!(waiting.message.contains("0/3 nodes are available"), "{}", waiting.message);
}

#[test]
fn without_a_pod_the_cluster_is_asked_after_the_window() {
    let state = server("r1", None);
    let early = still_waiting(&state, later(4));
    assert!(!early.ask_why_no_pod);
    assert_eq!(early.look_again_in, Some(Duration::from_secs(6)));
    assert!(still_waiting(&state, later(10)).ask_why_no_pod);
}

#[test]
fn a_pod_that_went_a_moment_ago_is_not_missed_yet() {
    let state = server("r1", None);
    let judged = |at| match judge(&state, Some(later(1000)), &Patience::default(), at) {
        Verdict::Waiting(waiting) => waiting.ask_why_no_pod,
        other => panic!("expected to wait, not {other:?}"),
    };
    assert!(!judged(later(1001)), "the StatefulSet is old, but its pod was only just deleted");
    assert!(judged(later(1010)));
}

#[test]
fn a_refused_pod_names_quota_or_admission() {
    for (by_quota, expected) in [(true, FailureCode::QuotaExceeded), (false, FailureCode::AdmissionRefused)] {
        let mut state = server("r1", None);
        state.stateful_set.as_mut().unwrap().pod_refusal = Some(PodRefusal { by_quota, message: "exceeded quota: small".to_owned() });
        let (code, message) = hopeless(&state, now());
        assert_eq!(code, expected);
        assert!(message.contains("exceeded quota: small"));
    }
}

#[test]
fn a_broken_pod_of_an_older_revision_has_to_be_deleted_but_not_twice() {
    let mut state = server("r2", Some(pod("r1", waiting("ImagePullBackOff"))));
    let waiting = still_waiting(&state, later(3600));
    assert!(waiting.delete_broken_pods, "its trouble is not that of the new revision");
    assert!(waiting.look_again_in.is_some(), "a deletion that came to nothing is tried again");
    state.pods[0].terminating = true;
    assert!(!still_waiting(&state, later(3600)).delete_broken_pods);
}

#[test]
fn a_healthy_pod_of_an_older_revision_is_left_to_the_rolling_update() {
    let state = server("r2", Some(pod("r1", running(true))));
    assert!(!still_waiting(&state, now()).delete_broken_pods);
}

#[test]
fn a_report_says_what_is_wrong_and_since_when() {
    let failing = report(&server("r1", Some(pod("r1", waiting("ImagePullBackOff")))), &Patience::default(), now());
    assert_eq!((failing.phase, failing.reason.as_deref(), failing.since), (ServerPhase::Failing, Some("ImagePullBackOff"), Some(now())));
    let ready = report(&ready_server(), &Patience::default(), now());
    assert_eq!((ready.phase, ready.reason, ready.replicas, ready.since), (ServerPhase::Ready, None, 1, Some(now())));
    assert_eq!(report(&ServerState::default(), &Patience::default(), now()).phase, ServerPhase::Missing);
    let mut asleep = ready_server();
    asleep.stateful_set.as_mut().unwrap().replicas = 0;
    assert_eq!(report(&asleep, &Patience::default(), now()).phase, ServerPhase::Sleeping);
}
