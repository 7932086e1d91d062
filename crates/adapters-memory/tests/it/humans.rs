//! Humans with helm, kubectl and Airflow's web page, and releases that are not ours.

use std::time::Duration;

use dbt_controller_adapters_memory::{ForeignConnection, ForeignRelease};
use dbt_controller_domain::model::{PutOutcome, ReleaseKey, ReleaseStatus, RevisionNumber};
use dbt_controller_domain::ports::{ChartInstaller as _, Cluster as _, ConnectionStore as _, InstallerError, RefusalKind};
use dbt_controller_port_contracts::fixtures::{self, fence};
use secrecy::ExposeSecret as _;

use crate::harness::{apply, begin, is_ready, request, until, world};

fn key(name: &str) -> ReleaseKey {
    ReleaseKey { namespace: fixtures::namespace(), name: name.parse().unwrap() }
}

#[tokio::test(start_paused = true)]
async fn a_humans_rollback_goes_through_a_pending_revision() {
    let world = world();
    let desired = request().desired();
    world.releases().deploy(&desired).unwrap();
    let second = begin(&world, &request().worker_num(11).desired()).await.unwrap();
    assert!(world.releases().upgrade(&desired.key).is_err(), "a pending revision stops `helm upgrade`");
    assert_eq!(world.releases().roll_back(&desired.key, RevisionNumber(1)).unwrap(), RevisionNumber(3));
    let rows: Vec<_> =
        world.releases().history(&desired.key).into_iter().map(|row| (row.revision.0, row.status, row.description)).collect();
    let promised = [
        (1, ReleaseStatus::Superseded, "Install complete"),
        (2, ReleaseStatus::PendingUpgrade, "Preparing upgrade"),
        (3, ReleaseStatus::Deployed, "Rollback to 1"),
    ];
    assert_eq!(rows, promised.map(|(revision, status, description)| (revision, status, description.to_owned())));
    let facts = world.releases().get(&desired.key).unwrap().summary.deployment.unwrap();
    assert_eq!(facts.identity, Some(desired.request.identity.clone()), "what the release records is kept by a rollback");
    assert_eq!(facts.operation, None, "but it is not our operation's");
    // Called what it is, the dead one is out of the way.
    world.installer().fail(&second, "a human rolled back", &fence()).await.unwrap();
    assert_eq!(world.releases().history(&desired.key)[1].status, ReleaseStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_humans_uninstall_leaves_the_claims() {
    let world = world();
    let desired = request().desired();
    let server = apply(&world, &desired).await;
    until(&world, &server, is_ready).await;
    assert!(world.releases().uninstall(&desired.key, false));
    assert!(!world.releases().uninstall(&desired.key, false));
    until(&world, &server, |state| state.pods.is_empty()).await;
    assert_eq!((world.releases().count(), world.servers().count(), world.claims().count()), (0, 0, 1));
    let promised = format!("claim {} of {server}", desired.key.name.claim_name(0));
    assert_eq!(world.leftovers(), [promised]);
}

#[tokio::test(start_paused = true)]
async fn a_humans_rollback_cannot_cross_a_claim_size() {
    let world = world();
    let desired = request().desired();
    world.releases().deploy(&desired).unwrap();
    let server = fixtures::server_key(&desired.key);
    world.cluster().delete_stateful_set(&server, true, &fence()).await.unwrap();
    world.releases().deploy(&request().storage("5Gi").desired()).unwrap();
    let rolled_back = world.releases().roll_back(&desired.key, RevisionNumber(1));
    assert!(matches!(rolled_back, Err(InstallerError::Refused { kind: RefusalKind::Admission, .. })), "{rolled_back:?}");
}

#[tokio::test(start_paused = true)]
async fn an_undo_crosses_a_claim_size_and_keeps_pods_claims_and_replicas() {
    let world = world();
    let desired = request().desired();
    world.releases().deploy(&desired).unwrap();
    let server = fixtures::server_key(&desired.key);
    let before = until(&world, &server, is_ready).await;
    let larger = request().storage("5Gi").desired();
    let installer = world.installer();
    let handle = begin(&world, &larger).await.unwrap();
    world.cluster().grow_claims(&server, &larger.request.resources.storage_size, &fence()).await.unwrap();
    world.cluster().delete_stateful_set(&server, true, &fence()).await.unwrap();
    installer.apply(&handle, &fence()).await.unwrap();
    installer.roll_back(&handle, RevisionNumber(1), "why", &fence()).await.unwrap();
    let after = until(&world, &server, is_ready).await;
    assert_eq!(after.pods, before.pods);
    assert_eq!(world.claims().of(&server)[0].size.as_ref().unwrap().as_str(), "5Gi");
    // Nor does it wake a server that was put to sleep meanwhile.
    let handle = begin(&world, &request().storage("5Gi").desired()).await.unwrap();
    world.cluster().delete_stateful_set(&server, true, &fence()).await.unwrap();
    installer.apply(&handle, &fence()).await.unwrap();
    world.servers().scale(&server, 0);
    installer.roll_back(&handle, RevisionNumber(1), "why", &fence()).await.unwrap();
    until(&world, &server, |state| state.pods.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn other_peoples_releases_are_listed_and_are_no_deployments() {
    let world = world();
    world.releases().install(ForeignRelease::new(key("postgres"))).unwrap();
    let list = world.installer().list().await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].chart.as_str(), list[0].app_version.as_str()), ("other-chart-1.2.3", "4.5.6"));
    assert_eq!(list[0].kinds, ["Service", "Deployment"]);
    assert_eq!(list[0].deployment, None);
    assert_eq!((world.servers().count(), world.leftovers()), (0, Vec::<String>::new()));
    let values = world.releases().get(&key("postgres")).unwrap().values;
    assert_eq!(values["manifests"], serde_json::json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_release_of_the_replaced_service_is_a_deployment_with_names_of_its_own() {
    let world = world();
    let request = request().build();
    let login = fixtures::credentials("old");
    let release = ForeignRelease::of_replaced_service(key("dbt-test-project-1a2b"), &request, login.clone());
    world.releases().install(release).unwrap();
    let adopted = world.releases().get(&key("dbt-test-project-1a2b")).unwrap();
    let facts = adopted.summary.deployment.unwrap();
    assert!(!facts.ours);
    assert_eq!(facts.server.as_str(), "dbt-server-dbt-test-project-1a2b");
    assert_eq!(facts.host, "dbt-server-dbt-test-project-1a2b.dbt-server.svc.cluster.local");
    assert_eq!(adopted.credentials, Some(login));
    let server = dbt_controller_domain::model::ServerKey { namespace: fixtures::namespace(), name: facts.server };
    until(&world, &server, is_ready).await;
    assert_eq!(world.claims().of(&server)[0].identity, None);

    // Its selector is another, so ours is refused until the StatefulSet and its pods are gone.
    let mut desired = fixtures::desired(request);
    desired.key = key("dbt-test-project-1a2b");
    desired.server = server.name.clone();
    let installer = world.installer();
    let handle = begin(&world, &desired).await.unwrap();
    assert_eq!(handle.revision, RevisionNumber(2));
    assert!(matches!(installer.apply(&handle, &fence()).await, Err(InstallerError::Refused { .. })));
    world.cluster().delete_stateful_set(&server, false, &fence()).await.unwrap();
    installer.apply(&handle, &fence()).await.unwrap();
    until(&world, &server, is_ready).await;
    assert_eq!(world.claims().count(), 1, "the claim is the old one");
    assert_eq!(installer.get(&desired.key, None).await.unwrap().unwrap().summary.deployment.unwrap().server, server.name);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_of_another_selector_holds_its_name() {
    let world = world();
    let request = request().build();
    let release = ForeignRelease::of_replaced_service(key("old"), &request, fixtures::credentials("old"));
    world.releases().install(release).unwrap();
    let server = dbt_controller_domain::model::ServerKey { namespace: fixtures::namespace(), name: "dbt-server-old".parse().unwrap() };
    let orphan = until(&world, &server, is_ready).await.pods[0].uid.clone();
    world.cluster().delete_stateful_set(&server, true, &fence()).await.unwrap();
    let mut desired = fixtures::desired(request);
    desired.key = key("old");
    desired.server = server.name.clone();
    world.releases().deploy(&desired).unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let state = world.servers().get(&server);
    assert_eq!((state.pods.len(), state.pods[0].uid.as_str()), (1, orphan.as_str()));
    assert_eq!(state.stateful_set.unwrap().ready_replicas, 0);
}

#[tokio::test(start_paused = true)]
async fn a_release_whose_record_cannot_be_read_is_listed_and_never_written() {
    let world = world();
    let desired = request().desired();
    world.releases().deploy(&desired).unwrap();
    assert!(world.releases().break_record(&desired.key, "gzip: invalid header"));
    let listed = world.installer().list().await.unwrap();
    assert_eq!(listed[0].unreadable.as_deref(), Some("gzip: invalid header"));
    assert_eq!(listed[0].deployment, None);
    let begun = begin(&world, &request().worker_num(11).desired()).await;
    assert!(matches!(begun, Err(InstallerError::Unreadable(_))), "{begun:?}");
    let removed = world.installer().uninstall(&desired.key, &fence()).await.unwrap();
    assert!(removed.had_record && removed.objects.len() == 5, "{removed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_release_is_named_with_its_owner() {
    let world = world();
    let desired = request().desired();
    world.releases().plant_object(
        &desired.key.namespace,
        "ConfigMap/dbt-server-test-project-main-nginx-cm",
        Some("other".parse().unwrap()),
    );
    let handle = begin(&world, &desired).await.unwrap();
    match world.installer().apply(&handle, &fence()).await {
        Err(InstallerError::ForeignObject { object, owner }) => {
            assert_eq!((object.as_str(), owner.as_str()), ("ConfigMap/dbt-server-test-project-main-nginx-cm", "release other"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.servers().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_the_replaced_service_is_ours_to_write() {
    let world = world();
    let desired = request().desired();
    let id = desired.connection_id.clone().unwrap();
    let login = fixtures::credentials("old");
    let url = desired.request.invocations_url(&desired.server_key());
    world.airflow().plant(ForeignConnection::of_replaced_service(id.clone(), desired.key.clone(), &url, &login));
    let store = world.connections();
    let known = store.get(&id).await.unwrap().unwrap();
    assert_eq!(known.owner, Some(desired.key.clone()));
    assert_eq!(store.list_ours().await.unwrap().len(), 1);
    let connection = fixtures::connection(&desired.key, &id);
    assert_eq!(store.put(&connection, Some(&known), &fence()).await.unwrap(), PutOutcome::Updated);
    let (user, password) = world.airflow().login(&id).unwrap();
    assert_eq!((user.as_str(), password.as_str()), (connection.credentials.user.as_str(), connection.credentials.password.expose_secret()));
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_connection_is_described_in_the_refusal() {
    let world = world();
    let desired = request().desired();
    let id = desired.connection_id.clone().unwrap();
    let long = "team blue's own: ".repeat(20);
    world.airflow().plant(ForeignConnection { description: Some(long.clone()), ..ForeignConnection::new(id.clone()) });
    match world.connections().put(&fixtures::connection(&desired.key, &id), None, &fence()).await {
        Err(dbt_controller_domain::ports::ConnectionError::Taken(whose)) => {
            assert!(long.starts_with(&whose) && whose.len() <= 80, "{whose}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.airflow().login(&id).unwrap().1, "somebodys-password");
    world.airflow().delete(&id);
    assert_eq!(world.airflow().count(), 0);
}
