//! The one table of the body's fields: `reader` checks by it and `schema` documents by it, so that the published limits
//! are the ones that hold.

use dbt_controller_domain::model::{CeleryLogLevel, CloudProvider, Environment, Warehouse};
use dbt_controller_domain::{GitBranch, ProjectName};

use super::forms::{self, Form};

/// Environment variables that the server's container gets from us. Kubernetes takes the last of two variables with one name,
/// so an extra one of the caller would replace ours.
pub(super) const OWN_VARIABLES: &[&str] = &[
    "DBT_PROJECT_NAME",
    "GIT_BRANCH",
    "DBT_REPO_NAME",
    "GITLINK_SECRET",
    "GITLINK_DEPLOY_KEY",
    "SECRET_DBT_PACKAGE_REPO_TOKEN",
    "SECRET_PACKAGE_REPO_TOKEN_NAME",
    "DATA_WAREHOUSE_PLATFORM",
    "DBT_SERVER_WORKER_NUM",
    "DBT_SERVER_MAX_REQUESTS",
    "DBT_SERVER_ENABLE_DDTRACE",
    "DEBUG",
    "CELERYD_LOG_LEVEL",
    "APP_VERSION",
];

pub(super) const ENVIRONMENT_DEFAULT: Environment = Environment::Prod;
pub(super) const CELERY_LOG_LEVEL_DEFAULT: CeleryLogLevel = CeleryLogLevel::Error;

/// What a deploy key is when there is none.
pub(super) const NO_DEPLOY_KEY: &str = "EMPTY";

/// A field whose value is a text.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) name: &'static str,
    /// The least and the most characters (Unicode scalar values).
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) form: &'static Form,
    /// Why there may be no more characters, where that is not plain.
    pub(super) max_reason: &'static str,
    /// What stands for the field when it is absent; none when that is not the same for every service.
    pub(super) default: Option<&'static str>,
    /// Texts that are taken.
    pub(super) reserved: &'static [&'static str],
}

/// A field whose value is one of a closed set of words.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) name: &'static str,
    pub(super) words: fn() -> Vec<&'static str>,
    /// Whether an empty text stands for none of the words.
    pub(super) may_be_empty: bool,
    pub(super) default: Option<&'static str>,
}

/// A field whose value is a whole number.
#[derive(Debug)]
pub(super) struct Integer {
    pub(super) name: &'static str,
    pub(super) min: u8,
    pub(super) max: u8,
    pub(super) default: u8,
}

/// A field whose value is true or false; false when it is absent.
#[derive(Debug)]
pub(super) struct Boolean {
    pub(super) name: &'static str,
}

