//! The body as the published document shows it.

use paperclip::actix::Apiv2Schema;
use schemars::JsonSchema;

use super::schema;

// Its fields are read by name (see `resolve`), never as this struct: with serde one wrong type would hide all other errors.
// The limits of the document come from the field table, by the transform; a test holds that both have the same fields.
/// What to deploy. Only `project_name` must be given; `null` is as good as absent, and unknown fields are ignored with a
/// warning. Numbers are also read from decimal texts, and booleans from `1`, `0` and the usual words, with a warning.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Apiv2Schema)]
#[schemars(transform = schema::add_rules, example = schema::example())]
pub(crate) struct DeployBody {
    /// The dbt project. With the branch it is the identity of a deployment.
    pub(crate) project_name: Option<String>,
    /// The git branch. Absent or empty: the deployment has no branch.
    pub(crate) git_branch: Option<String>,
    /// The namespace to deploy to, one of those that the service is allowed to use. Default: the service's own.
    pub(crate) namespace: Option<String>,
    /// The customer part of the public host name. Default: the setting `DEFAULT_CUSTOMER`; required without it.
    pub(crate) customer: Option<String>,
    /// The domain part of the public host name. Default: the setting `DEFAULT_DOMAIN`; required without it.
    pub(crate) domain: Option<String>,
    /// The tag of the server's image. Default: the setting `DEFAULT_TAG`; required without it.
    pub(crate) tag: Option<String>,
    /// The repository of the server's image: a registry, a path in it, or both.
    pub(crate) repository: Option<String>,
    /// The name of the server's image.
    pub(crate) image: Option<String>,
    /// The kind of environment.
    pub(crate) environment: Option<String>,
    /// Where the cluster runs. Default: the setting `CLOUD_PROVIDER`.
    pub(crate) cloud_provider: Option<String>,
    /// The data warehouse. An alias of `data_warehouse_platform`; both may be given if they agree.
    pub(crate) datawarehouse_type: Option<String>,
    /// The data warehouse. An alias of `datawarehouse_type`; both may be given if they agree.
    pub(crate) data_warehouse_platform: Option<String>,
    /// Whether the server is published with TLS at its public host name.
    pub(crate) https_enabled: Option<bool>,
    /// The name of the git repository.
    pub(crate) dbt_repo_name: Option<String>,
    /// The git URL of the project, with credentials. Secret.
    pub(crate) gitlink_secret: Option<String>,
    /// The deploy key of the git repository; `EMPTY` or empty when there is none. Secret.
    pub(crate) gitlink_deploy_key: Option<String>,
    /// The token for private dbt packages. Secret.
    pub(crate) secret_dbt_package_repo_token: Option<String>,
    /// The name under which dbt looks for that token.
    pub(crate) secret_package_repo_token_name: Option<String>,
    /// Not used: the password line is made from `basic_auth_user` and `basic_auth_password`.
    pub(crate) basic_auth: Option<String>,
    /// The user of the server's login, without `:`. Default: what the deployment has; generated the first time.
    pub(crate) basic_auth_user: Option<String>,
    /// The password of the server's login, at most 71 bytes in UTF-8. Default: what the deployment has; generated the first
    /// time. Secret.
    pub(crate) basic_auth_password: Option<String>,
    /// The Google service account for workload identity, an e-mail address. Default: the setting `GCP_SERVICE_ACCOUNT`.
    pub(crate) service_account: Option<String>,
    /// Worker processes of the server.
    pub(crate) worker_num: Option<u8>,
    /// Requests after which a worker is replaced.
    pub(crate) max_requests: Option<u8>,
    /// Datadog tracing.
    pub(crate) enable_ddtrace: Option<bool>,
    /// Debug mode of the server.
    pub(crate) debug: Option<bool>,
    /// The log level of the server's task runner.
    pub(crate) celery_log_level: Option<String>,
    /// The name of one more environment variable of the server. The variables that the service sets cannot be named.
    pub(crate) cicd_env_key: Option<String>,
    /// The value of that variable.
    pub(crate) cicd_env_value: Option<String>,
    /// The version that the server shows.
    pub(crate) app_version: Option<String>,
    /// The name of a set of resources from the setting `SERVER_SIZES`. The single fields (`cpu_…`, `memory_…`, `storage_size`) win over it.
    pub(crate) size: Option<String>,
    /// Requested processor time. Default: from `size`, else `1500m`; never more than a given limit.
    pub(crate) cpu_request: Option<String>,
    /// Limit of processor time, not below a given request. Default: from `size`, else `3500m`; raised to a higher request.
    pub(crate) cpu_limit: Option<String>,
    /// Requested memory. Default: from `size`, else `2Gi`; never more than a given limit.
    pub(crate) memory_request: Option<String>,
    /// Limit of memory, not below a given request. Default: from `size`, else `6Gi`; raised to a higher request.
    pub(crate) memory_limit: Option<String>,
    /// Size of the volume. It can grow later, but not shrink. Default: from `size`, else `1Gi`.
    pub(crate) storage_size: Option<String>,
}
