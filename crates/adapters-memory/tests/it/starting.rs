//! Readiness after the set time, replacement, and pods that stand in the way.

use std::time::Duration;

use dbt_controller_adapters_memory::{Hindrance, MemoryWorld, WorldOptions};
use dbt_controller_domain::model::{Claim, ContainerStatus, PodRefusal, ServerState, Warehouse};
use dbt_controller_domain::ports::{ChartInstaller as _, Clock as _, Cluster as _, InstallerError, RefusalKind};
use dbt_controller_port_contracts::fixtures::{self, fence};
use tokio::time::{Instant, sleep};

use crate::harness::{READY_AFTER, apply, begin, is_ready, request, until, waits_for, world};

/// From the change of a StatefulSet until its controller has seen it.
const OBSERVATION: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn a_server_is_ready_after_the_set_time_and_not_before() {
    for ready_after in [Duration::ZERO, Duration::from_millis(50), Duration::from_secs(90)] {
        let world = MemoryWorld::new(WorldOptions { ready_after, ..WorldOptions::default() });
        let key = apply(&world, &request().desired()).await;
        let begun = Instant::now();
        until(&world, &key, is_ready).await;
        assert_eq!(begun.elapsed(), ready_after + OBSERVATION);
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_watches_happens_all_the_same() {
    let world = world();
    let key = apply(&world, &request().desired()).await;
    sleep(Duration::from_secs(3600)).await;
    assert!(is_ready(&world.servers().get(&key)));
    assert_eq!(world.claims().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_shows_every_step_of_a_start() {
    let world = world();
    let key = fixtures::server_key(&request().desired().key);
    let mut watch = world.cluster().watch(&key).await.unwrap();
    let mut seen = Vec::new();
    apply(&world, &request().desired()).await;
    while !is_ready(&watch.borrow_and_update()) {
        tokio::time::timeout(READY_AFTER * 2, watch.changed()).await.expect("something changes").unwrap();
        let state = watch.borrow().clone();
        let observed = state.stateful_set.as_ref().map(|set| set.observed_generation);
        let container = match state.pods.first().map(|pod| &pod.containers[0].status) {
            None => "none",
            Some(ContainerStatus::Waiting { .. }) => "waits",
            Some(ContainerStatus::Running { .. }) => "runs",
            Some(ContainerStatus::Terminated(_)) => "ended",
        };
        seen.push((observed, container, is_ready(&state)));
    }
    let promised = [(Some(0), "none", false), (Some(1), "waits", false), (Some(1), "runs", false), (Some(1), "runs", true)];
    assert_eq!(seen, promised);
}

#[tokio::test(start_paused = true)]
async fn a_changed_request_replaces_a_healthy_pod_within_its_own_ready_time() {
    let world = world();
    let desired = request().desired();
    let key = apply(&world, &desired).await;
    let first = until(&world, &key, is_ready).await;
    world.installer().commit(&handle(&world, &desired), &fence()).await.unwrap();

    let begun = Instant::now();
    apply(&world, &request().worker_num(11).desired()).await;
    let second = until(&world, &key, |state| is_ready(state) && state.pods[0].uid != first.pods[0].uid).await;
    assert!(begun.elapsed() >= READY_AFTER);
    assert!(begun.elapsed() < READY_AFTER + Duration::from_millis(200), "{:?}", begun.elapsed());
    let set = second.stateful_set.clone().unwrap();
    assert_eq!((set.generation, set.observed_generation), (2, 2));
    assert_eq!(set.current_revision, set.update_revision);
    assert_ne!(set.update_revision, first.stateful_set.clone().unwrap().update_revision);
}

fn handle(world: &MemoryWorld, desired: &dbt_controller_domain::model::DesiredRelease) -> dbt_controller_domain::model::RevisionHandle {
    let revision = world.releases().get(&desired.key).unwrap().summary.revision;
    dbt_controller_domain::model::RevisionHandle { key: desired.key.clone(), revision, operation: desired.operation.clone() }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_reach_the_pod_does_not_restart_it() {
    let world = world();
    let key = fixtures::server_key(&request().desired().key);
    world.releases().deploy(&request().desired()).unwrap();
    let before = until(&world, &key, is_ready).await;
    let changes = [
        request().https().desired(),
        request().with(|request| request.customer = "other".parse().unwrap()).desired(),
        request().with(|request| request.service_account = Some("dbt@example.iam.gserviceaccount.com".to_owned())).desired(),
    ];
    for desired in changes {
        world.releases().deploy(&desired).unwrap();
        sleep(READY_AFTER * 3).await;
        assert_eq!(world.servers().get(&key), *before);
    }
    let mut login = request().desired();
    login.credentials.password = "another-password".into();
    world.releases().deploy(&login).unwrap();
    sleep(READY_AFTER * 3).await;
    assert_ne!(world.servers().get(&key).pods[0].uid, before.pods[0].uid, "a changed login is in the Secret, whose checksum restarts");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_never_ready_is_not_replaced_by_a_corrected_template() {
    let world = world();
    let key = fixtures::server_key(&request().desired().key);
    world.releases().deploy(&request().tag("missing-1").desired()).unwrap();
    let broken = until(&world, &key, |state| waits_for(state) == Some("ImagePullBackOff")).await;
    world.releases().deploy(&request().desired()).unwrap();

    sleep(Duration::from_secs(3600)).await;
    let stuck = world.servers().get(&key);
    assert_eq!(stuck.pods, broken.pods, "kubernetes#67250");
    let set = stuck.stateful_set.unwrap();
    assert_eq!((set.generation, set.observed_generation, set.updated_replicas, set.ready_replicas), (2, 2, 0, 0));
    assert_ne!(set.current_revision, set.update_revision);

    let deleted = world.cluster().delete_broken_pods(&key, &fence()).await.unwrap();
    assert_eq!(deleted, ["dbt-server-test-project-main-0"]);
    let mended = until(&world, &key, is_ready).await;
    assert_ne!(mended.pods[0].uid, broken.pods[0].uid);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_still_starting_is_replaced_once_it_is_ready() {
    let world = world();
    let key = fixtures::server_key(&request().desired().key);
    world.releases().deploy(&request().desired()).unwrap();
    sleep(READY_AFTER / 2).await;
    let first = world.servers().get(&key).pods[0].uid.clone();
    world.releases().deploy(&request().worker_num(11).desired()).unwrap();
    sleep(READY_AFTER / 4).await;
    assert_eq!(world.servers().get(&key).pods[0].uid, first, "it is neither ready nor deleted");
    let state = until(&world, &key, |state| is_ready(state) && state.pods[0].uid != first).await;
    assert!(!state.pods[0].terminating);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_comes_back_with_its_claim() {
    let world = world();
    let key = apply(&world, &request().desired()).await;
    let first = until(&world, &key, is_ready).await;
    world.servers().delete_pods(&key);
    let second = until(&world, &key, |state| is_ready(state) && state.pods[0].uid != first.pods[0].uid).await;
    assert_eq!(second.pods[0].revision, first.pods[0].revision);
    assert_eq!(world.claims().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn several_replicas_come_up_and_go_down_one_by_one() {
    let world = world();
    let key = apply(&world, &request().desired()).await;
    world.servers().scale(&key, 3);
    let begun = Instant::now();
    let all_ready = |state: &ServerState| state.stateful_set.as_ref().is_some_and(|set| set.ready_replicas == 3);
    until(&world, &key, all_ready).await;
    assert!(begun.elapsed() >= READY_AFTER * 3);
    assert_eq!(world.claims().count(), 3);

    // The last pod is replaced first. Meanwhile the others are of the old revision, and ready, so they are not broken.
    world.releases().deploy(&request().worker_num(11).desired()).unwrap();
    until(&world, &key, |state| state.pods[2].terminating).await;
    assert_eq!(world.cluster().delete_broken_pods(&key, &fence()).await.unwrap(), Vec::<String>::new());
    let all_new = |state: &ServerState| all_ready(state) && state.stateful_set.as_ref().is_some_and(|set| set.updated_replicas == 3);
    until(&world, &key, all_new).await;
    world.servers().scale(&key, 0);
    until(&world, &key, |state| state.pods.len() == 2 && state.pods[1].terminating && !state.pods[0].terminating).await;
    until(&world, &key, |state| state.pods.is_empty()).await;
    assert_eq!(world.claims().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn hindered_pods_tell_why_and_start_when_the_hindrance_goes() {
    let words = || "0/3 nodes are available: 3 Insufficient cpu.".to_owned();
    for hindrance in [
        Hindrance::Refused(PodRefusal { by_quota: true, message: words() }),
        Hindrance::Unschedulable(words()),
        Hindrance::VolumeFailure(words()),
        Hindrance::ContainerConfig(words()),
    ] {
        let world = world();
        let key = fixtures::server_key(&request().desired().key);
        world.servers().hinder(&key, Some(hindrance.clone()));
        apply(&world, &request().desired()).await;
        sleep(Duration::from_secs(60)).await;

        let state = world.servers().get(&key);
        let autopsy = world.cluster().autopsy(&key).await;
        assert!(autopsy.events.iter().any(|event| event.message.contains(&words())), "{hindrance:?}: {autopsy:?}");
        match &hindrance {
            Hindrance::Refused(refusal) => {
                assert!(state.pods.is_empty());
                assert_eq!(state.stateful_set.unwrap().pod_refusal, None, "the status does not tell");
                assert_eq!(world.cluster().why_no_pod(&key).await.unwrap().as_ref(), Some(refusal));
            }
            Hindrance::Unschedulable(_) => {
                assert_eq!(state.pods[0].unschedulable, Some(words()));
                assert!(state.pods[0].containers.is_empty());
                assert_eq!(autopsy.scheduling, Some(words()));
            }
            Hindrance::VolumeFailure(_) => assert_eq!(state.pods[0].volume_failure, Some(words())),
            Hindrance::ContainerConfig(_) => assert_eq!(waits_for(&state), Some("CreateContainerConfigError")),
        }

        world.servers().hinder(&key, None);
        let begun = Instant::now();
        until(&world, &key, is_ready).await;
        assert!(begun.elapsed() <= READY_AFTER + OBSERVATION, "{hindrance:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_the_secret_of_its_warehouse() {
    let world = world();
    let namespace = fixtures::namespace();
    world.servers().remove_warehouse_secret(&namespace, Warehouse::Bigquery);
    assert!(!world.cluster().has_warehouse_secret(&namespace, Warehouse::Bigquery).await.unwrap());
    let key = apply(&world, &request().warehouse(Warehouse::Bigquery).desired()).await;
    sleep(Duration::from_secs(60)).await;
    let failure = world.servers().get(&key).pods[0].volume_failure.clone().unwrap();
    assert!(failure.contains("data-warehouse-bigquery-secrets"), "{failure}");
    world.servers().restore_warehouse_secret(&namespace, Warehouse::Bigquery);
    until(&world, &key, is_ready).await;
    assert!(!world.cluster().has_warehouse_secret(&"elsewhere".parse().unwrap(), Warehouse::Bigquery).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_planted_claim_keeps_its_identity_and_is_taken() {
    let world = world();
    let desired = request().desired();
    let key = fixtures::server_key(&desired.key);
    let other = fixtures::fresh_identity("other");
    let name = desired.key.name.claim_name(0);
    world.claims().plant(
        &key,
        Claim { name: name.clone(), identity: Some(other.clone()), size: None, phase: "Bound".to_owned(), terminating: false },
    );
    apply(&world, &desired).await;
    until(&world, &key, is_ready).await;
    let claims = world.cluster().claims(&key).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].identity, Some(other));

    // In use, it stays until its pod is gone (`kubernetes.io/pvc-protection`).
    world.cluster().delete_claims(&key, std::slice::from_ref(&name), &fence()).await.unwrap();
    assert_eq!(world.claims().count(), 1);
    world.servers().scale(&key, 0);
    until(&world, &key, |state| state.pods.is_empty()).await;
    assert_eq!(world.claims().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_claim_size_is_refused_until_the_stateful_set_is_made_anew() {
    let world = world();
    let key = fixtures::server_key(&request().desired().key);
    world.releases().deploy(&request().desired()).unwrap();
    let before = until(&world, &key, is_ready).await;

    let larger = request().storage("5Gi").desired();
    let installer = world.installer();
    let handle = begin(&world, &larger).await.unwrap();
    match installer.apply(&handle, &fence()).await {
        Err(InstallerError::Refused { object, kind: RefusalKind::Admission, message }) => {
            assert_eq!(object, "StatefulSet/dbt-server-test-project-main");
            assert!(message.contains("Forbidden: updates to statefulset spec"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    world.cluster().grow_claims(&key, &larger.request.resources.storage_size, &fence()).await.unwrap();
    world.cluster().delete_stateful_set(&key, true, &fence()).await.unwrap();
    assert_eq!(installer.objects(&larger.key).await.unwrap().len(), 4, "the StatefulSet is one of the release's objects");
    installer.apply(&handle, &fence()).await.unwrap();
    let after = until(&world, &key, is_ready).await;
    assert_eq!(after.pods, before.pods, "no restart");
    assert_eq!(world.claims().of(&key)[0].size.as_ref().unwrap().as_str(), "5Gi");
}

#[tokio::test(start_paused = true)]
async fn the_clock_shows_tokios_time_from_the_base_on() {
    let begins_at = "2026-05-01T12:00:00Z".parse().unwrap();
    let world = MemoryWorld::new(WorldOptions { begins_at, ..WorldOptions::default() });
    assert_eq!(world.clock().now(), begins_at);
    sleep(Duration::from_secs(90)).await;
    assert_eq!(world.clock().now().to_string(), "2026-05-01T12:01:30Z");
    let key = apply(&world, &request().desired()).await;
    let state = until(&world, &key, is_ready).await;
    assert_eq!(state.stateful_set.clone().unwrap().created_at.to_string(), "2026-05-01T12:01:30Z");
}
