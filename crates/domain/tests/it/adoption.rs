//! Deployments of the replaced service: read, adopted under their old names, or retired.

use dbt_controller_adapters_memory::{Call, Fault, FaultKind, ForeignConnection, ForeignRelease, MemoryWorld};
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::{ConnectionId, ReleaseName};
use dbt_controller_port_contracts::fixtures;

use crate::stage::{NAME, Stage, caller, code, deploy, key, main_request, replica_with, request, revision, settings, target};

/// How often a call is made before it counts as failed.
const TRIES: u32 = 4;

fn old_name(request: &DeployRequest) -> ReleaseName {
    request.identity.replaced_release_name().unwrap()
}

pub(crate) fn old_key(request: &DeployRequest) -> ReleaseKey {
    ReleaseKey { namespace: request.namespace.clone(), name: old_name(request) }
}

pub(crate) fn old_connection(request: &DeployRequest) -> ConnectionId {
    old_name(request).as_str().parse().unwrap()
}

/// The replaced service deploys this.
pub(crate) async fn plant(world: &MemoryWorld, request: &DeployRequest) {
    let (key, login) = (old_key(request), fixtures::credentials("old"));
    world.releases().install(ForeignRelease::of_replaced_service(key.clone(), request, login.clone())).unwrap();
    let url = format!("http://dbt-server-{}.dbt-server.svc.cluster.local/invocations", key.name);
    world.airflow().plant(ForeignConnection::of_replaced_service(old_connection(request), key, &url, &login));
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
}

/// The replaced service deployed this.
async fn stage_with(request: &DeployRequest) -> Stage {
    let stage = Stage::new();
    plant(&stage.world, request).await;
    stage
}

