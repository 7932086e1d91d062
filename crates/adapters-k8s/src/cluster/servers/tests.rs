use jiff::Timestamp;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn key() -> ServerKey {
    server_key("ns", "dbt-server-a").unwrap()
}

fn object(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

fn set(replicas: u32) -> SetView {
    SetView {
        uid: "set".to_owned(),
        state: StatefulSetState {
            generation: 1,
            observed_generation: 1,
            replicas,
            ready_replicas: 0,
            updated_replicas: 0,
            current_revision: "r".to_owned(),
            update_revision: "r".to_owned(),
            created_at: at(0),
            release: None,
            pod_refusal: None,
            dag_state: None,
        },
    }
}

fn pod(uid: &str, preparing: bool, containers: Vec<ContainerState>) -> PodView {
    PodView {
        owner: Some("set".to_owned()),
        preparing,
        has_claim: false,
        grace: Duration::ZERO,
        state: PodState {
            name: "dbt-server-a-0".to_owned(),
            uid: uid.to_owned(),
            revision: "r".to_owned(),
            ready: false,
            created_at: at(0),
            terminating: false,
            unschedulable: None,
            volume_failure: None,
            containers,
        },
    }
}

fn waits(reason: &str, since: i64) -> Vec<ContainerState> {
    let status = ContainerStatus::Waiting { reason: reason.to_owned(), message: String::new(), since: at(since) };
    vec![ContainerState { name: "dbt-server".to_owned(), ready: false, restarts: 0, status, last_exit: None }]
}

fn claim(phase: &str) -> ClaimView {
    let claim =
        Claim { name: "dbt-server-a-dbt-server-a-0".to_owned(), identity: None, size: None, phase: phase.to_owned(), terminating: false };
    ClaimView { uid: "claim".to_owned(), bytes: None, claim }
}

/// Since when the first container of the first pod waits.
fn waits_since(servers: &Servers) -> Option<Timestamp> {
    match servers.state(&key()).pods[0].containers[0].status {
        ContainerStatus::Waiting { since, .. } => Some(since),
        ContainerStatus::Running { .. } | ContainerStatus::Terminated(_) => None,
    }
}

#[test]
fn a_server_is_put_together_from_its_objects_and_goes_with_them() {
    let servers = Servers::new();
    assert_eq!(*servers.state(&key()), ServerState::default());
    servers.pod_changed(&object("dbt-server-a-0"), Some(&pod("p", false, Vec::new())));
    servers.set_changed(&object("dbt-server-a"), Some(&set(1)));
    servers.claim_changed(&object("dbt-server-a-dbt-server-a-0"), Some(&claim("Bound")));
    servers.set_changed(&object("dbt-server-b"), Some(&set(0)));
    let state = servers.state(&key());
    assert_eq!((state.stateful_set.as_ref().map(|set| set.replicas), state.pods.len()), (Some(1), 1));
    assert_eq!(servers.claims(&key()).len(), 1);

    servers.set_changed(&object("dbt-server-a"), None);
    assert_eq!(servers.state(&key()).pods.len(), 1, "the orphan stays");
    servers.pod_changed(&object("dbt-server-a-0"), None);
    assert_eq!(servers.claims(&key()).len(), 1, "the claim outlives them");
    servers.claim_changed(&object("dbt-server-a-dbt-server-a-0"), None);
    assert_eq!(servers.table().servers.len(), 1, "nothing is kept of a server that is gone");
}

#[test]
fn a_server_is_ready_only_when_its_new_pod_was_seen_ready_and_its_claim_bound() {
    let servers = Servers::new();
    let see = |uid: &str, revision: &str, ready| {
        let mut view = pod(uid, false, Vec::new());
        revision.clone_into(&mut view.state.revision);
        view.state.ready = ready;
        servers.pod_changed(&object("dbt-server-a-0"), Some(&view));
    };
    let told = || servers.state(&key()).stateful_set.as_ref().map(|set| (set.ready_replicas, set.updated_replicas));
    let mut ready = set(1);
    ready.state.ready_replicas = 1;
    ready.state.updated_replicas = 1;
    servers.set_changed(&object("dbt-server-a"), Some(&ready));
    assert_eq!(told(), Some((0, 0)), "no pod was seen yet");
    see("old", "before", true);
    assert_eq!(told(), Some((1, 0)), "it is the old one");
    see("new", "r", false);
    assert_eq!(told(), Some((0, 1)));
    see("new", "r", true);
    assert_eq!(told(), Some((1, 1)));

    let mut with_claim = pod("new", false, Vec::new());
    (with_claim.has_claim, with_claim.state.ready) = (true, true);
    servers.pod_changed(&object("dbt-server-a-0"), Some(&with_claim));
    assert_eq!(told(), Some((0, 1)), "no claim was seen yet");
    for (phase, promised) in [("Pending", 0), ("Bound", 1), ("Lost", 1)] {
        servers.claim_changed(&object("dbt-server-a-dbt-server-a-0"), Some(&claim(phase)));
        assert_eq!(told(), Some((promised, 1)), "{phase}");
    }
}

#[test]
fn a_watch_shows_each_change_and_no_more() {
    let servers = Servers::new();
    let mut watch = servers.watch(&key());
    assert_eq!(**watch.borrow_and_update(), ServerState::default());
    servers.set_changed(&object("dbt-server-a"), Some(&set(1)));
    assert!(watch.has_changed().unwrap());
    assert_eq!(watch.borrow_and_update().stateful_set.as_ref().map(|set| set.replicas), Some(1));
    servers.set_changed(&object("dbt-server-a"), Some(&set(1)));
    servers.set_changed(&object("dbt-server-b"), Some(&set(1)));
    assert!(!watch.has_changed().unwrap(), "nothing of it has changed");
    servers.set_changed(&object("dbt-server-a"), None);
    assert_eq!(**watch.borrow_and_update(), ServerState::default());
    servers.set_changed(&object("dbt-server-a"), Some(&set(2)));
    assert_eq!(watch.borrow_and_update().stateful_set.as_ref().map(|set| set.replicas), Some(2), "it came back");
}

#[test]
fn watches_of_servers_that_never_came_are_dropped() {
    let servers = Servers::new();
    for number in 0..1000 {
        drop(servers.watch(&server_key("ns", &format!("server-{number}")).unwrap()));
    }
    assert!(servers.table().servers.len() <= 130, "{}", servers.table().servers.len());
}

#[test]
fn a_trouble_stands_since_it_was_first_seen() {
    let servers = Servers::new();
    let see = |reason, now| servers.pod_changed(&object("dbt-server-a-0"), Some(&pod("p", false, waits(reason, now))));
    see("ErrImagePull", 10);
    see("ImagePullBackOff", 20);
    see("ErrImagePull", 30);
    assert_eq!(waits_since(&servers), Some(at(10)));
    see("CreateContainerConfigError", 40);
    assert_eq!(waits_since(&servers), Some(at(40)), "another trouble");
    servers.pod_changed(&object("dbt-server-a-0"), Some(&pod("next", false, waits("CreateContainerConfigError", 50))));
    assert_eq!(waits_since(&servers), Some(at(50)), "another pod");
}

#[test]
fn a_claim_that_lost_its_volume_is_told_of_its_pod() {
    let servers = Servers::new();
    servers.pod_changed(&object("dbt-server-a-0"), Some(&pod("p", true, Vec::new())));
    servers.claim_changed(&object("dbt-server-a-dbt-server-a-0"), Some(&claim("Lost")));
    let failure = servers.state(&key()).pods[0].volume_failure.clone();
    assert_eq!(failure.as_deref(), Some("claim `dbt-server-a-dbt-server-a-0` has lost its volume"));
    servers.claim_changed(&object("dbt-server-a-dbt-server-a-0"), Some(&claim("Bound")));
    assert_eq!(servers.state(&key()).pods[0].volume_failure, None);
}

#[test]
fn only_pods_that_somebody_waits_for_are_asked_after_and_the_answer_is_kept() {
    let servers = Servers::new();
    let see = |preparing| servers.pod_changed(&object("dbt-server-a-0"), Some(&pod("p", preparing, Vec::new())));
    see(true);
    assert_eq!(servers.suspects(|_| true), []);
    let watch = servers.watch(&key());
    assert_eq!(servers.suspects(|_| false), [], "it is young");
    let suspects = servers.suspects(|_| true);
    assert_eq!(suspects.len(), 1);

    servers.volumes_were_asked(&suspects[0], Some("no such Secret".to_owned()));
    assert_eq!(watch.borrow().pods[0].volume_failure.as_deref(), Some("no such Secret"));
    see(true);
    assert_eq!(watch.borrow().pods[0].volume_failure.as_deref(), Some("no such Secret"), "it is still without them");
    see(false);
    assert_eq!(watch.borrow().pods[0].volume_failure, None, "it has them");
    assert_eq!(servers.suspects(|_| true), []);
    servers.volumes_were_asked(&suspects[0], Some("too late".to_owned()));
    assert_eq!(watch.borrow().pods[0].volume_failure, None);
}

#[test]
fn the_pod_that_may_take_longest_to_end_counts() {
    let servers = Servers::new();
    assert_eq!(servers.look(&key(), Server::longest_grace), Duration::ZERO);
    for (name, seconds) in [("dbt-server-a-0", 600), ("dbt-server-a-1", 30)] {
        let ending = PodView { grace: Duration::from_secs(seconds), ..pod(name, false, Vec::new()) };
        servers.pod_changed(&object(name), Some(&ending));
    }
    assert_eq!(servers.look(&key(), Server::longest_grace), Duration::from_secs(600));
}
