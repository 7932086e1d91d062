//! What a revision holds: a request of ours, or what somebody else installed.

use std::fmt::Write as _;
use std::sync::Arc;

use dbt_controller_domain::model::{
    Credentials, DeployRequest, DeploymentFacts, DesiredRelease, GitSource, Image, ManifestHash, Namespace, OperationId, Redactor,
    ReleaseKey, RequestHash, RequestedCredentials, Resources, ServerKey, ServerName, ServerOptions,
};
use dbt_controller_domain::naming::ConnectionId;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::servers::{Fate, FixedFields, PodTemplate, Selector, ServerSpec};

/// `<chart>-<version>` of our releases.
const CHART: &str = "dbt-server-0.1.0";
/// The `appVersion` of that chart.
const APP_VERSION: &str = "1.0.0";

/// What a revision holds. Values and objects are made from it when somebody asks, so that a thousand releases stay small.
#[derive(Debug)]
pub(crate) enum Content {
    Ours(Box<OurContent>),
    Foreign(Box<ForeignRelease>),
}

#[derive(Debug)]
pub(crate) struct OurContent {
    pub(super) home: Namespace,
    pub(super) server: ServerName,
    pub(super) request: DeployRequest,
    pub(super) credentials: Credentials,
    pub(super) connection_id: Option<ConnectionId>,
    pub(super) request_hash: RequestHash,
    pub(super) manifest_hash: ManifestHash,
}

/// A Helm release that somebody else installed.
#[derive(Debug, Clone)]
pub struct ForeignRelease {
    /// Which release.
    pub key: ReleaseKey,
    /// `<chart>-<version>`.
    pub chart: String,
    /// The chart's `appVersion`.
    pub app_version: String,
    /// Its objects as `Kind/name`, in Helm's order.
    pub objects: Vec<String>,
    /// What makes it a deployment, if it is one.
    pub server: Option<ForeignServer>,
    /// Why its record cannot be read, if so.
    pub unreadable: Option<String>,
}

/// A dbt server of a release that we did not write.
#[derive(Debug, Clone)]
pub struct ForeignServer {
    /// What its manifest tells.
    pub facts: DeploymentFacts,
    /// The login in its Secret.
    pub credentials: Option<Credentials>,
}

// === impl ForeignRelease ===

impl ForeignRelease {
    /// A release that is no deployment: some other chart with a Service and a Deployment.
    pub fn new(key: ReleaseKey) -> Self {
        let objects = vec![format!("Service/{}", key.name), format!("Deployment/{}", key.name)];
        Self { key, chart: "other-chart-1.2.3".to_owned(), app_version: "4.5.6".to_owned(), objects, server: None, unreadable: None }
    }

    /// A release as the replaced service made it: the objects have `dbt-server-` before the release's name, and the connection has the
    /// release's name as its id. Change its fields for other cases.
    pub fn of_replaced_service(key: ReleaseKey, request: &DeployRequest, credentials: Credentials) -> Self {
        let name = format!("dbt-server-{}", key.name);
        let server: ServerName = name.parse().expect("the replaced service cut its release names to fit");
        let host = if request.https_enabled {
            format!("{name}.{}.{}", request.customer, request.domain)
        } else {
            format!("{name}.{}.svc.cluster.local", key.namespace)
        };
        let scheme = if request.https_enabled { "https" } else { "http" };
        let facts = DeploymentFacts {
            // Its labels tell a form of the project only; the name tells who may adopt it.
            identity: None,
            ours: false,
            home: None,
            connection_id: key.name.as_str().parse().ok(),
            url: format!("{scheme}://{host}/invocations"),
            host,
            image: request.image.to_string(),
            storage: Some(request.resources.storage_size.clone()),
            request_hash: None,
            manifest_hash: None,
            operation: None,
            server,
        };
        Self {
            objects: object_names(&facts.server, &key, request.https_enabled),
            key,
            chart: "raw-0.2.5".to_owned(),
            app_version: "0.2.3".to_owned(),
            server: Some(ForeignServer { facts, credentials: Some(credentials) }),
            unreadable: None,
        }
    }
}

// === impl Content ===

