//! The controller inside another program, on the in-memory adapters: a deployment is made, broken, and deleted.

#![allow(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_memory::{MemoryWorld, WorldOptions};
use dbt_controller_domain::model::{Caller, DeployRequest, Failure, Settings, Success, Target};
use dbt_controller_domain::{Controller, Ports};
use dbt_controller_port_contracts::fixtures;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let world = MemoryWorld::new(WorldOptions { ready_after: Duration::from_millis(100), ..WorldOptions::default() });
    let controller = controller(&world);

    println!("{:?}", deploy(&controller, fixtures::request("test-project", Some("main")).build()).await.map(|_| "deployed"));

    let broken = deploy(&controller, fixtures::request("test-project", Some("main")).tag("crash-1").build()).await;
    println!("{:?}", broken.map_err(|failure| (failure.code, failure.undo)));

    let target = Target { name: "dbt-server-test-project-main".to_owned(), namespace: None };
    let ticket = controller.delete(&target, caller()).await?;
    println!("{:?}", controller.wait(&ticket).await?.outcome.as_ref().map(|_| "deleted"));
    println!("left over: {:?}", world.leftovers());
    Ok(())
}

fn controller(world: &MemoryWorld) -> Arc<Controller> {
    let ports = Ports {
        installer: world.installer(),
        cluster: world.cluster(),
        connections: Some(world.connections()),
        events: None,
        operations: world.operations(),
        clock: world.clock(),
        random: world.random(),
    };
    Controller::new(ports, Settings::new(fixtures::namespace()))
}

async fn deploy(controller: &Arc<Controller>, request: DeployRequest) -> Result<Success, Failure> {
    let ticket = controller.deploy(request, caller()).await?;
    controller.wait(&ticket).await?.outcome.clone()
}

fn caller() -> Caller {
    Caller { request_id: "example".to_owned(), actor: "example".to_owned() }
}
