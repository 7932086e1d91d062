//! An application for tests: in memory, with a token, and with time that stands still unless nothing else can happen.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use actix_web::body::{MessageBody, to_bytes};
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, init_service, try_call_service};
use actix_web::web::Data;
use dbt_controller_adapters_memory::{ForeignRelease, MemoryWorld, WorldOptions};
use dbt_controller_domain::model::{CloudProvider, HostTemplate, ReleaseKey, Settings};
use dbt_controller_domain::ports::Clock;
use dbt_controller_domain::{Controller, Ports};
use dbt_controller_http_api::{ApiSettings, ApiState, RequestDefaults, ServiceInfo, Tokens, create_app, openapi_document};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The token of the tests.
pub(crate) const TOKEN: &str = "current-t0ken";
/// The token before it.
pub(crate) const PREVIOUS_TOKEN: &str = "previous-t0ken";

/// The release of the body that [`body`] makes.
pub(crate) const RELEASE: &str = "dbt-server-test-project-main";

/// An application and the world under it.
pub(crate) struct TestApp {
    pub(crate) world: MemoryWorld,
    pub(crate) controller: Arc<Controller>,
    pub(crate) stop: CancellationToken,
    state: Data<ApiState>,
    background: tokio::task::JoinHandle<()>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl TestApp {
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, |_| {})
    }

    /// An application with other settings.
    pub(crate) fn with(change: impl FnOnce(&mut ApiSettings), change_domain: impl FnOnce(&mut Settings)) -> Self {
        Self::made(change, change_domain, |_| {})
    }

    /// An application that works without Airflow.
    pub(crate) fn without_airflow() -> Self {
        Self::made(|_| {}, |_| {}, |ports| ports.connections = None)
    }

    fn made(
        change: impl FnOnce(&mut ApiSettings),
        change_domain: impl FnOnce(&mut Settings),
        change_ports: impl FnOnce(&mut Ports),
    ) -> Self {
        let world = MemoryWorld::new(WorldOptions { namespaces: namespaces(), ..WorldOptions::default() });
        let mut ports = Ports {
            installer: world.installer(),
            cluster: world.cluster(),
            connections: Some(world.connections()),
            events: None,
            operations: world.operations(),
            clock: world.clock(),
            random: world.random(),
        };
        change_ports(&mut ports);
        let mut settings = domain_settings();
        change_domain(&mut settings);
        let controller = Controller::new(ports, settings);
        let mut api = api_settings(world.clock());
        change(&mut api);
        let stop = CancellationToken::new();
        let state = ApiState::new(Arc::clone(&controller), api, stop.clone());
        let background = tokio::spawn({
            let controller = Arc::clone(&controller);
            async move { controller.run_background().await }
        });
        Self { world, controller, stop, state, background }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: TestRequest) -> Reply {
        let service = init_service(create_app(&self.state)).await;
        let request = request.to_request();
        let (method, path) = (request.method().as_str().to_lowercase(), request.path().to_owned());
        let reply = match try_call_service(&service, request).await {
            Ok(response) => {
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                Reply { status, headers, bytes: read(response.into_body()).await }
            }
            Err(error) => {
                let response = error.error_response();
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                Reply { status, headers, bytes: read(response.into_body()).await }
            }
        };
        check_documented(&method, &path, reply.status);
        reply
    }

    /// Sends a request with the token.
    pub(crate) async fn call(&self, method: Method, path: &str) -> Reply {
        self.send(request(method, path)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path).await
    }

    /// Posts a body.
    pub(crate) async fn deploy(&self, body: &Value) -> Reply {
        self.send(request(Method::POST, "/api/v1/deployments").set_json(body)).await
    }

    /// Posts a body and asks for a receipt.
    pub(crate) async fn deploy_async(&self, body: &Value) -> Reply {
        self.send(request(Method::POST, "/api/v1/deployments").insert_header(("Prefer", "respond-async")).set_json(body)).await
    }
}

/// Every answer of a documented operation must have a documented status, whichever test it is that asks.
fn check_documented(method: &str, path: &str, status: u16) {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi_document);
    let fits = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len()
            && template.iter().zip(&path).all(|(part, given)| part.starts_with('{') && !given.is_empty() || part == given)
    };
    let mut templates: Vec<_> = DOCUMENT["paths"].as_object().unwrap().iter().filter(|(template, _)| fits(template)).collect();
    // Of `/projects/all` and `/projects/{name}`, the plain one is meant.
    templates.sort_by_key(|(template, _)| template.contains('{'));
    let Some(operation) = templates.first().and_then(|(_, item)| item.get(method)) else { return };
    let is_documented = operation["responses"].get(status.to_string()).is_some() || status == 406;
    assert!(is_documented, "{method} {path} answered {status}, which is not documented");
}

async fn read(body: impl MessageBody) -> Vec<u8> {
    let bytes: Result<_, Box<dyn std::error::Error>> = to_bytes(body).await.map_err(Into::into);
    bytes.unwrap().to_vec()
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.background.abort();
    }
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The JSON body of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// The body of an error with this status and code, in the contract's shape.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["details"]["code"], code, "{body}");
        assert_eq!(body["status"], "error", "{body}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        assert!(body["details"]["error"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        body
    }
}

/// A request with the token.
pub(crate) fn request(method: Method, path: &str) -> TestRequest {
    TestRequest::with_uri(path).method(method).insert_header(("Authorization", format!("Bearer {TOKEN}")))
}

/// The body that the README shows.
pub(crate) fn body() -> Value {
    json!({ "project_name": "test-project", "git_branch": "main" })
}

/// The body of another project.
pub(crate) fn body_of(project: &str) -> Value {
    json!({ "project_name": project, "git_branch": "main" })
}

/// The key of the release that [`body`] makes.
pub(crate) fn key() -> ReleaseKey {
    ReleaseKey { namespace: "dbt-server".parse().unwrap(), name: RELEASE.parse().unwrap() }
}

/// Settings for servers in tests.
pub(crate) fn api_settings(clock: Arc<dyn Clock>) -> ApiSettings {
    ApiSettings {
        tokens: Tokens::new(&TOKEN.into(), Some(&PREVIOUS_TOKEN.into())).unwrap(),
        cors_origins: vec!["*".to_owned()],
        defaults: RequestDefaults {
            namespaces: namespaces(),
            customer: Some("acme".parse().unwrap()),
            domain: Some("example.com".parse().unwrap()),
            host_template: HostTemplate::default(),
            tag: Some("v1".to_owned()),
            cloud_provider: CloudProvider::Gcp,
            service_account: None,
            sizes: BTreeMap::new(),
        },
        requests_per_second: 1_000_000,
        info: ServiceInfo {
            version: "1.2.3".to_owned(),
            build: "abc".to_owned(),
            settings: BTreeMap::from([("PORT".to_owned(), "6798".to_owned())]),
        },
        clock,
        workers: Some(1),
        max_connections: 1000,
    }
}

fn namespaces() -> Vec<dbt_controller_domain::model::Namespace> {
    vec!["dbt-server".parse().unwrap(), "data".parse().unwrap()]
}

fn domain_settings() -> Settings {
    Settings { namespaces: namespaces(), ..Settings::new("dbt-server".parse().unwrap()) }
}

/// Plants a Helm release that is no deployment.
pub(crate) fn plant_other_release(world: &MemoryWorld, name: &str) {
    let key = ReleaseKey { namespace: "dbt-server".parse().unwrap(), name: name.parse().unwrap() };
    world.releases().install(ForeignRelease::new(key)).unwrap();
}