impl Content {
    /// What `begin` would record.
    pub(crate) fn desired(desired: &DesiredRelease) -> Arc<Self> {
        let DesiredRelease { key, home, server, request, credentials, connection_id, after: _, operation: _ } = desired;
        let request_hash = request.hash();
        // Objects have the login that was resolved, however it was asked for.
        let login = RequestedCredentials { user: Some(credentials.user.clone()), password: Some(credentials.password.clone()) };
        let resolved = DeployRequest { credentials: login, ..request.clone() }.hash();
        let manifest_hash = ManifestHash(digest([
            key.namespace.as_str(),
            key.name.as_str(),
            server.as_str(),
            resolved.as_str(),
            connection_id.as_ref().map_or("", ConnectionId::as_str),
        ]));
        Arc::new(Self::Ours(Box::new(OurContent {
            home: home.clone(),
            server: server.clone(),
            request: request.clone(),
            credentials: credentials.clone(),
            connection_id: connection_id.clone(),
            request_hash,
            manifest_hash,
        })))
    }

    pub(crate) fn chart(&self) -> &str {
        match self {
            Self::Ours(_) => CHART,
            Self::Foreign(release) => &release.chart,
        }
    }

    pub(crate) fn app_version(&self) -> &str {
        match self {
            Self::Ours(_) => APP_VERSION,
            Self::Foreign(release) => &release.app_version,
        }
    }

    /// Its objects as `Kind/name`, in Helm's order.
    pub(crate) fn objects(&self, key: &ReleaseKey) -> Vec<String> {
        match self {
            Self::Ours(ours) => object_names(&ours.server, key, ours.request.https_enabled),
            Self::Foreign(release) => release.objects.clone(),
        }
    }

    pub(crate) fn unreadable(&self) -> Option<&String> {
        match self {
            Self::Ours(_) => None,
            Self::Foreign(release) => release.unreadable.as_ref(),
        }
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Ours(ours) => Some(&ours.credentials),
            Self::Foreign(release) => release.server.as_ref()?.credentials.as_ref(),
        }
    }

    /// Replaces the secrets it holds.
    pub(crate) fn redactor(&self) -> Redactor {
        match self {
            Self::Ours(ours) => ours.request.redactor(Some(&ours.credentials)),
            Self::Foreign(_) => Redactor::new(self.credentials().map(|credentials| credentials.password.clone())),
        }
    }

    /// The name of its StatefulSet, if it is a deployment.
    pub(crate) fn server(&self) -> Option<&ServerName> {
        match self {
            Self::Ours(ours) => Some(&ours.server),
            Self::Foreign(release) => Some(&release.server.as_ref()?.facts.server),
        }
    }

    pub(crate) fn facts(&self, key: &ReleaseKey, operation: Option<&OperationId>) -> Option<DeploymentFacts> {
        match self {
            Self::Ours(ours) => Some(ours.facts(key, operation)),
            Self::Foreign(release) => Some(DeploymentFacts { operation: operation.cloned(), ..release.server.as_ref()?.facts.clone() }),
        }
    }

    /// The StatefulSet that it wants, if it is a deployment.
    pub(crate) fn stateful_set(&self, key: &ReleaseKey) -> Option<(ServerKey, ServerSpec)> {
        let name = self.server()?.clone();
        let spec = match self {
            Self::Ours(ours) => ours.stateful_set(key),
            Self::Foreign(release) => foreign_stateful_set(key, &release.server.as_ref()?.facts),
        };
        Some((ServerKey { namespace: key.namespace.clone(), name }, spec))
    }
}

// === impl OurContent ===

impl OurContent {
    pub(super) fn facts(&self, key: &ReleaseKey, operation: Option<&OperationId>) -> DeploymentFacts {
        let named = ServerKey { namespace: key.namespace.clone(), name: self.server.clone() };
        DeploymentFacts {
            identity: Some(self.request.identity.clone()),
            ours: true,
            home: Some(self.home.clone()),
            server: self.server.clone(),
            connection_id: self.connection_id.clone(),
            host: self.request.host(&named),
            url: self.request.invocations_url(&named),
            image: self.request.image.to_string(),
            storage: Some(self.request.resources.storage_size.clone()),
            request_hash: Some(self.request_hash.clone()),
            manifest_hash: Some(self.manifest_hash.clone()),
            operation: operation.cloned(),
        }
    }

