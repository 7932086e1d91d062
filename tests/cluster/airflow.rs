//! The whole service between the control plane and a real Airflow.

use std::path::PathBuf;
use std::time::Duration;

use dbt_controller_tests::airflow::{Server, admin as login, api, tables};
use dbt_controller_tests::{Namespace, Service, until, until_within};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::support::site::{admin, body, path, serve};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";
const CONNECTION: &str = "test_project_main";

/// A namespace, and what a service needs that works there.
struct Stage {
    namespace: Namespace,
    kubeconfig: PathBuf,
    _files: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let namespace = Namespace::create().await;
        let files = TempDir::new().unwrap();
        let kubeconfig = admin(&namespace, &files);
        Self { namespace, kubeconfig, _files: files }
    }

    async fn service(&self, airflow_url: &str) -> Service {
        let (user, password) = login();
        let settings = [
            ("AIRFLOW_URL", airflow_url),
            ("AIRFLOW_USER", &user),
            ("AIRFLOW_PASSWORD", &password),
            ("SLEEP_WITH_DAGS", "true"),
            ("LOCK_STALE_AFTER", "6s"),
        ];
        serve(&self.namespace, &self.kubeconfig, &settings).await
    }

    /// Replicas, and what is noted of the DAGs.
    async fn server(&self) -> Option<(u64, String)> {
        let set = self.namespace.find("statefulset", RELEASE).await?;
        let noted = set["metadata"]["annotations"]["dbt-controller.fast.bi/dag-state"].as_str().unwrap_or_default().to_owned();
        Some((set["spec"]["replicas"].as_u64().unwrap(), noted))
    }

    async fn until_server(&self, replicas: u64, noted: &str) {
        let wanted = Some((replicas, noted.to_owned()));
        // Longer than the time between two looks at the DAGs.
        until_within(Duration::from_secs(90), "the server follows", async || (self.server().await == wanted).then_some(())).await;
    }
}

#[tokio::test]
async fn what_airflow_could_not_take_is_removed_after_a_restart_of_the_service() {
    let (stage, airflow) = (Stage::new().await, Server::start(&[]).await);
    let url = airflow.url.clone();
    let service = stage.service(&url).await;
    let deployed = service.post("/api/v1/deployments", &body(PROJECT)).await.expect(200).json();
    assert_eq!(deployed["details"]["airflow_connection"]["status"], "created", "{deployed:#}");
    let row = tables::row(&airflow, CONNECTION).await.unwrap();
    assert_eq!(row["host"], deployed["details"]["airflow_connection"]["host"]);

    let again = airflow.stop().await;
    let deleted = service.delete(&path(RELEASE)).await.expect(200).json();
    assert_eq!(deleted["details"]["airflow_connection"]["status"], "error", "{deleted:#}");
    service.signal(Signal::KILL);
    drop(service);

    let airflow = Server::start(&[&again[0], &again[1]]).await;
    assert!(tables::row(&airflow, CONNECTION).await.is_some());
    let _service = stage.service(&url).await;
    until_within(Duration::from_secs(60), "the connection is gone", async || {
        tables::row(&airflow, CONNECTION).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_follows_its_dags_over_restarts_of_the_service() {
    let (stage, airflow) = (Stage::new().await, Server::start(&[]).await);
    let pause = async |paused| tables::set_dag(&airflow, "sleeper", &format!("Release: {RELEASE}"), paused).await;
    let all_paused = async |paused| {
        for dag in ["daily_test_project_main", "weekly_test_project_main"] {
            api::pause(&airflow, dag, true).await;
        }
        pause(paused).await;
    };
    all_paused(false).await;
    let mut service = stage.service(&airflow.url).await;
    drop(service.post("/api/v1/deployments", &body(PROJECT)).await.expect(200));
    assert_eq!(stage.server().await, Some((1, "some-active".to_owned())));
    // A changed POST writes the StatefulSet, and the note stays.
    let mut changed = body(PROJECT);
    changed["worker_num"] = json!(11);
    drop(service.post("/api/v1/deployments", &changed).await.expect(200));
    assert_eq!(stage.server().await, Some((1, "some-active".to_owned())));

    for (paused, replicas, noted) in [(true, 0, "all-paused"), (false, 1, "some-active")] {
        service.signal(Signal::TERM);
        service.ended().await;
        pause(paused).await;
        // What it saw last is on the server; so it sees the change, although it was not there.
        service = stage.service(&airflow.url).await;
        stage.until_server(replicas, noted).await;
    }
    let is_ready = async || {
        let shown = service.get(&path(RELEASE)).await.expect(200).json();
        (shown["server"]["phase"] == "ready").then_some(())
    };
    until("it runs again", is_ready).await;
}
