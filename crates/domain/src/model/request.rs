//! The resolved request: what a POST asks for after aliases are merged and defaults are filled in.

use dbt_controller_naming::Identity;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{ByteQuantity, CpuQuantity, Credentials, Customer, Domain, HostTemplate, Namespace, Redactor, ServerKey};
use crate::words;

words! {
    /// The kind of environment a deployment serves.
    pub enum Environment {
        /// End-to-end tests.
        E2e = "e2e",
        /// Production.
        Prod = "prod",
    }
}

words! {
    /// Where the cluster runs; decides on cloud-specific annotations.
    pub enum CloudProvider {
        /// Amazon Web Services.
        Aws = "aws",
        /// Google Cloud.
        Gcp = "gcp",
        /// Microsoft Azure.
        Azure = "azure",
        /// No cloud.
        SelfManaged = "self-managed",
    }
}

words! {
    /// The data warehouse that dbt talks to. Its credentials are the Secret `data-warehouse-<type>-secrets`.
    pub enum Warehouse {
        /// Google BigQuery.
        Bigquery = "bigquery",
        /// Snowflake.
        Snowflake = "snowflake",
        /// Amazon Redshift.
        Redshift = "redshift",
        /// Microsoft Fabric.
        Fabric = "fabric",
    }
}

impl Warehouse {
    /// The name of the Secret that a server for this warehouse mounts; operators create it.
    pub fn secret_name(self) -> String {
        format!("data-warehouse-{self}-secrets")
    }
}

words! {
    /// Log levels of the task runner inside the server.
    pub enum CeleryLogLevel {
        /// Everything.
        Debug = "DEBUG",
        /// Information and above.
        Info = "INFO",
        /// Warnings and above.
        Warning = "WARNING",
        /// Errors and above.
        Error = "ERROR",
        /// Critical errors only.
        Critical = "CRITICAL",
    }
}

/// The image of a server: `<repository>/<name>:<tag>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Registry and path, 1 to 255 characters.
    pub repository: String,
    /// Image name, 1 to 255 characters.
    pub name: String,
    /// Tag, 1 to 128 of `[A-Za-z0-9_.-]` (OCI distribution specification, section "Pulling manifests").
    pub tag: String,
}

impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}:{}", self.repository, self.name, self.tag)
    }
}

/// Where the dbt project comes from, and what opens it.
#[derive(Debug, Clone)]
pub struct GitSource {
    /// Repository name, may be empty.
    pub dbt_repo_name: String,
    /// Git URL with credentials, may be empty.
    pub gitlink_secret: SecretString,
    /// Deploy key, `EMPTY` when there is none.
    pub gitlink_deploy_key: SecretString,
    /// Token for private dbt packages, may be empty.
    pub package_repo_token: SecretString,
    /// Name under which dbt looks for that token, may be empty.
    pub package_repo_token_name: String,
}

/// Login fields that the request names; what it leaves out is kept from the release, or generated.
#[derive(Debug, Clone, Default)]
pub struct RequestedCredentials {
    /// The wished user name.
    pub user: Option<String>,
    /// The wished password.
    pub password: Option<SecretString>,
}

/// Settings of the dbt server program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Worker processes, 1 to 20.
    pub worker_num: u8,
    /// Requests per worker before it is replaced, 1 to 100.
    pub max_requests: u8,
    /// Datadog tracing.
    pub enable_ddtrace: bool,
    /// Debug mode of the server.
    pub debug: bool,
    /// Log level of the task runner.
    pub celery_log_level: CeleryLogLevel,
    /// Name of one extra environment variable: a C identifier and none of our own variables.
    pub cicd_env_key: String,
    /// Value of that variable.
    pub cicd_env_value: String,
    /// Version shown by the server, without the leading `v.`.
    pub app_version: String,
}

/// Resource requests and limits; a request is never above its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// Requested processor time.
    pub cpu_request: CpuQuantity,
    /// Limit of processor time.
    pub cpu_limit: CpuQuantity,
    /// Requested memory.
    pub memory_request: ByteQuantity,
    /// Limit of memory.
    pub memory_limit: ByteQuantity,
    /// Size of the claim.
    pub storage_size: ByteQuantity,
}

/// A resolved, valid request for a deployment. Inner code checks nothing of it again.
#[derive(Debug, Clone)]
pub struct DeployRequest {
    /// Whose server it is.
    pub identity: Identity,
    /// Where it runs; one of the allowed namespaces.
    pub namespace: Namespace,
    /// Customer part of the public host name.
    pub customer: Customer,
    /// Domain part of the public host name.
    pub domain: Domain,
    /// How the public host name is put together.
    pub host_template: HostTemplate,
    /// The server's image.
    pub image: Image,
    /// Kind of environment.
    pub environment: Environment,
    /// Where the cluster runs.
    pub cloud_provider: CloudProvider,
    /// The warehouse, when the project names one.
    pub warehouse: Option<Warehouse>,
    /// Whether the server is published at its public host name.
    pub https_enabled: bool,
    /// The project's source.
    pub git: GitSource,
    /// Wished login.
    pub credentials: RequestedCredentials,
    /// Google service account (an e-mail address) for workload identity.
    pub service_account: Option<String>,
    /// Settings of the server program.
    pub options: ServerOptions,
    /// Requests and limits.
    pub resources: Resources,
}

