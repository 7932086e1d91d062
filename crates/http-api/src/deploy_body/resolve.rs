//! From the fields of a body to the domain's request: aliases are merged and defaults filled in, and every field is looked
//! at before the first error is told.

use dbt_controller_domain::Identity;
use dbt_controller_domain::model::{DeployRequest, GitSource, Image, Namespace, RequestedCredentials, ServerOptions, Warehouse};

use super::fields::{self, Text};
use super::reader::Reader;
use super::resources::resources;
use super::{BodyError, ParsedBody, RequestDefaults};

/// bcrypt reads 72 bytes, the terminating NUL included.
const MAX_PASSWORD_BYTES: usize = 71;

/// The request that a body makes.
pub(super) fn resolve(mut reader: Reader, defaults: &RequestDefaults) -> Result<ParsedBody, BodyError> {
    let request = request(&mut reader, defaults);
    let (errors, warnings) = reader.finish();
    match request {
        Some(request) if errors.is_empty() => Ok(ParsedBody { request, warnings }),
        _ => Err(BodyError::Invalid(errors)),
    }
}

/// Every field is read before the first `?`, so that all errors are known.
fn request(reader: &mut Reader, defaults: &RequestDefaults) -> Option<DeployRequest> {
    let identity = identity(reader);
    let namespace = namespace(reader, defaults);
    let customer = reader.parsed(&fields::CUSTOMER);
    let customer = or_setting(reader, &fields::CUSTOMER, customer, defaults.customer.as_ref(), "DEFAULT_CUSTOMER");
    let domain = reader.parsed(&fields::DOMAIN);
    let domain = or_setting(reader, &fields::DOMAIN, domain, defaults.domain.as_ref(), "DEFAULT_DOMAIN");
    let image = image(reader, defaults);
    let environment = reader.word(&fields::ENVIRONMENT).unwrap_or(fields::ENVIRONMENT_DEFAULT);
    let cloud_provider = reader.word(&fields::CLOUD_PROVIDER).unwrap_or(defaults.cloud_provider);
    let warehouse = warehouse(reader);
    let https_enabled = reader.boolean(&fields::HTTPS_ENABLED);
    let git = git_source(reader);
    let credentials = credentials(reader);
    let service_account = reader.text(&fields::SERVICE_ACCOUNT).or_else(|| defaults.service_account.clone());
    let options = options(reader);
    let resources = resources(reader, defaults);
    Some(DeployRequest {
        identity: identity?,
        namespace: namespace?,
        customer: customer?,
        domain: domain?,
        host_template: defaults.host_template.clone(),
        image: image?,
        environment,
        cloud_provider,
        warehouse,
        https_enabled,
        git,
        credentials,
        service_account,
        options,
        resources: resources?,
    })
}

fn identity(reader: &mut Reader) -> Option<Identity> {
    let project = reader.text(&fields::PROJECT_NAME);
    let branch = reader.text(&fields::GIT_BRANCH);
    if project.is_none() && !reader.has_refused(fields::PROJECT_NAME.name) {
        return reader.refuse(fields::PROJECT_NAME.name, "is required");
    }
    match Identity::parse(&project?, branch.as_deref()) {
        Ok(identity) => Some(identity),
        // The table's rules are those of the identity, so this is not reached. The reason may show a character of the name.
        Err(_) => reader.refuse(fields::PROJECT_NAME.name, "must be a name together with `git_branch`"),
    }
}

fn namespace(reader: &mut Reader, defaults: &RequestDefaults) -> Option<Namespace> {
    let allowed = &defaults.namespaces;
    let Some(wished) = reader.text(&fields::NAMESPACE) else {
        let own = allowed.first().cloned();
        return own.or_else(|| reader.refuse(fields::NAMESPACE.name, "is required, because no namespace is configured"));
    };
    if let Some(namespace) = allowed.iter().find(|namespace| namespace.as_str() == wished) {
        return Some(namespace.clone());
    }
    let allowed: Vec<_> = allowed.iter().map(|namespace| format!("`{namespace}`")).collect();
    let message = format!("must be a namespace that this service may use: {}", allowed.join(", "));
    reader.refuse(fields::NAMESPACE.name, message)
}

