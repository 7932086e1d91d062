//! One or more controllers over one world.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_adapters_memory::{MemoryWorld, WorldOptions};
use dbt_controller_domain::model::*;
use dbt_controller_domain::naming::Identity;
use dbt_controller_domain::ports::OperationStore;
use dbt_controller_domain::{Controller, Ports};

pub(crate) struct Stage {
    pub(crate) world: MemoryWorld,
    pub(crate) controller: Arc<Controller>,
}

pub(crate) fn settings() -> Settings {
    Settings {
        namespaces: vec!["dbt-server".parse().unwrap(), "data".parse().unwrap()],
        deploy_timeout: Duration::from_secs(1800),
        undo_timeout: Duration::from_secs(300),
        max_concurrent: 20,
        max_queued: 200,
        operation_retention: Duration::from_secs(3600),
        lock_stale_after: Duration::from_secs(30),
        patience: Patience::default(),
    }
}

pub(crate) fn world() -> MemoryWorld {
    MemoryWorld::new(WorldOptions { namespaces: settings().namespaces, ..WorldOptions::default() })
}

/// A replica of the service on this world.
pub(crate) fn replica(world: &MemoryWorld, operations: Arc<dyn OperationStore>, settings: Settings) -> Arc<Controller> {
    let ports = Ports {
        installer: world.installer(),
        cluster: world.cluster(),
        connections: Some(world.connections()),
        operations,
        clock: world.clock(),
        random: world.random(),
    };
    Controller::new(ports, settings)
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let world = world();
        let controller = replica(&world, world.operations(), settings);
        Self { world, controller }
    }

    pub(crate) async fn deploy(&self, request: DeployRequest) -> Result<Success, Failure> {
        deploy(&self.controller, request).await
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<Success, Failure> {
        let ticket = self.controller.delete(&target(name), caller()).await?;
        self.controller.wait(&ticket).await?.outcome.clone()
    }

    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.world.leftovers(), Vec::<String>::new());
    }
}

pub(crate) async fn deploy(controller: &Arc<Controller>, request: DeployRequest) -> Result<Success, Failure> {
    let ticket = controller.deploy(request, caller()).await?;
    controller.wait(&ticket).await?.outcome.clone()
}

pub(crate) fn target(name: &str) -> Target {
    Target { name: name.to_owned(), namespace: None }
}

pub(crate) fn caller() -> Caller {
    Caller { request_id: "request-1".to_owned(), actor: "current".to_owned() }
}

pub(crate) fn key(name: &str) -> ReleaseKey {
    ReleaseKey { namespace: "dbt-server".parse().unwrap(), name: name.parse().unwrap() }
}

pub(crate) fn server(name: &str) -> ServerKey {
    ServerKey { namespace: "dbt-server".parse().unwrap(), name: name.parse().unwrap() }
}

pub(crate) fn request(project: &str, branch: Option<&str>, tag: &str) -> DeployRequest {
    DeployRequest {
        identity: Identity::parse(project, branch).unwrap(),
        namespace: "dbt-server".parse().unwrap(),
        customer: "acme".parse().unwrap(),
        domain: "example.com".parse().unwrap(),
        image: Image { repository: "4fastbi".to_owned(), name: "dbt-api-server-core".to_owned(), tag: tag.to_owned() },
        environment: Environment::Prod,
        cloud_provider: CloudProvider::Gcp,
        warehouse: Some(Warehouse::Bigquery),
        https_enabled: false,
        git: GitSource {
            dbt_repo_name: String::new(),
            gitlink_secret: "https://bot:git-canary@git.example.com/r.git".into(),
            gitlink_deploy_key: "EMPTY".into(),
            package_repo_token: "".into(),
            package_repo_token_name: String::new(),
        },
        credentials: RequestedCredentials::default(),
        service_account: None,
        options: ServerOptions {
            worker_num: 10,
            max_requests: 35,
            enable_ddtrace: false,
            debug: false,
            celery_log_level: CeleryLogLevel::Error,
            cicd_env_key: "ENV".to_owned(),
            cicd_env_value: "prod".to_owned(),
            app_version: "1.0.0".to_owned(),
        },
        resources: Resources {
            cpu_request: "1500m".parse().unwrap(),
            cpu_limit: "3500m".parse().unwrap(),
            memory_request: "2Gi".parse().unwrap(),
            memory_limit: "6Gi".parse().unwrap(),
            storage_size: "1Gi".parse().unwrap(),
        },
    }
}

pub(crate) const NAME: &str = "dbt-server-test-project-main";

pub(crate) fn main_request(tag: &str) -> DeployRequest {
    request("test-project", Some("main"), tag)
}

#[track_caller]
pub(crate) fn revision(outcome: Result<Success, Failure>) -> u32 {
    match outcome {
        Ok(Success::Deployed { revision, .. }) => revision.0,
        other => panic!("expected a deployment, not {other:?}"),
    }
}

#[track_caller]
pub(crate) fn code(outcome: Result<Success, Failure>) -> FailureCode {
    match outcome {
        Err(failure) => failure.code,
        Ok(success) => panic!("expected a failure, not {success:?}"),
    }
}
