//! Image tags with a meaning.

use std::time::Duration;

use dbt_controller_adapters_memory::{MemoryWorld, WorldOptions};
use dbt_controller_domain::model::ContainerStatus;
use dbt_controller_domain::ports::Cluster as _;
use tokio::time::{Instant, sleep};

use crate::harness::{apply, request, until, waits_for, world};

#[tokio::test(start_paused = true)]
async fn a_missing_image_is_tried_and_then_waited_for() {
    let world = world();
    let key = apply(&world, &request().tag("missing-2026").desired()).await;
    until(&world, &key, |state| waits_for(state) == Some("ErrImagePull")).await;
    let state = until(&world, &key, |state| waits_for(state) == Some("ImagePullBackOff")).await;
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.servers().get(&key), *state, "nothing changes any more");
    let ContainerStatus::Waiting { message, .. } = &state.pods[0].containers[0].status else { panic!("{state:?}") };
    assert!(message.contains("4fastbi/dbt-api-server-core:missing-2026"), "{message}");
    let proxy = &state.pods[0].containers[1];
    assert!(proxy.ready, "its image is another");
    let autopsy = world.cluster().autopsy(&key).await;
    assert!(autopsy.events.iter().any(|event| event.reason == "Failed"), "{autopsy:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crashing_server_is_restarted_three_times_in_five_seconds() {
    let world = world();
    let key = apply(&world, &request().tag("crash").git_url("https://bot:hunter2@git.example.com/p.git").desired()).await;
    let begun = Instant::now();
    let restarts = |count| {
        move |state: &dbt_controller_domain::model::ServerState| state.pods.first().is_some_and(|pod| pod.containers[0].restarts == count)
    };
    let mut waits = Vec::new();
    for count in 0..=3 {
        let state = until(&world, &key, restarts(count)).await;
        assert!(!state.pods[0].ready);
        waits.push(begun.elapsed().as_millis());
    }
    assert_eq!(waits, [10, 1510, 2760, 5010]);
    let autopsy = world.cluster().autopsy(&key).await;
    let server = &autopsy.containers[0];
    assert_eq!((server.exit_code, server.restarts), (Some(1), 3));
    assert!(server.log.iter().any(|line| line.contains("dbt.exceptions")), "{:?}", server.log);
    assert!(server.log.iter().any(|line| line.contains("hunter2")), "a server prints what it likes, so that redaction is tested");
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_is_as_fast_as_the_servers_of_its_world() {
    let world = MemoryWorld::new(WorldOptions { ready_after: Duration::from_millis(50), ..WorldOptions::default() });
    let key = apply(&world, &request().tag("crash-fast").desired()).await;
    let begun = Instant::now();
    until(&world, &key, |state| state.pods.first().is_some_and(|pod| pod.containers[0].restarts >= 3)).await;
    assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_without_any_ready_time_does_not_spin() {
    let world = MemoryWorld::new(WorldOptions { ready_after: Duration::ZERO, ..WorldOptions::default() });
    let key = apply(&world, &request().tag("crash").desired()).await;
    let begun = Instant::now();
    until(&world, &key, |state| state.pods.first().is_some_and(|pod| pod.containers[0].restarts >= 20)).await;
    assert!(begun.elapsed() > Duration::from_secs(1));
}
