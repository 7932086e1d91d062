//! A controller in a namespace of its own: the workflows, run by the test, over the adapters of the real cluster.
//!
//! Its Airflow is one in memory, so that there is a connect step. Its windows are short, since the pods of this cluster are quick.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_helm::{CommandInstaller, Helm as HelmProgram, NativeInstaller, Overlay, ServerSettings};
use dbt_controller_adapters_k8s::{KubeCluster, KubeOperationStore, StoreSettings};
use dbt_controller_adapters_memory::{Airflow, MemoryWorld, WorldOptions};
use dbt_controller_domain::model::*;
use dbt_controller_domain::ports::{ChartInstaller, Clock};
use dbt_controller_domain::{Controller, Ports};
use dbt_controller_kube_access::Barrier;
use dbt_controller_port_contracts::fixtures::{self, RequestBuilder};
use dbt_controller_tests::{Helm, HelmVersion, Namespace, until};
use serde_json::Value;

use super::role;
use crate::client::{WallClock, client};

/// What the log of every failing server shows.
pub(crate) const CANARY: &str = "CANARY-git-password";
/// For how long an image may fail to be pulled.
pub(crate) const PULL_ERROR_WINDOW: Duration = Duration::from_secs(3);

/// What is left of a namespace in which nobody has deployed anything: what every one has, and our account.
const BARE: &[&str] = &["configmap/kube-root-ca.crt", "serviceaccount/controller", "serviceaccount/default"];
/// The kinds of which deployments have objects.
const KINDS: &str = "statefulsets,pods,services,configmaps,secrets,serviceaccounts,persistentvolumeclaims,ingresses";

/// A controller in a fresh namespace, with a human who has both Helms.
pub(crate) struct Stage {
    pub(crate) namespace: Namespace,
    pub(crate) controller: Arc<Controller>,
    pub(crate) airflow: Airflow,
    helms: [Helm; 2],
}

/// How a stage differs from the usual one.
pub(crate) struct Setup {
    /// How servers are made.
    pub(crate) server: ServerSettings,
    /// How long a deploy may take.
    pub(crate) deploy_timeout: Duration,
    /// How long an undo may wait for the old server.
    pub(crate) undo_timeout: Duration,
    /// The helm program that writes releases; none for the native engine.
    pub(crate) helm: Option<HelmProgram>,
}

/// A line of `helm history`: revision, status and description.
pub(crate) type Line = (u64, String, String);

impl Default for Setup {
    fn default() -> Self {
        Self {
            server: ServerSettings::default(),
            deploy_timeout: Duration::from_secs(90),
            undo_timeout: Duration::from_secs(30),
            helm: None,
        }
    }
}

impl Setup {
    /// With an overlay over the StatefulSets: their spec.
    pub(crate) fn overlaid(spec: &Value) -> Self {
        let object = serde_json::json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": spec});
        let server = ServerSettings { overlay: Overlay::parse(&object.to_string()).unwrap(), ..ServerSettings::default() };
        Self { server, ..Self::default() }
    }
}

