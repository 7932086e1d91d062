//! Fixtures of the unit tests.

use jiff::Timestamp;

use crate::model::*;
use crate::naming::Identity;

pub(crate) fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub(crate) fn identity() -> Identity {
    Identity::parse("test-project", Some("main")).unwrap()
}

pub(crate) fn key() -> ReleaseKey {
    ReleaseKey { namespace: "dbt-server".parse().unwrap(), name: "dbt-server-test-project-main".parse().unwrap() }
}

pub(crate) fn server_key() -> ServerKey {
    ServerKey { namespace: key().namespace, name: ServerName::from(&key().name) }
}

pub(crate) fn operation(id: &str) -> OperationId {
    id.parse().unwrap()
}

pub(crate) fn caller() -> Caller {
    Caller { request_id: "request-1".to_owned(), actor: "current".to_owned() }
}

pub(crate) fn credentials(password: &str) -> Credentials {
    Credentials { user: "dbt_server_agent_abcde".to_owned(), password: password.into() }
}

pub(crate) fn request() -> DeployRequest {
    DeployRequest {
        identity: identity(),
        namespace: "dbt-server".parse().unwrap(),
        customer: "acme".parse().unwrap(),
        domain: "example.com".parse().unwrap(),
        host_template: HostTemplate::default(),
        image: Image { repository: "4fastbi".to_owned(), name: "dbt-api-server-core".to_owned(), tag: "v1".to_owned() },
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

/// A release of our own in this state, as the newest revision.
pub(crate) fn release(revision: u32, status: ReleaseStatus) -> Release {
    let request = request();
    Release {
        summary: ReleaseSummary {
            key: key(),
            revision: RevisionNumber(revision),
            status,
            standing: Standing::of([(RevisionNumber(revision), status)]),
            chart: "dbt-server-0.1.0".to_owned(),
            app_version: "1.0.0".to_owned(),
            first_deployed: now(),
            last_deployed: now(),
            helm_uninstalls_since: None,
            kinds: vec!["StatefulSet".to_owned()],
            deployment: Some(DeploymentFacts {
                identity: Some(identity()),
                ours: true,
                home: None,
                server: ServerName::from(&key().name),
                connection_id: Some("test_project_main".parse().unwrap()),
                host: request.host(&server_key()),
                url: request.invocations_url(&server_key()),
                image: request.image.to_string(),
                storage: Some("1Gi".parse().unwrap()),
                request_hash: Some(request.hash()),
                manifest_hash: Some(ManifestHash("old".to_owned())),
                operation: Some(operation("op-before")),
            }),
            unreadable: None,
        },
        credentials: Some(credentials("old-password")),
        values: serde_json::Value::Null,
        redactor: Redactor::default(),
    }
}

/// A server with one pod of this revision.
pub(crate) fn server(update_revision: &str, pod: Option<PodState>) -> ServerState {
    let ready = pod.as_ref().is_some_and(|pod| pod.ready && pod.revision == update_revision);
    ServerState {
        stateful_set: Some(StatefulSetState {
            generation: 1,
            observed_generation: 1,
            replicas: 1,
            ready_replicas: u32::from(ready),
            updated_replicas: u32::from(pod.as_ref().is_some_and(|pod| pod.revision == update_revision)),
            current_revision: update_revision.to_owned(),
            update_revision: update_revision.to_owned(),
            created_at: now(),
            release: Some(key()),
            pod_refusal: None,
            dag_state: None,
        }),
        pods: pod.into_iter().collect(),
    }
}

pub(crate) fn pod(revision: &str, container: ContainerState) -> PodState {
    PodState {
        name: "dbt-server-test-project-main-0".to_owned(),
        uid: "uid-1".to_owned(),
        revision: revision.to_owned(),
        ready: container.ready,
        created_at: now(),
        terminating: false,
        unschedulable: None,
        volume_failure: None,
        containers: vec![container],
    }
}

pub(crate) fn running(ready: bool) -> ContainerState {
    ContainerState { name: "dbt-server".to_owned(), ready, restarts: 0, status: ContainerStatus::Running { since: now() }, last_exit: None }
}

pub(crate) fn waiting(reason: &str) -> ContainerState {
    let status = ContainerStatus::Waiting { reason: reason.to_owned(), message: "the cluster's words".to_owned(), since: now() };
    ContainerState { status, ..running(false) }
}

pub(crate) fn ready_server() -> ServerState {
    server("r1", Some(pod("r1", running(true))))
}

pub(crate) fn queued(id: &str, identity: &Identity, task: Task) -> QueuedOperation {
    let info = OperationInfo {
        id: operation(id),
        kind: task.kind(),
        key: key(),
        identity: Some(identity.clone()),
        task_hash: task.hash(),
        caller: caller(),
        submitted_at: now(),
    };
    QueuedOperation { info, task }
}

pub(crate) fn deploy_task() -> Task {
    Task::Deploy(Box::new(request()))
}

/// A deploy that changes the login.
pub(crate) fn new_login_task() -> Task {
    let mut wished = request();
    wished.credentials.password = Some("wished-password".into());
    Task::Deploy(Box::new(wished))
}
