//! Deployments of the replaced service, and other people's releases: read, adopted, retired, or left alone.

use std::sync::Arc;

use dbt_controller_domain::model::*;
use dbt_controller_tests::replaced::{OLD_VARIABLE, SecretField, install};
use dbt_controller_tests::{HelmVersion, until};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::replaced::{Maker, Replaced};
use crate::support::stage::{Stage, failure, history, name, revision, target, uid};

/// One that any of the makers stands for.
const MAKER: Maker = Maker { helm: HelmVersion::V3, secret: SecretField::StringData };

impl Maker {
    /// A project of its own.
    fn project(self) -> String {
        format!("{}-{}", self.helm.as_str(), if self.secret == SecretField::Data { "data" } else { "string-data" })
    }
}

async fn summaries(stage: &Stage) -> Vec<Arc<ReleaseSummary>> {
    stage.controller.list(&DeploymentFilter::default()).await.unwrap()
}

/// Whether a deployment of the replaced service is read as what it is.
async fn assert_read(stage: &Stage, replaced: &Replaced) {
    let listed = summaries(stage).await;
    let listed = listed.iter().find(|release| release.key == replaced.key).expect("it is listed");
    let facts = listed.deployment.as_ref().unwrap();
    assert_eq!((facts.ours, facts.identity.as_ref()), (false, None));
    assert_eq!(facts.server.as_str(), replaced.server);
    assert_eq!(facts.host, format!("{}.{}.svc.cluster.local", replaced.server, replaced.key.namespace));
    assert_eq!(facts.url, replaced.url);
    assert_eq!(facts.connection_id.as_ref(), Some(&replaced.connection));
    assert_eq!(facts.image, "4fastbi/dbt-api-server-core:0.9.0");
    assert_eq!(facts.storage.as_ref().map(ToString::to_string).as_deref(), Some("1Gi"));
    assert_eq!((listed.status, listed.chart.as_str(), listed.app_version.as_str()), (ReleaseStatus::Deployed, "raw-0.3.2", "0.2.3"));
    // The platform's job knows it by the name of its objects.
    for name in [replaced.key.name.as_str(), &replaced.server] {
        let deployment = stage.controller.inspect(&target(name)).await.unwrap();
        assert_eq!(deployment.release.key, replaced.key);
        let connection = deployment.connection.unwrap();
        assert_eq!((connection.id, connection.presence), (replaced.connection.clone(), ConnectionPresence::Registered));
    }
}