/// What the body gives, or else the setting, or else an error that says where it can be set.
fn or_setting<T: Clone>(reader: &mut Reader, field: &Text, given: Option<T>, default: Option<&T>, setting: &str) -> Option<T> {
    let value = given.or_else(|| default.cloned());
    if value.is_none() && !reader.has_refused(field.name) {
        let message = format!("is required, because the setting `{setting}` has no value");
        return reader.refuse(field.name, message);
    }
    value
}

fn image(reader: &mut Reader, defaults: &RequestDefaults) -> Option<Image> {
    let repository = reader.text_or_default(&fields::REPOSITORY);
    let name = reader.text_or_default(&fields::IMAGE);
    let given = reader.text(&fields::TAG);
    let tag = or_setting(reader, &fields::TAG, given, defaults.tag.as_ref(), "DEFAULT_TAG")?;
    Some(Image { repository, name, tag })
}

/// The warehouse by either of its names. Both may be given, but must not contradict each other.
fn warehouse(reader: &mut Reader) -> Option<Warehouse> {
    let (first, second) = (&fields::DATAWAREHOUSE_TYPE, &fields::DATA_WAREHOUSE_PLATFORM);
    let given = (reader.word::<Warehouse>(first), reader.word::<Warehouse>(second));
    if let (Some(a), Some(b)) = given
        && a != b
    {
        for (field, alias) in [(first, second), (second, first)] {
            let message = format!("must not differ from `{}`, which is its other name", alias.name);
            reader.refuse::<()>(field.name, message);
        }
    }
    given.0.or(given.1)
}

fn git_source(reader: &mut Reader) -> GitSource {
    let deploy_key = reader.text(&fields::GITLINK_DEPLOY_KEY).filter(|key| !key.is_empty());
    // The server's start script knows one spelling of "no key": the default.
    let deploy_key = deploy_key.unwrap_or_else(|| fields::NO_DEPLOY_KEY.to_owned());
    GitSource {
        dbt_repo_name: reader.text_or_default(&fields::DBT_REPO_NAME),
        gitlink_secret: reader.text_or_default(&fields::GITLINK_SECRET).into(),
        gitlink_deploy_key: deploy_key.into(),
        package_repo_token: reader.text_or_default(&fields::PACKAGE_REPO_TOKEN).into(),
        package_repo_token_name: reader.text_or_default(&fields::PACKAGE_REPO_TOKEN_NAME),
    }
}

fn credentials(reader: &mut Reader) -> RequestedCredentials {
    if reader.text(&fields::BASIC_AUTH).is_some_and(|line| !line.is_empty()) {
        let [line, user, password] = [&fields::BASIC_AUTH, &fields::BASIC_AUTH_USER, &fields::BASIC_AUTH_PASSWORD].map(|field| field.name);
        reader.warn(format!("`{line}` is not used: the line is made from `{user}` and `{password}`"));
    }
    let user = reader.text(&fields::BASIC_AUTH_USER);
    let password = reader.text(&fields::BASIC_AUTH_PASSWORD);
    if password.as_ref().is_some_and(|password| password.len() > MAX_PASSWORD_BYTES) {
        let message = format!("must have at most {MAX_PASSWORD_BYTES} bytes in UTF-8");
        reader.refuse::<()>(fields::BASIC_AUTH_PASSWORD.name, message);
    }
    for (field, value) in [(&fields::BASIC_AUTH_USER, &user), (&fields::BASIC_AUTH_PASSWORD, &password)] {
        if value.as_ref().is_some_and(|value| !value.is_ascii()) {
            // Python's requests encodes logins as Latin-1; the password line is in UTF-8.
            reader.warn(format!("`{}` has characters beyond ASCII, which Airflow may send in another encoding", field.name));
        }
    }
    RequestedCredentials { user, password: password.map(Into::into) }
}

fn options(reader: &mut Reader) -> ServerOptions {
    ServerOptions {
        worker_num: reader.integer(&fields::WORKER_NUM),
        max_requests: reader.integer(&fields::MAX_REQUESTS),
        enable_ddtrace: reader.boolean(&fields::ENABLE_DDTRACE),
        debug: reader.boolean(&fields::DEBUG),
        celery_log_level: reader.word(&fields::CELERY_LOG_LEVEL).unwrap_or(fields::CELERY_LOG_LEVEL_DEFAULT),
        cicd_env_key: reader.text_or_default(&fields::CICD_ENV_KEY),
        cicd_env_value: reader.text_or_default(&fields::CICD_ENV_VALUE),
        app_version: reader.text_or_default(&fields::APP_VERSION),
    }
}