    fn stateful_set(&self, key: &ReleaseKey) -> ServerSpec {
        let fixed = FixedFields {
            selector: Selector::Ours,
            storage: Some(self.request.resources.storage_size.clone()),
            identity: Some(self.request.identity.clone()),
        };
        ServerSpec { release: key.clone(), template: Arc::new(self.template()), fixed }
    }

    /// The pod template. Its revision is a hash over all that reaches the pod, be it by the checksum annotations of Secret and
    /// ConfigMap; who adds a field decides here.
    fn template(&self) -> PodTemplate {
        let DeployRequest {
            identity,
            // Only in metadata, the ServiceAccount, the Ingress or the connection.
            namespace: _,
            customer: _,
            domain: _,
            host_template: _,
            environment: _,
            cloud_provider: _,
            https_enabled: _,
            service_account: _,
            // The login that was resolved from it is hashed instead.
            credentials: _,
            image,
            warehouse,
            git,
            options,
            resources,
        } = &self.request;
        let GitSource { dbt_repo_name, gitlink_secret, gitlink_deploy_key, package_repo_token, package_repo_token_name } = git;
        // `storage_size` is in the claim template, which has no part in the revision.
        let Resources { cpu_request, cpu_limit, memory_request, memory_limit, storage_size: _ } = resources;
        let ServerOptions { worker_num, max_requests, enable_ddtrace, debug, celery_log_level, cicd_env_key, cicd_env_value, app_version } =
            options;
        let revision = digest([
            identity.project().as_str(),
            identity.branch().map_or("", |branch| branch.as_str()),
            &image.to_string(),
            warehouse.map_or("", |warehouse| warehouse.as_str()),
            dbt_repo_name,
            gitlink_secret.expose_secret(),
            gitlink_deploy_key.expose_secret(),
            package_repo_token.expose_secret(),
            package_repo_token_name,
            cpu_request.as_str(),
            cpu_limit.as_str(),
            memory_request.as_str(),
            memory_limit.as_str(),
            &worker_num.to_string(),
            &max_requests.to_string(),
            &enable_ddtrace.to_string(),
            &debug.to_string(),
            celery_log_level.as_str(),
            cicd_env_key,
            cicd_env_value,
            app_version,
            &self.credentials.user,
            self.credentials.password.expose_secret(),
        ]);
        let Image { repository: _, name: _, tag } = image;
        PodTemplate {
            revision: revision_name(&self.server, &revision),
            image: image.to_string(),
            fate: Fate::of_tag(tag),
            warehouse: *warehouse,
            git_url: gitlink_secret.clone(),
        }
    }
}

fn foreign_stateful_set(key: &ReleaseKey, facts: &DeploymentFacts) -> ServerSpec {
    let tag = facts.image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let template = PodTemplate {
        revision: revision_name(&facts.server, &digest(["foreign", &facts.image])),
        image: facts.image.clone(),
        fate: Fate::of_tag(tag),
        warehouse: None,
        git_url: SecretString::default(),
    };
    let fixed = FixedFields { selector: Selector::Replaced, storage: facts.storage.clone(), identity: None };
    ServerSpec { release: key.clone(), template: Arc::new(template), fixed }
}

/// The name of a controller revision: the StatefulSet's, a dash and 10 characters.
fn revision_name(server: &ServerName, digest: &str) -> String {
    format!("{server}-{}", &digest[..10])
}

fn object_names(server: &ServerName, key: &ReleaseKey, https_enabled: bool) -> Vec<String> {
    let mut names = vec![
        format!("ServiceAccount/{server}"),
        format!("Secret/{}", key.name.secret_name()),
        format!("ConfigMap/{server}-nginx-cm"),
        format!("Service/{server}"),
        format!("StatefulSet/{server}"),
    ];
    if https_enabled {
        names.push(format!("Ingress/{server}"));
    }
    names
}

/// SHA-256 in hex over texts, each with its length, so that no two lists of texts are one.
fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
