//! The world as a handle: made without a runtime, left without tasks, empty in the end.

use std::time::Duration;

use dbt_controller_adapters_memory::{MemoryWorld, WorldOptions};
use dbt_controller_domain::ports::{ChartInstaller as _, Cluster as _, ConnectionStore as _};
use dbt_controller_port_contracts::fixtures::{self, fence};
use secrecy::ExposeSecret as _;

use crate::harness::{apply, is_ready, request, until, world};

#[test]
fn a_world_needs_no_runtime_until_somebody_watches() {
    let world = MemoryWorld::new(WorldOptions::default());
    world.releases().deploy(&request().desired()).unwrap();
    let handles = (world.installer(), world.cluster(), world.connections(), world.operations(), world.clock());
    assert_eq!(world.releases().count(), 1);
    drop(handles);
}

#[test]
fn a_world_outlives_the_runtimes_that_work_on_it() {
    let world = MemoryWorld::new(WorldOptions { ready_after: Duration::from_millis(10), ..WorldOptions::default() });
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let key = runtime().block_on(async {
        let key = apply(&world, &request().desired()).await;
        // The watch's task dies with this runtime.
        let watch = world.cluster().watch(&key).await.unwrap();
        drop(watch);
        key
    });
    let ready = async { tokio::time::timeout(Duration::from_secs(10), until(&world, &key, is_ready)).await };
    runtime().block_on(ready).expect("the server becomes ready in another runtime");
}

#[tokio::test(start_paused = true)]
async fn the_task_of_a_watch_ends_with_its_last_receiver() {
    let world = world();
    let key = apply(&world, &request().desired()).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let watches: Vec<_> = [world.cluster().watch(&key).await.unwrap(), world.cluster().watch(&key).await.unwrap()].into();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(tasks(), before + 2);
    drop(watches);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_was_removed_leaves_nothing() {
    let world = world();
    let desired = request().https().desired();
    let connection = fixtures::connection(&desired.key, &desired.connection_id.clone().unwrap());
    let server = apply(&world, &desired).await;
    until(&world, &server, is_ready).await;
    world.connections().put(&connection, None, &fence()).await.unwrap();
    assert_eq!(world.leftovers().len(), 10, "{:?}", world.leftovers());

    world.connections().delete(&connection.id, &fence()).await.unwrap();
    world.installer().uninstall(&desired.key, &fence()).await.unwrap();
    until(&world, &server, |state| state.pods.is_empty()).await;
    let claims = world.claims().of(&server).into_iter().map(|claim| claim.name).collect::<Vec<_>>();
    world.cluster().delete_claims(&server, &claims, &fence()).await.unwrap();
    assert_eq!(world.leftovers(), Vec::<String>::new());
    assert!(!format!("{world:?}").contains("test-project"), "the world has forgotten it: {world:?}");
}

#[tokio::test(start_paused = true)]
async fn values_show_the_objects_of_the_request_without_its_secrets() {
    let world = world();
    let desired = request().https().git_url("https://bot:hunter2@git.example.com/p.git").desired();
    apply(&world, &desired).await;
    let release = world.releases().get(&desired.key).unwrap();
    let kinds: Vec<_> =
        release.values["manifests"].as_array().unwrap().iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, release.summary.kinds);
    let controller = &release.values["controller"];
    assert_eq!(controller["project"], "test-project");
    assert_eq!(controller["branch"], "main");
    assert_eq!(controller["connection_id"], "test_project_main");
    let facts = release.summary.deployment.unwrap();
    assert_eq!(controller["request_hash"], facts.request_hash.unwrap().as_str());
    assert_eq!(controller["manifest_hash"], facts.manifest_hash.unwrap().0.as_str());
    let text = release.values.to_string();
    for secret in ["hunter2", desired.credentials.password.expose_secret(), "EMPTY"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let host = &release.values["manifests"][5]["spec"]["rules"][0]["host"];
    assert_eq!(host, "dbt-server-test-project-main.acme.example.com");
}

#[test]
fn worlds_and_their_handles_print_no_secret() {
    let world = MemoryWorld::new(WorldOptions::default());
    let desired = request().git_url("https://bot:hunter2@git.example.com/p.git").desired();
    world.releases().deploy(&desired).unwrap();
    let text = format!("{world:?} {:?}", world.installer());
    for secret in ["hunter2", desired.credentials.password.expose_secret()] {
        assert!(!text.contains(secret), "{text}");
    }
}