/// The names of the environment variables of the server's container.
fn variables(set: &Value) -> Vec<&str> {
    let variables = set["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect()
}

/// Who applied a field of an object, and how: `manager/operation`.
async fn managers(stage: &Stage, kind: &str, name: &str) -> Vec<String> {
    let shown = stage.namespace.run(&["get", kind, name, "--show-managed-fields", "--output", "json"]).await.unwrap();
    let object: Value = serde_json::from_str(&shown).unwrap();
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
    entries
        .iter()
        .filter(|entry| entry.get("subresource").is_none())
        .map(|entry| format!("{}/{}", text(entry, "manager"), text(entry, "operation")))
        .collect()
}

/// The parts of a success that adoptions are about: revision, connection and notes.
#[track_caller]
fn adopted(outcome: Result<Success, Failure>) -> (u32, ConnectionReport, Vec<String>) {
    match outcome {
        Ok(Success::Deployed { revision, connection, notes, .. }) => (revision.0, connection, notes),
        other => panic!("not adopted: {other:?}"),
    }
}

impl Maker {
    /// A POST takes the deployment over under its names, and nothing that only its maker wrote is left.
    async fn check_adoption(self, stage: &Stage) {
        let request = || stage.request(&self.project());
        let old = self.deploy(stage, &request().build()).await;
        let (release, server) = (old.key.name.as_str(), old.server.as_str());
        stage.namespace.until_ready(server).await;
        assert_read(stage, &old).await;
        let before = (stage.namespace.get("statefulset", server).await, stage.claim(server).await, stage.airflow.login(&old.connection));
        assert!(variables(&before.0).contains(&OLD_VARIABLE));

        let (revision, connection, notes) = adopted(stage.deploy(request()).await);
        assert_eq!((revision, connection.id.as_ref()), (2, Some(&old.connection)), "{self:?}");
        assert!(notes.iter().any(|note| note.contains("its server was restarted")), "{notes:?}");
        let after = (stage.namespace.get("statefulset", server).await, stage.claim(server).await, stage.airflow.login(&old.connection));
        assert!(!variables(&after.0).contains(&OLD_VARIABLE), "{:?}", variables(&after.0));
        assert_eq!((uid(&after.1), &after.2), (uid(&before.1), &before.2), "data and login are kept");
        let labels = |object: &Value| object["spec"]["selector"].clone();
        assert_ne!(labels(&after.0), labels(&before.0));

        // No field is left that only its maker owned: the Service would go on selecting by the project.
        let service = stage.namespace.get("service", server).await;
        assert_eq!(service["spec"]["selector"].get("dbt-project"), None, "{service:#}");
        let config_map = format!("{server}-nginx-cm");
        for (kind, name) in [("service", server), ("serviceaccount", server), ("statefulset", server), ("configmap", &config_map)] {
            if stage.namespace.find(kind, name).await.is_some() {
                let managers = managers(stage, kind, name).await;
                assert!(managers.contains(&"helm/Apply".to_owned()), "{kind}: {managers:?}");
                assert!(!managers.contains(&"helm/Update".to_owned()), "{kind}: {managers:?}");
            }
        }
        assert_eq!(stage.history(release).await, history([(1, "superseded", "Install complete"), (2, "deployed", "Upgrade complete")]));

        // From now on it is one of ours, under its names.
        let found = stage.controller.find(&target(release)).await.unwrap();
        let facts = found.deployment.as_ref().unwrap();
        assert_eq!((facts.ours, facts.server.as_str(), facts.identity.as_ref()), (true, server, Some(&request().build().identity)));
        let Ok(Success::Deployed { unchanged: true, .. }) = stage.deploy(request()).await else { panic!("{self:?}: not unchanged") };
        let Ok(Success::Deleted { claims, connection }) = stage.delete(release).await else { panic!("{self:?}: not deleted") };
        assert_eq!(claims, [format!("{server}-{server}-0")]);
        assert_eq!((connection.id.as_ref(), connection.status), (Some(&old.connection), ConnectionOutcome::Deleted));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_adopts_a_deployment_under_its_old_names() {
    check_adoptions(&Stage::new().await).await;
}

/// With any engine.
pub(crate) async fn check_adoptions(stage: &Stage) {
    join_all(Maker::ALL.map(|maker| maker.check_adoption(stage))).await;
    stage.assert_nothing_left().await;
}

#[tokio::test]
async fn a_delete_removes_all_of_a_deployment_that_was_not_adopted() {
    let stage = Stage::new().await;
    for (maker, by_server) in [(Maker::ALL[0], false), (Maker::ALL[3], true)] {
        let old = maker.deploy(&stage, &stage.request(&maker.project()).build()).await;
        stage.namespace.until_ready(&old.server).await;
        let name = if by_server { old.server.as_str() } else { old.key.name.as_str() };
        let Ok(Success::Deleted { claims, connection }) = stage.delete(name).await else { panic!("not deleted") };
        assert_eq!(claims, [format!("{0}-{0}-0", old.server)]);
        assert_eq!((connection.id, connection.status), (Some(old.connection), ConnectionOutcome::Deleted));
        stage.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn an_adoption_that_does_not_work_brings_the_old_server_back() {
    check_failed_adoption(&Stage::new().await).await;
}

/// With any engine.
pub(crate) async fn check_failed_adoption(stage: &Stage) {
    let old = MAKER.deploy(stage, &stage.request("shop").build()).await;
    let (release, server) = (old.key.name.as_str(), old.server.as_str());
    stage.namespace.until_ready(server).await;
    let (claim, login, objects) = (stage.claim(server).await, stage.airflow.login(&old.connection), stage.leftovers().await);

    let outcome = stage.deploy(stage.request("shop").tag("missing-1")).await;
    assert_eq!(failure(outcome, FailureCode::ImagePullFailed, &["missing-1"]).undo, UndoOutcome::Undone);
    assert_read(stage, &old).await;
    assert_eq!(stage.inspect(release).await.server.phase, ServerPhase::Ready);
    assert!(variables(&stage.namespace.get("statefulset", server).await).contains(&OLD_VARIABLE));
    assert_eq!(stage.pod(server).await["spec"]["containers"][0]["image"], "4fastbi/dbt-api-server-core:0.9.0");
    assert_eq!((uid(&stage.claim(server).await), stage.airflow.login(&old.connection)), (uid(&claim), login));
    let lines = stage.history(release).await;
    let statuses: Vec<_> = lines.iter().map(|(_, status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["superseded", "failed", "deployed"]);
    assert_eq!(lines[2].2, "Rollback to 1");
    let records = (2..=3).map(|revision| format!("secret/sh.helm.release.v1.{release}.v{revision}"));
    let mut expected: Vec<_> = objects.into_iter().chain(records).collect();
    expected.sort();
    let mut left = stage.leftovers().await;
    left.sort();
    assert_eq!(left, expected, "the objects are the old ones");

    // It can still be adopted.
    assert_eq!(revision(stage.deploy(stage.request("shop")).await), 4);
    assert_eq!(uid(&stage.claim(server).await), uid(&claim));
}

/// The pod of a StatefulSet with such a name is never made, so nothing is adopted; the deployment gets a name of ours.
#[tokio::test]
async fn a_deployment_with_a_name_too_long_for_a_server_is_replaced_after_the_commit() {
    let stage = Stage::new().await;
    let project = "x".repeat(29);
    let old = MAKER.deploy(&stage, &stage.request(&project).build()).await;
    let release = old.key.name.as_str();
    assert_eq!(release.len(), 42);
    until_listed(&stage, release).await;
    assert_read(&stage, &old).await;

    let outcome = stage.deploy(stage.request(&project).tag("invalid-1")).await;
    assert_eq!(failure(outcome, FailureCode::ImagePullFailed, &[]).undo, UndoOutcome::Undone);
    assert_read(&stage, &old).await;

    let (revision, connection, notes) = adopted(stage.deploy(stage.request(&project)).await);
    assert_eq!(revision, 1);
    assert!(notes.iter().any(|note| note.contains(release) && note.contains("was removed")), "{notes:?}");
    let connections: Vec<_> = stage.airflow.ours().into_iter().map(|connection| connection.id).collect();
    assert_eq!(connections, [connection.id.unwrap()]);
    let names: Vec<_> = summaries(&stage).await.iter().map(|release| release.key.name.to_string()).collect();
    assert_eq!(names, [name(&project)]);
    stage.delete(&name(&project)).await.unwrap();
    stage.assert_nothing_left().await;
}

/// Waits until the service has seen a release that somebody else made.
async fn until_listed(stage: &Stage, release: &str) {
    until("the release is seen", async || {
        let releases = stage.controller.releases().await.unwrap();
        releases.iter().any(|seen| seen.key.name.as_str() == release && seen.status == ReleaseStatus::Deployed).then_some(())
    })
    .await;
}

#[tokio::test]
async fn other_peoples_releases_are_listed_and_never_touched() {
    let stage = Stage::new().await;
    // One has the name that a deployment of ours would get, one that of its object.
    let object = |name: &str| json!([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}]);
    let rivals = [(HelmVersion::V3, name("shop"), "other"), (HelmVersion::V4, "airflow".to_owned(), "dbt-server-market-main")];
    for (helm, release, config_map) in &rivals {
        install(stage.helm(*helm), release, &object(config_map)).await;
        until_listed(&stage, release).await;
    }
    let before = stage.namespace.list("configmaps", "app.kubernetes.io/name=raw").await;
    assert_eq!((before.len(), summaries(&stage).await.len()), (2, 0), "they are no deployments");

    for (_, release, _) in &rivals {
        let unknown = stage.delete(release).await.expect_err("it is not ours to delete");
        assert!(unknown.code == FailureCode::NotFound, "{unknown}");
    }
    // The plain name is taken, so the deployment gets its hashed one.
    assert_eq!(revision(stage.deploy(stage.request("shop")).await), 1);
    assert_eq!(revision(stage.deploy(stage.request("market")).await), 1);
    let identity = stage.request("shop").build().identity;
    let hashed = stage.controller.names(&identity).await.unwrap().deployed.unwrap().name;
    assert_eq!(hashed, identity.release_names()[1]);
    stage.delete(hashed.as_str()).await.unwrap();
    stage.delete(&name("market")).await.unwrap();
    assert_eq!(stage.namespace.list("configmaps", "app.kubernetes.io/name=raw").await, before);
    for (_, release, _) in &rivals {
        assert_eq!(stage.history(release).await.len(), 1);
    }
}