fn connections(stage: &Stage) -> Vec<String> {
    stage.world.airflow().ours().into_iter().map(|connection| connection.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_post_adopts_a_deployment_under_its_old_names() {
    let wished = main_request("v1");
    let (key, connection) = (old_key(&wished), old_connection(&wished));
    let stage = stage_with(&wished).await;
    let server = ServerKey { namespace: key.namespace.clone(), name: format!("dbt-server-{}", key.name).parse().unwrap() };
    let (old_pod, login) = (stage.world.servers().get(&server).pods[0].uid.clone(), stage.world.airflow().login(&connection));

    let Ok(Success::Deployed { host, revision, connection: reported, notes, .. }) = stage.deploy(wished.clone()).await else {
        panic!("not adopted")
    };
    assert_eq!(revision.0, 2);
    assert_eq!(host, format!("{}.dbt-server.svc.cluster.local", server.name));
    assert_eq!(reported.id, Some(connection.clone()));
    assert!(notes.iter().any(|note| note.contains("restarted")), "{notes:?}");
    assert_eq!(connections(&stage), [connection.as_str()]);
    assert_eq!(stage.world.airflow().login(&connection), login, "DAGs go on with the login that they know");
    assert_ne!(stage.world.servers().get(&server).pods[0].uid, old_pod, "orphaned pods would block the new StatefulSet");
    assert_eq!(stage.world.claims().of(&server).len(), 1);

    // From now on it is a deployment like any other, and keeps its names.
    let found = stage.controller.find(&target(key.name.as_str())).await.unwrap();
    assert!(found.deployment.as_ref().unwrap().ours && found.identity() == Some(&wished.identity));
    let Ok(Success::Deployed { unchanged: true, .. }) = stage.deploy(wished).await else { panic!("not unchanged") };
    assert_eq!(crate::stage::revision(stage.deploy(main_request("v2")).await), 3);
    assert_eq!(stage.controller.list(&DeploymentFilter::default()).await.unwrap().len(), 1);
    stage.delete(key.name.as_str()).await.unwrap();
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn a_failed_adoption_brings_the_old_server_back() {
    let stage = stage_with(&main_request("v1")).await;
    let wished = main_request("missing-1");
    let (key, login) = (old_key(&wished), stage.world.airflow().login(&old_connection(&wished)));
    let failure = stage.deploy(wished.clone()).await.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::ImagePullFailed, UndoOutcome::Undone), "{failure}");
    let deployment = stage.controller.inspect(&target(key.name.as_str())).await.unwrap();
    assert_eq!(deployment.server.phase, ServerPhase::Ready);
    assert!(!deployment.release.deployment.as_ref().unwrap().ours);
    assert_eq!(stage.world.airflow().login(&old_connection(&wished)), login);
    // It can still be adopted, with its connection.
    assert_eq!(revision(stage.deploy(main_request("v2")).await), 4);
    let connection = stage.world.airflow().get(&old_connection(&wished)).unwrap();
    assert_eq!(connection.description, Some(description_of_owner(&key)));
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_passes_while_its_other_names_are_looked_at_is_not_noticed() {
    for kind in [FaultKind::Fail, FaultKind::Hang] {
        let stage = stage_with(&main_request("v1")).await;
        // After the look at the line that it joins.
        stage.world.faults().plan(Fault::new(Call::OperationsRead, 2, kind).times(2));
        assert_eq!(revision(stage.deploy(main_request("v2")).await), 2);
        assert_eq!(stage.world.faults().pending(), []);
    }
}

/// Whoever died before it came to the old StatefulSet had only written a record, over which a human's Helm may go back.
#[tokio::test(start_paused = true)]
async fn the_undo_of_an_adoption_does_not_stop_a_server_that_is_somebody_elses_by_now() {
    let stage = stage_with(&main_request("v1")).await;
    let key = old_key(&main_request("v2"));
    let server = ServerKey { namespace: key.namespace.clone(), name: format!("dbt-server-{}", key.name).parse().unwrap() };
    let pod = stage.world.servers().get(&server).pods[0].uid.clone();
    stage.world.faults().plan(Fault::new(Call::ClusterDeleteStatefulSet, 1, FaultKind::Hang).times(TRIES));
    let human = async {
        stage.next(Call::ClusterDeleteStatefulSet).await;
        stage.world.releases().roll_back(&key, RevisionNumber(1)).unwrap()
    };
    let (failure, back) = tokio::join!(stage.deploy(main_request("v2")), human);
    let failure = failure.unwrap_err();
    assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{failure}");
    assert!(failure.message.contains("somebody else wrote its revision 3 (deployed)"), "{failure}");
    assert_eq!(stage.world.faults().pending(), []);
    assert_eq!(stage.world.releases().get(&key).unwrap().summary.standing.deployed, Some(back));
    assert_eq!(stage.world.servers().get(&server).pods[0].uid, pod);
}

/// The newest revision is ours then, and the StatefulSet may be of either service.
#[tokio::test(start_paused = true)]
async fn an_adoption_that_could_not_be_undone_is_begun_anew() {
    for (tag, method, nth) in
        [("v1", Call::ClusterDeleteStatefulSet, 1), ("v1", Call::InstallerApply, 1), ("missing-1", Call::ClusterDeleteStatefulSet, 2)]
    {
        let stage = stage_with(&main_request("v1")).await;
        stage.world.faults().plan(Fault::new(method, nth, FaultKind::Forbid));
        stage.world.faults().plan(Fault::new(Call::InstallerRollBack, 1, FaultKind::Forbid));
        let failure = stage.deploy(main_request(tag)).await.unwrap_err();
        assert_eq!((failure.code, failure.undo), (FailureCode::RollbackFailed, UndoOutcome::Failed), "{method} {nth}: {failure}");
        stage.world.faults().clear();

        // One that fails before it comes to the StatefulSet brings the old one back all the same.
        stage.world.faults().plan(Fault::new(Call::ClusterGrowClaims, 1, FaultKind::Forbid));
        let mut larger = main_request("v2");
        larger.resources.storage_size = "30Gi".parse().unwrap();
        let failure = stage.deploy(larger).await.unwrap_err();
        assert_eq!((failure.code, failure.undo), (FailureCode::Forbidden, UndoOutcome::Undone), "{method} {nth}: {failure}");
        assert_eq!(stage.world.faults().pending(), []);
        assert_eq!(revision(stage.deploy(main_request("v2")).await), 5);
        stage.delete(old_name(&main_request("v2")).as_str()).await.unwrap();
        stage.assert_nothing_left();
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_identity_whose_name_it_has_adopts() {
    let stage = stage_with(&main_request("v1")).await;
    revision(stage.deploy(request("test-project", Some("develop"), "v1")).await);
    revision(stage.deploy(main_request("v1")).await);
    // Another identity of the same old name comes too late: the deployment is somebody's now.
    revision(stage.deploy(request("test project", Some("main"), "v1")).await);
    let names: Vec<_> = stage.controller.list(&DeploymentFilter::default()).await.unwrap();
    let names: Vec<_> = names.iter().map(|release| release.key.name.to_string()).collect();
    let old = old_name(&main_request("v1"));
    assert_eq!(names, ["dbt-server-test-project-develop", NAME, old.as_str()]);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_of_another_namespace_is_not_adopted_from_here() {
    let stage = stage_with(&main_request("v1")).await;
    let mut elsewhere = main_request("v1");
    elsewhere.namespace = "data".parse().unwrap();
    assert_eq!(code(stage.deploy(elsewhere).await), FailureCode::DeployedElsewhere);
}

pub(crate) fn long_request(tag: &str) -> DeployRequest {
    request(&"x".repeat(29), Some("main"), tag)
}

#[tokio::test(start_paused = true)]
async fn a_release_with_which_no_server_can_run_is_replaced_after_the_commit() {
    let stage = stage_with(&long_request("v1")).await;
    assert_eq!(connections(&stage).len(), 1);
    let failure = stage.deploy(long_request("missing-1")).await.unwrap_err();
    assert_eq!(failure.undo, UndoOutcome::Undone);
    assert!(stage.world.releases().get(&old_key(&long_request("v1"))).is_some(), "nothing is removed before the commit");

    let Ok(Success::Deployed { notes, .. }) = stage.deploy(long_request("v1")).await else { panic!("not deployed") };
    assert!(notes.iter().any(|note| note.contains("was removed")), "{notes:?}");
    assert!(stage.world.releases().get(&old_key(&long_request("v1"))).is_none());
    let name = long_request("v1").identity.release_names()[0].clone();
    assert_eq!(connections(&stage), [long_request("v1").identity.connection_ids()[0].as_str()]);
    stage.delete(name.as_str()).await.unwrap();
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn what_of_a_replaced_release_cannot_be_removed_at_once_is_removed_later() {
    let stage = stage_with(&long_request("v1")).await;
    stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 1, FaultKind::Forbid).times(2));
    revision(stage.deploy(long_request("v1")).await);
    assert!(stage.world.releases().get(&old_key(&long_request("v1"))).is_some());
    stage.world.faults().clear();
    let background = tokio::spawn({
        let controller = std::sync::Arc::clone(&stage.controller);
        async move { controller.run_background().await }
    });
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    background.abort();
    assert!(stage.world.releases().get(&old_key(&long_request("v1"))).is_none());
    assert_eq!(connections(&stage), [long_request("v1").identity.connection_ids()[0].as_str()]);
    assert!(stage.world.operation_records().all().iter().all(|record| record.debts().next().is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_comes_while_a_replaced_release_is_removed_leaves_nothing_of_that() {
    let stage = stage_with(&long_request("v1")).await;
    // Its record is gone, and nobody has heard so.
    stage.world.faults().plan(Fault::new(Call::InstallerUninstall, 1, FaultKind::LoseAnswer));
    let ticket = stage.controller.deploy(long_request("v1"), caller()).await.unwrap();
    stage.next(Call::InstallerUninstall).await;
    stage.delete(long_request("v1").identity.release_names()[0].as_str()).await.unwrap();
    assert_eq!(code(stage.controller.wait(&ticket).await.unwrap().outcome.clone()), FailureCode::Cancelled);
    let controller = std::sync::Arc::clone(&stage.controller);
    let background = tokio::spawn(async move { controller.run_background().await });
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    background.abort();
    stage.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn other_peoples_releases_are_not_deleted() {
    let stage = Stage::new();
    for name in ["airflow", NAME] {
        stage.world.releases().install(ForeignRelease::new(key(name))).unwrap();
        let failure = stage.delete(name).await.unwrap_err();
        assert_eq!((failure.code, failure.undo), (FailureCode::NotFound, UndoOutcome::NothingToUndo), "{name}: {failure}");
        assert_eq!(stage.world.releases().objects(&key(name)).len(), 2, "{name}");
    }
    assert_eq!(stage.world.releases().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_delete_finishes_a_humans_uninstall_of_an_adopted_deployment() {
    let wished = main_request("v1");
    let key = old_key(&wished);
    for name in [key.name.to_string(), format!("dbt-server-{}", key.name)] {
        let stage = stage_with(&wished).await;
        revision(stage.deploy(wished.clone()).await);
        assert!(stage.world.releases().uninstall(&key, false));
        let Ok(Success::Deleted { claims, connection }) = stage.delete(&name).await else { panic!("not deleted by {name}") };
        assert_eq!((claims.len(), connection.id), (1, Some(old_connection(&wished))));
        stage.assert_nothing_left();
    }
}

#[tokio::test(start_paused = true)]
async fn beside_a_deployment_of_the_replaced_service_that_cannot_be_read_no_second_one_is_made() {
    let wished = main_request("v1");
    let stage = stage_with(&wished).await;
    assert!(stage.world.releases().break_record(&old_key(&wished), "broken on purpose"));
    assert_eq!(code(stage.deploy(wished).await), FailureCode::ReleaseUnreadable);
    assert_eq!((stage.world.releases().count(), stage.world.servers().count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn without_airflow_a_replaced_release_is_removed_whole() {
    let stage = stage_with(&long_request("v1")).await;
    let without = replica_with(&stage.world, stage.world.operations(), None, settings());
    let Ok(Success::Deployed { notes, .. }) = deploy(&without, long_request("v1")).await else { panic!("not deployed") };
    assert!(notes.iter().any(|note| note.contains("was removed")), "{notes:?}");
    assert!(stage.world.operation_records().all().iter().all(|record| record.debts().next().is_none()));
}