impl Stage {
    /// The usual one.
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        Self::wrapped(setup, |ports, _| ports).await
    }

    /// One whose ports are what a function makes of the real ones.
    pub(crate) async fn wrapped(setup: Setup, wrap: impl FnOnce(Ports, &Namespace) -> Ports) -> Self {
        let namespace = Namespace::create().await;
        let names = [name_of(&namespace)];
        let world = MemoryWorld::new(WorldOptions::default());
        let settings = Settings {
            deploy_timeout: setup.deploy_timeout,
            undo_timeout: setup.undo_timeout,
            patience: Patience { pull_error_window: PULL_ERROR_WINDOW, no_pod_window: Duration::from_secs(1), ..Patience::default() },
            ..Settings::new(names[0].clone())
        };

        // With what the shipped Role lets it do, and no more.
        let account = role::account(&namespace, role::shipped(&namespace).await).await;
        let client = client(account.kubeconfig()).await;
        let clock: Arc<dyn Clock> = Arc::new(WallClock);
        let cluster = Arc::new(KubeCluster::start(client.clone(), &names, Arc::clone(&clock)));
        let barrier = Arc::clone(&cluster) as Arc<dyn Barrier>;
        let installer = NativeInstaller::start(client.clone(), &names, setup.server, barrier, Arc::clone(&clock));
        let store = StoreSettings::new(settings.lock_stale_after);
        let operations = Arc::new(KubeOperationStore::start(client, &names[0], store));
        until("everything was read once", async || {
            (cluster.synced().is_ok() && installer.synced().is_ok() && operations.synced().is_ok()).then_some(())
        })
        .await;
        let installer: Arc<dyn ChartInstaller> = match setup.helm {
            Some(helm) => Arc::new(CommandInstaller::new(installer, helm)),
            None => Arc::new(installer),
        };

        let ports =
            Ports { installer, cluster, connections: Some(world.connections()), events: None, operations, clock, random: world.random() };
        let controller = Controller::new(wrap(ports, &namespace), settings);
        let helms = HelmVersion::ALL.map(|version| Helm::new(version, &namespace));
        Self { namespace, controller, airflow: world.airflow(), helms }
    }

    /// A request for the branch `main` of a project. Its Git URL has the password that servers print.
    pub(crate) fn request(&self, project: &str) -> RequestBuilder {
        let url = format!("https://bot:{CANARY}@git.example.com/team/project.git");
        fixtures::request(project, Some("main")).namespace(self.namespace.name()).git_url(&url)
    }

    pub(crate) async fn deploy(&self, request: RequestBuilder) -> Result<Success, Failure> {
        let ticket = self.controller.deploy(request.build(), fixtures::caller()).await?;
        self.controller.wait(&ticket).await?.outcome.clone()
    }

    /// The operation of a deploy, ended.
    pub(crate) async fn operation(&self, request: RequestBuilder) -> Arc<FinishedOperation> {
        let ticket = self.controller.deploy(request.build(), fixtures::caller()).await.unwrap();
        self.controller.wait(&ticket).await.unwrap()
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<Success, Failure> {
        let ticket = self.controller.delete(&target(name), fixtures::caller()).await?;
        self.controller.wait(&ticket).await?.outcome.clone()
    }

    pub(crate) async fn inspect(&self, name: &str) -> Deployment {
        self.controller.inspect(&target(name)).await.unwrap()
    }

    /// The human's Helm of this version.
    pub(crate) fn helm(&self, version: HelmVersion) -> &Helm {
        &self.helms[version as usize]
    }

    /// `helm history`, on which both Helms agree.
    pub(crate) async fn history(&self, release: &str) -> Vec<Line> {
        let [three, four] = &self.helms;
        let history = lines(three.history(release).await);
        assert_eq!(history, lines(four.history(release).await), "Helm 3 and Helm 4");
        history
    }

    /// The server's pod.
    pub(crate) async fn pod(&self, server: &str) -> Value {
        self.namespace.get("pod", &format!("{server}-0")).await
    }

    /// The server's claim.
    pub(crate) async fn claim(&self, server: &str) -> Value {
        self.namespace.get("persistentvolumeclaim", &format!("{server}-{server}-0")).await
    }

    /// What there is of deployments: objects, records and connections, as `kind/name`.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        let shown = self.namespace.run(&["get", KINDS, "--output", "name"]).await.unwrap();
        let is_left = |object: &&str| !BARE.contains(object) && !object.starts_with("secret/dbt-controller-op.");
        let connections = self.airflow.ours().into_iter().map(|connection| format!("connection/{}", connection.id));
        shown.lines().filter(is_left).map(str::to_owned).chain(connections).collect()
    }

    /// Claims end by themselves once they are deleted; nothing else may be there any more.
    pub(crate) async fn assert_nothing_left(&self) {
        until("the claims are gone", async || self.namespace.list("persistentvolumeclaims", "").await.is_empty().then_some(())).await;
        assert_eq!(self.leftovers().await, Vec::<String>::new());
    }
}

/// The domain's name of a namespace.
pub(crate) fn name_of(namespace: &Namespace) -> dbt_controller_domain::model::Namespace {
    namespace.name().parse().unwrap()
}

/// Our name of the release of a project's branch `main`, and of its server.
pub(crate) fn name(project: &str) -> String {
    format!("dbt-server-{project}-main")
}

pub(crate) fn target(name: &str) -> Target {
    Target { name: name.to_owned(), namespace: None }
}

/// An object's uid.
#[track_caller]
pub(crate) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap()
}

/// Lines of a history for comparison.
pub(crate) fn history<const N: usize>(lines: [(u64, &str, &str); N]) -> Vec<Line> {
    lines.into_iter().map(|(revision, status, description)| (revision, status.to_owned(), description.to_owned())).collect()
}

#[track_caller]
pub(crate) fn revision(outcome: Result<Success, Failure>) -> u32 {
    match outcome {
        Ok(Success::Deployed { revision, .. }) => revision.0,
        other => panic!("expected a deployment, not {other:?}"),
    }
}

/// The failure, if it has this code and its message has these words.
#[track_caller]
pub(crate) fn failure(outcome: Result<Success, Failure>, code: FailureCode, words: &[&str]) -> Failure {
    let failure = outcome.expect_err("it should not have worked");
    assert_eq!(failure.code, code, "{failure}");
    for word in words {
        assert!(failure.message.contains(word), "no `{word}` in: {}", failure.message);
    }
    failure
}

fn lines(history: Vec<Value>) -> Vec<Line> {
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    history.iter().map(|line| (line["revision"].as_u64().unwrap(), text(line, "status"), text(line, "description"))).collect()
}
