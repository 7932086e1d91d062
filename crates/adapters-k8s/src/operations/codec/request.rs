//! The resolved request of a deploy.

use dbt_controller_domain::model::{self, CeleryLogLevel, CloudProvider, Environment, Warehouse};
use dbt_controller_domain::model::{ByteQuantity, CpuQuantity, Customer, Domain, HostTemplate, Namespace};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::operation::Identity;
use super::text;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    identity: Identity,
    #[serde(with = "text")]
    namespace: Namespace,
    #[serde(with = "text")]
    customer: Customer,
    #[serde(with = "text")]
    domain: Domain,
    #[serde(with = "text")]
    host_template: HostTemplate,
    image: Image,
    #[serde(with = "text")]
    environment: Environment,
    #[serde(with = "text")]
    cloud_provider: CloudProvider,
    #[serde(with = "text::optional")]
    warehouse: Option<Warehouse>,
    https_enabled: bool,
    git: GitSource,
    credentials: Credentials,
    service_account: Option<String>,
    options: Options,
    resources: Resources,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    repository: String,
    name: String,
    tag: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GitSource {
    dbt_repo_name: String,
    #[serde(with = "text::secret")]
    gitlink_secret: SecretString,
    #[serde(with = "text::secret")]
    gitlink_deploy_key: SecretString,
    #[serde(with = "text::secret")]
    package_repo_token: SecretString,
    package_repo_token_name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    user: Option<String>,
    #[serde(with = "text::secret::optional")]
    password: Option<SecretString>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    worker_num: u8,
    max_requests: u8,
    enable_ddtrace: bool,
    debug: bool,
    #[serde(with = "text")]
    celery_log_level: CeleryLogLevel,
    cicd_env_key: String,
    cicd_env_value: String,
    app_version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resources {
    #[serde(with = "text")]
    cpu_request: CpuQuantity,
    #[serde(with = "text")]
    cpu_limit: CpuQuantity,
    #[serde(with = "text")]
    memory_request: ByteQuantity,
    #[serde(with = "text")]
    memory_limit: ByteQuantity,
    #[serde(with = "text")]
    storage_size: ByteQuantity,
}

// === into the stored form ===

impl From<&model::DeployRequest> for Request {
    fn from(request: &model::DeployRequest) -> Self {
        let model::DeployRequest {
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
            credentials,
            service_account,
            options,
            resources,
        } = request.clone();
        Self {
            identity: Identity::from(&identity),
            namespace,
            customer,
            domain,
            host_template,
            image: image.into(),
            environment,
            cloud_provider,
            warehouse,
            https_enabled,
            git: git.into(),
            credentials: credentials.into(),
            service_account,
            options: options.into(),
            resources: resources.into(),
        }
    }
}

impl From<model::Image> for Image {
    fn from(model::Image { repository, name, tag }: model::Image) -> Self {
        Self { repository, name, tag }
    }
}

impl From<model::GitSource> for GitSource {
    fn from(git: model::GitSource) -> Self {
        let model::GitSource { dbt_repo_name, gitlink_secret, gitlink_deploy_key, package_repo_token, package_repo_token_name } = git;
        Self { dbt_repo_name, gitlink_secret, gitlink_deploy_key, package_repo_token, package_repo_token_name }
    }
}

impl From<model::RequestedCredentials> for Credentials {
    fn from(model::RequestedCredentials { user, password }: model::RequestedCredentials) -> Self {
        Self { user, password }
    }
}

impl From<model::ServerOptions> for Options {
    fn from(options: model::ServerOptions) -> Self {
        let model::ServerOptions {
            worker_num,
            max_requests,
            enable_ddtrace,
            debug,
            celery_log_level,
            cicd_env_key,
            cicd_env_value,
            app_version,
        } = options;
        Self { worker_num, max_requests, enable_ddtrace, debug, celery_log_level, cicd_env_key, cicd_env_value, app_version }
    }
}

impl From<model::Resources> for Resources {
    fn from(resources: model::Resources) -> Self {
        let model::Resources { cpu_request, cpu_limit, memory_request, memory_limit, storage_size } = resources;
        Self { cpu_request, cpu_limit, memory_request, memory_limit, storage_size }
    }
}

// === out of the stored form ===

impl From<Request> for model::DeployRequest {
    fn from(request: Request) -> Self {
        let Request {
            identity,
            namespace,
            customer,
            domain,
            host_template,
            image: Image { repository, name, tag },
            environment,
            cloud_provider,
            warehouse,
            https_enabled,
            git,
            credentials: Credentials { user, password },
            service_account,
            options,
            resources,
        } = request;
        let GitSource { dbt_repo_name, gitlink_secret, gitlink_deploy_key, package_repo_token, package_repo_token_name } = git;
        let Options { worker_num, max_requests, enable_ddtrace, debug, celery_log_level, cicd_env_key, cicd_env_value, app_version } =
            options;
        let Resources { cpu_request, cpu_limit, memory_request, memory_limit, storage_size } = resources;
        Self {
            identity: identity.into(),
            namespace,
            customer,
            domain,
            host_template,
            image: model::Image { repository, name, tag },
            environment,
            cloud_provider,
            warehouse,
            https_enabled,
            git: model::GitSource { dbt_repo_name, gitlink_secret, gitlink_deploy_key, package_repo_token, package_repo_token_name },
            credentials: model::RequestedCredentials { user, password },
            service_account,
            options: model::ServerOptions {
                worker_num,
                max_requests,
                enable_ddtrace,
                debug,
                celery_log_level,
                cicd_env_key,
                cicd_env_value,
                app_version,
            },
            resources: model::Resources { cpu_request, cpu_limit, memory_request, memory_limit, storage_size },
        }
    }
}