/// SHA-256 over the resolved request: equal requests have equal hashes. Generated credentials are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestHash(String);

impl RequestHash {
    /// A hash read back from a record: 64 lower-case hex digits.
    pub fn from_recorded(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hashes named values so that no two different lists of values give one byte stream: each is written with its length.
pub(crate) struct FieldHasher(Sha256);

impl FieldHasher {
    pub(crate) fn new(kind: &str) -> Self {
        let mut hasher = Self(Sha256::new());
        hasher.field(kind);
        hasher
    }

    pub(crate) fn field(&mut self, value: &str) {
        self.0.update((value.len() as u64).to_be_bytes());
        self.0.update(value.as_bytes());
    }

    fn optional(&mut self, value: Option<&str>) {
        self.0.update([u8::from(value.is_some())]);
        self.field(value.unwrap_or_default());
    }

    pub(crate) fn finish(self) -> RequestHash {
        use std::fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in self.0.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        RequestHash(hex)
    }
}

impl DeployRequest {
    /// The request hash. Destructures without `..`, so that a new field cannot be forgotten.
    pub fn hash(&self) -> RequestHash {
        let Self {
            identity,
            namespace,
            customer,
            domain,
            host_template,
            image,
            environment,
            cloud_provider,
            warehouse,
            https_enabled,
            git,
            credentials: RequestedCredentials { user, password },
            service_account,
            options,
            resources,
        } = self;
        let Image { repository, name, tag } = image;
        let GitSource { dbt_repo_name, gitlink_secret, gitlink_deploy_key, package_repo_token, package_repo_token_name } = git;
        let ServerOptions { worker_num, max_requests, enable_ddtrace, debug, celery_log_level, cicd_env_key, cicd_env_value, app_version } =
            options;
        let Resources { cpu_request, cpu_limit, memory_request, memory_limit, storage_size } = resources;

        let mut hasher = FieldHasher::new("deploy");
        hasher.field(identity.project().as_str());
        hasher.optional(identity.branch().map(|branch| branch.as_str()));
        for value in [namespace.as_str(), customer.as_str(), domain.as_str(), host_template.as_str(), repository, name, tag] {
            hasher.field(value);
        }
        hasher.field(environment.as_str());
        hasher.field(cloud_provider.as_str());
        hasher.optional(warehouse.map(Warehouse::as_str));
        for secret in [gitlink_secret, gitlink_deploy_key, package_repo_token] {
            hasher.field(secret.expose_secret());
        }
        hasher.field(dbt_repo_name);
        hasher.field(package_repo_token_name);
        hasher.optional(user.as_deref());
        hasher.optional(password.as_ref().map(|password| password.expose_secret()));
        hasher.optional(service_account.as_deref());
        for number in [worker_num, max_requests] {
            hasher.field(&number.to_string());
        }
        for flag in [https_enabled, enable_ddtrace, debug] {
            hasher.field(&flag.to_string());
        }
        hasher.field(celery_log_level.as_str());
        for value in [cicd_env_key, cicd_env_value, app_version] {
            hasher.field(value);
        }
        for value in [cpu_request.as_str(), cpu_limit.as_str(), memory_request.as_str(), memory_limit.as_str(), storage_size.as_str()] {
            hasher.field(value);
        }
        hasher.finish()
    }

    /// A redactor of every secret in this request, and of the login in use.
    pub fn redactor(&self, credentials: Option<&Credentials>) -> Redactor {
        let GitSource { dbt_repo_name: _, gitlink_secret, gitlink_deploy_key, package_repo_token, package_repo_token_name: _ } = &self.git;
        let no_key = gitlink_deploy_key.expose_secret() == "EMPTY";
        Redactor::new(
            [gitlink_secret, package_repo_token]
                .into_iter()
                .chain((!no_key).then_some(gitlink_deploy_key))
                .chain(self.credentials.password.as_ref())
                .chain(credentials.map(|credentials| &credentials.password))
                .cloned(),
        )
    }

    /// The host name under which the server is reached, without a scheme.
    pub fn host(&self, server: &ServerKey) -> String {
        if self.https_enabled {
            self.host_template.host(&server.name, &self.customer, &self.domain)
        } else {
            format!("{}.{}.svc.cluster.local", server.name, server.namespace)
        }
    }

    /// The URL that Airflow tasks call: scheme, host and `/invocations`.
    pub fn invocations_url(&self, server: &ServerKey) -> String {
        let scheme = if self.https_enabled { "https" } else { "http" };
        format!("{scheme}://{}/invocations", self.host(server))
    }
}