/// Any field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Text(&'static Text),
    Word(&'static Word),
    Integer(&'static Integer),
    Boolean(&'static Boolean),
}

// === impl Text ===

impl Text {
    const fn new(name: &'static str, min: usize, max: usize, form: &'static Form) -> Self {
        Self { name, min, max, form, max_reason: "", default: None, reserved: &[] }
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

// === impl Field ===

impl Field {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text(text) => text.name,
            Self::Word(word) => word.name,
            Self::Integer(integer) => integer.name,
            Self::Boolean(boolean) => boolean.name,
        }
    }
}

// === the table ===

pub(super) static PROJECT_NAME: Text = Text::new("project_name", 1, ProjectName::MAX_LENGTH, &forms::LINE);
pub(super) static GIT_BRANCH: Text = Text::new("git_branch", 0, GitBranch::MAX_LENGTH, &forms::LINE);
pub(super) static NAMESPACE: Text = Text::new("namespace", 1, 63, &forms::NAMESPACE);
pub(super) static CUSTOMER: Text = Text::new("customer", 1, 63, &forms::CUSTOMER);
pub(super) static DOMAIN: Text = Text::new("domain", 1, 63, &forms::DOMAIN);

/// The replaced service took tags of up to 255 characters, but an image with a tag beyond 128 can never be pulled.
pub(super) static TAG: Text = Text { max_reason: ", because no registry knows longer tags", ..Text::new("tag", 1, 128, &forms::TAG) };
pub(super) static REPOSITORY: Text = Text::new("repository", 1, 255, &forms::REPOSITORY).or("4fastbi");
pub(super) static IMAGE: Text = Text::new("image", 1, 255, &forms::IMAGE).or("dbt-api-server-core");

pub(super) static ENVIRONMENT: Word = Word {
    name: "environment",
    words: || Environment::ALL.iter().map(|word| word.as_str()).collect(),
    may_be_empty: false,
    default: Some(ENVIRONMENT_DEFAULT.as_str()),
};
/// Its default is a setting.
pub(super) static CLOUD_PROVIDER: Word = Word {
    name: "cloud_provider",
    words: || CloudProvider::ALL.iter().map(|word| word.as_str()).collect(),
    may_be_empty: false,
    default: None,
};
pub(super) static DATAWAREHOUSE_TYPE: Word = warehouse("datawarehouse_type");
pub(super) static DATA_WAREHOUSE_PLATFORM: Word = warehouse("data_warehouse_platform");

pub(super) static HTTPS_ENABLED: Boolean = Boolean { name: "https_enabled" };

pub(super) static DBT_REPO_NAME: Text = Text::new("dbt_repo_name", 0, 255, &forms::LINE).or("");
pub(super) static GITLINK_SECRET: Text = Text::new("gitlink_secret", 0, 2048, &forms::TEXT).or("");
pub(super) static GITLINK_DEPLOY_KEY: Text = Text::new("gitlink_deploy_key", 0, 255, &forms::TEXT).or(NO_DEPLOY_KEY);
pub(super) static PACKAGE_REPO_TOKEN: Text = Text::new("secret_dbt_package_repo_token", 0, 255, &forms::TEXT).or("");
pub(super) static PACKAGE_REPO_TOKEN_NAME: Text = Text::new("secret_package_repo_token_name", 0, 255, &forms::LINE).or("");

pub(super) static BASIC_AUTH: Text = Text::new("basic_auth", 0, 255, &forms::TEXT);
pub(super) static BASIC_AUTH_USER: Text = Text::new("basic_auth_user", 1, 63, &forms::USER);
pub(super) static BASIC_AUTH_PASSWORD: Text = Text::new("basic_auth_password", 8, 63, &forms::LINE);

/// 254 is what SMTP leaves for an address (RFC 3696, erratum 1690).
pub(super) static SERVICE_ACCOUNT: Text = Text::new("service_account", 1, 254, &forms::EMAIL);

pub(super) static WORKER_NUM: Integer = Integer { name: "worker_num", min: 1, max: 20, default: 10 };
pub(super) static MAX_REQUESTS: Integer = Integer { name: "max_requests", min: 1, max: 100, default: 35 };
pub(super) static ENABLE_DDTRACE: Boolean = Boolean { name: "enable_ddtrace" };
pub(super) static DEBUG: Boolean = Boolean { name: "debug" };
pub(super) static CELERY_LOG_LEVEL: Word = Word {
    name: "celery_log_level",
    words: || CeleryLogLevel::ALL.iter().map(|word| word.as_str()).collect(),
    may_be_empty: false,
    default: Some(CELERY_LOG_LEVEL_DEFAULT.as_str()),
};
pub(super) static CICD_ENV_KEY: Text = Text { reserved: OWN_VARIABLES, ..Text::new("cicd_env_key", 1, 255, &forms::VARIABLE).or("ENV") };
pub(super) static CICD_ENV_VALUE: Text = Text::new("cicd_env_value", 0, 255, &forms::TEXT).or("prod");
pub(super) static APP_VERSION: Text = Text::new("app_version", 0, 255, &forms::LINE).or("1.0.0");

pub(super) static SIZE: Text = Text::new("size", 1, 255, &forms::LINE);
/// The lengths leave no amount that would not fit into the `int64` of Kubernetes' quantities: 15 digits of cores are below
/// 2^63 thousandths, and 9 digits of `Gi` below 2^63 bytes. Defaults depend on `size`.
pub(super) static CPU_REQUEST: Text = Text::new("cpu_request", 1, 15, &forms::CPU);
pub(super) static CPU_LIMIT: Text = Text::new("cpu_limit", 1, 15, &forms::CPU);
pub(super) static MEMORY_REQUEST: Text = Text::new("memory_request", 1, 11, &forms::BYTES);
pub(super) static MEMORY_LIMIT: Text = Text::new("memory_limit", 1, 11, &forms::BYTES);
pub(super) static STORAGE_SIZE: Text = Text::new("storage_size", 1, 11, &forms::BYTES);

/// Every field, in the order of the document.
pub(super) static ALL: &[Field] = &[
    Field::Text(&PROJECT_NAME),
    Field::Text(&GIT_BRANCH),
    Field::Text(&NAMESPACE),
    Field::Text(&CUSTOMER),
    Field::Text(&DOMAIN),
    Field::Text(&TAG),
    Field::Text(&REPOSITORY),
    Field::Text(&IMAGE),
    Field::Word(&ENVIRONMENT),
    Field::Word(&CLOUD_PROVIDER),
    Field::Word(&DATAWAREHOUSE_TYPE),
    Field::Word(&DATA_WAREHOUSE_PLATFORM),
    Field::Boolean(&HTTPS_ENABLED),
    Field::Text(&DBT_REPO_NAME),
    Field::Text(&GITLINK_SECRET),
    Field::Text(&GITLINK_DEPLOY_KEY),
    Field::Text(&PACKAGE_REPO_TOKEN),
    Field::Text(&PACKAGE_REPO_TOKEN_NAME),
    Field::Text(&BASIC_AUTH),
    Field::Text(&BASIC_AUTH_USER),
    Field::Text(&BASIC_AUTH_PASSWORD),
    Field::Text(&SERVICE_ACCOUNT),
    Field::Integer(&WORKER_NUM),
    Field::Integer(&MAX_REQUESTS),
    Field::Boolean(&ENABLE_DDTRACE),
    Field::Boolean(&DEBUG),
    Field::Word(&CELERY_LOG_LEVEL),
    Field::Text(&CICD_ENV_KEY),
    Field::Text(&CICD_ENV_VALUE),
    Field::Text(&APP_VERSION),
    Field::Text(&SIZE),
    Field::Text(&CPU_REQUEST),
    Field::Text(&CPU_LIMIT),
    Field::Text(&MEMORY_REQUEST),
    Field::Text(&MEMORY_LIMIT),
    Field::Text(&STORAGE_SIZE),
];

const fn warehouse(name: &'static str) -> Word {
    Word { name, words: || Warehouse::ALL.iter().map(|word| word.as_str()).collect(), may_be_empty: true, default: None }
}
