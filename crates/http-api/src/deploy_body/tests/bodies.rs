//! Whole bodies.

use dbt_controller_domain::model::{CeleryLogLevel, CloudProvider, Environment, ServerOptions, Warehouse};
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::deploy_body::fields;

#[test]
fn two_fields_are_enough() {
    let ParsedBody { request, warnings } = parse(br#"{"project_name": "test-project", "git_branch": "main"}"#, &defaults()).unwrap();

    assert!(warnings.is_empty());
    assert_eq!(request.identity.to_string(), "project `test-project`, branch `main`");
    assert_eq!(request.namespace.as_str(), "dbt-server");
    assert_eq!(request.customer.as_str(), "acme");
    assert_eq!(request.domain.as_str(), "example.com");
    assert_eq!(request.image.to_string(), "4fastbi/dbt-api-server-core:1.2.3");
    assert_eq!(request.environment, Environment::Prod);
    assert_eq!(request.cloud_provider, CloudProvider::Gcp);
    assert_eq!(request.warehouse, None);
    assert!(!request.https_enabled);
    assert_eq!(request.service_account, None);
    assert!(request.credentials.user.is_none() && request.credentials.password.is_none());

    let git = &request.git;
    assert_eq!((git.dbt_repo_name.as_str(), git.package_repo_token_name.as_str()), ("", ""));
    assert_eq!(git.gitlink_secret.expose_secret(), "");
    assert_eq!(git.gitlink_deploy_key.expose_secret(), "EMPTY");
    assert_eq!(git.package_repo_token.expose_secret(), "");

    let options = &request.options;
    assert_eq!((options.worker_num, options.max_requests), (10, 35));
    assert_eq!((options.enable_ddtrace, options.debug), (false, false));
    assert_eq!(options.celery_log_level, CeleryLogLevel::Error);
    assert_eq!((options.cicd_env_key.as_str(), options.cicd_env_value.as_str()), ("ENV", "prod"));
    assert_eq!(options.app_version, "1.0.0");
}

#[test]
fn the_body_of_the_deploy_step_is_taken_as_it_is() {
    let body = json!({
        "project_name": "jaffle_shop", "namespace": "dbt-server", "customer": "Acme", "domain": "Fast.bi",
        "git_branch": "main", "tag": "v1.9.0-rc.1", "environment": "prod", "https_enabled": false,
        "data_warehouse_platform": "bigquery", "datawarehouse_type": "bigquery",
        "dbt_repo_name": "dbt", "gitlink_secret": "https://bot:glpat-x@git.example.com/dbt.git",
        "gitlink_deploy_key": "EMPTY", "secret_dbt_package_repo_token": "", "secret_package_repo_token_name": "",
        "worker_num": 10, "max_requests": 35, "enable_ddtrace": false, "debug": false, "celery_log_level": "ERROR",
        "cicd_env_key": "ENV", "cicd_env_value": "prod", "app_version": "1.0.0",
        "cpu_request": "1500m", "cpu_limit": "3500m", "memory_request": "2Gi", "memory_limit": "6Gi", "storage_size": "1Gi",
    });
    let ParsedBody { request, warnings } = read(&body).unwrap();

    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(request.warehouse, Some(Warehouse::Bigquery));
    assert_eq!(request.cloud_provider, CloudProvider::Gcp);
    assert_eq!((request.customer.as_str(), request.domain.as_str()), ("acme", "fast.bi"));
    assert_eq!(request.image.tag, "v1.9.0-rc.1");
    assert_eq!(request.git.gitlink_secret.expose_secret(), "https://bot:glpat-x@git.example.com/dbt.git");
}

#[test]
fn all_errors_are_told_at_once() {
    let mut body = json!({});
    for field in fields::ALL {
        merge(&mut body, json!({ field.name(): [] }));
    }
    let errors = errors_of(read(&body));
    let names: Vec<_> = fields::ALL.iter().map(|field| field.name()).collect();

    assert_eq!(errors.len(), names.len());
    assert!(names.iter().all(|name| errors[*name].len() == 1), "{errors:?}");
    assert_eq!(errors["tag"], ["must be a string"]);
    assert_eq!(errors["worker_num"], ["must be a whole number from 1 to 20"]);
    assert_eq!(errors["debug"], ["must be `true` or `false`"]);
}

#[test]
fn null_is_as_good_as_absent() {
    let mut body = json!({});
    for field in fields::ALL {
        merge(&mut body, json!({ field.name(): null }));
    }
    merge(&mut body, json!({ "project_name": "p", "no_such_field": null }));
    let ParsedBody { request, warnings } = read(&body).unwrap();

    assert_eq!(request.hash(), read(&json!({ "project_name": "p" })).unwrap().request.hash());
    assert_eq!(warnings, ["unknown fields were ignored: `no_such_field`"]);
}

#[test]
fn without_settings_their_fields_are_required() {
    let bare = RequestDefaults { customer: None, domain: None, tag: None, ..defaults() };
    let errors = errors_of(read_with(&bare, &json!({})));

    assert_eq!(errors["project_name"], ["is required"]);
    assert_eq!(errors["customer"], ["is required, because the setting `DEFAULT_CUSTOMER` has no value"]);
    assert_eq!(errors["domain"], ["is required, because the setting `DEFAULT_DOMAIN` has no value"]);
    assert_eq!(errors["tag"], ["is required, because the setting `DEFAULT_TAG` has no value"]);
    assert_eq!(errors.len(), 4);

    let wrong = json!({ "project_name": "", "customer": "?", "domain": "?", "tag": "?" });
    let errors = errors_of(read_with(&bare, &wrong));
    assert!(errors.len() == 4 && errors.values().all(|messages| messages.len() == 1), "{errors:?}");

    let body = json!({ "project_name": "p", "customer": "c", "domain": "d.e", "tag": "t" });
    let request = read_with(&bare, &body).unwrap().request;
    assert_eq!((request.customer.as_str(), request.domain.as_str(), request.image.tag.as_str()), ("c", "d.e", "t"));
}

#[test]
fn a_wrong_value_is_wrong_even_where_a_setting_would_do() {
    for field in ["customer", "domain", "tag", "namespace", "service_account", "cloud_provider"] {
        let errors = errors_of(read(&body_with(json!({ field: "?" }))));
        assert_eq!(errors.keys().collect::<Vec<_>>(), [field]);
        assert_eq!(errors[field].len(), 1);
    }
}

#[test]
fn settings_fill_in_what_the_body_leaves_out() {
    let settings = RequestDefaults {
        cloud_provider: CloudProvider::Azure,
        service_account: Some("robot@p.iam.gserviceaccount.com".to_owned()),
        ..defaults()
    };
    let request = read_with(&settings, &body_with(json!({}))).unwrap().request;
    assert_eq!(request.cloud_provider, CloudProvider::Azure);
    assert_eq!(request.service_account.as_deref(), Some("robot@p.iam.gserviceaccount.com"));

    let own = json!({ "cloud_provider": "self-managed", "service_account": "me@p.example.com" });
    let request = read_with(&settings, &body_with(own)).unwrap().request;
    assert_eq!(request.cloud_provider, CloudProvider::SelfManaged);
    assert_eq!(request.service_account.as_deref(), Some("me@p.example.com"));
}

#[test]
fn a_service_without_a_namespace_still_answers() {
    let none = RequestDefaults { namespaces: Vec::new(), ..defaults() };
    let errors = errors_of(read_with(&none, &body_with(json!({}))));
    assert_eq!(errors["namespace"], ["is required, because no namespace is configured"]);
}

#[test]
fn settings_that_make_invalid_requests_are_found_at_start() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut RequestDefaults), expected: &str) {
        let mut settings = defaults();
        assert_eq!(settings.check(), Ok(()));
        change(&mut settings);
        assert!(settings.check().unwrap_err().starts_with(expected), "{:?}", settings.check());
    }
    check(|settings| settings.namespaces.clear(), "`KUBERNETES_NAMESPACE`: must not be empty");
    check(|settings| settings.tag = Some("a b".into()), "`DEFAULT_TAG`: must be an image tag");
    check(|settings| settings.tag = Some(String::new()), "`DEFAULT_TAG`: must not be empty");
    check(|settings| settings.service_account = Some("me".into()), "`GCP_SERVICE_ACCOUNT`: must be an e-mail address");
    let small = |settings: &mut RequestDefaults| settings.sizes.get_mut("large").unwrap().cpu_limit = "1".parse().unwrap();
    check(small, "`SERVER_SIZES`: a request of `large` is above its limit");
    let nameless = |settings: &mut RequestDefaults| {
        let size = settings.sizes["large"].clone();
        settings.sizes.insert(String::new(), size);
    };
    check(nameless, "`SERVER_SIZES`: a name must not be empty");
}

#[test]
fn a_request_does_not_depend_on_the_order_of_its_members() {
    let forwards = r#"{"project_name":"p","git_branch":"b","tag":"t"}"#;
    let backwards = r#"{"tag":"t","git_branch":"b","project_name":"p"}"#;
    let hash = |text: &str| parse(text.as_bytes(), &defaults()).unwrap().request.hash();
    assert_eq!(hash(forwards), hash(backwards));
}

/// Text that breaks YAML, shells, SQL, HTML, logs or length counting somewhere else.
const HOSTILE: [&str; 10] = [
    "a: b\n- c: |\n  d",
    "{{ .Values.x }} ${HOME} $(id) `id`",
    "'; DROP TABLE x; -- \"",
    "<script>alert(1)</script>",
    "\u{feff}\u{202e}\u{2028}\u{200b}",
    "👩‍👩‍👧‍👦 𝕏 ﷽",
    "on",
    "0123",
    "~",
    "../../etc/passwd%00",
];

#[test]
fn hostile_text_arrives_unchanged_where_any_text_is_allowed() {
    for text in HOSTILE {
        for name in ["gitlink_secret", "gitlink_deploy_key", "secret_dbt_package_repo_token", "cicd_env_value"] {
            let request = accepted(json!({ name: text }));
            let values = [
                request.git.gitlink_secret.expose_secret(),
                request.git.gitlink_deploy_key.expose_secret(),
                request.git.package_repo_token.expose_secret(),
                &request.options.cicd_env_value,
            ];
            assert_eq!(values.iter().filter(|value| **value == text).count(), 1, "{name}: {text}");
        }
    }
}

#[test]
fn hostile_text_is_taken_or_refused_by_name_in_every_field() {
    for field in fields::ALL {
        for text in HOSTILE.into_iter().chain(["\0", "a\0b", "\r\n", "\u{7f}", "\u{85}"]) {
            let Err(error) = read(&body_with(json!({ field.name(): text }))) else {
                assert!(!text.contains('\0'), "{}", field.name());
                continue;
            };
            let errors = errors_of(Err(error));
            assert_eq!(errors.keys().collect::<Vec<_>>(), [field.name()]);
        }
    }
}

#[test]
fn every_field_of_the_table_reaches_the_request() {
    let every = json!({
        "project_name": "p", "git_branch": "b", "namespace": "dbt-other", "customer": "c", "domain": "d.io", "tag": "t",
        "repository": "r", "image": "i", "environment": "e2e", "cloud_provider": "aws", "datawarehouse_type": "fabric",
        "data_warehouse_platform": "", "https_enabled": true, "dbt_repo_name": "repo", "gitlink_secret": "secret",
        "gitlink_deploy_key": "key", "secret_dbt_package_repo_token": "token", "secret_package_repo_token_name": "name",
        "basic_auth": "", "basic_auth_user": "user", "basic_auth_password": "password", "service_account": "a@b.c",
        "worker_num": 1, "max_requests": 2, "enable_ddtrace": true, "debug": true, "celery_log_level": "INFO",
        "cicd_env_key": "KEY", "cicd_env_value": "value", "app_version": "2", "size": "large", "cpu_request": "1",
        "cpu_limit": "2", "memory_request": "3Gi", "memory_limit": "4Gi", "storage_size": "5Gi",
    });
    assert!(fields::ALL.iter().all(|field| every.get(field.name()).is_some()), "a field has no example here");
    let ParsedBody { request, warnings } = read(&every).unwrap();

    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(request.identity.to_string(), "project `p`, branch `b`");
    assert_eq!(request.namespace.as_str(), "dbt-other");
    assert_eq!((request.customer.as_str(), request.domain.as_str()), ("c", "d.io"));
    assert_eq!(request.image.to_string(), "r/i:t");
    assert_eq!((request.environment, request.cloud_provider), (Environment::E2e, CloudProvider::Aws));
    assert_eq!((request.warehouse, request.https_enabled), (Some(Warehouse::Fabric), true));
    assert_eq!((request.git.dbt_repo_name.as_str(), request.git.package_repo_token_name.as_str()), ("repo", "name"));
    assert_eq!(request.git.gitlink_secret.expose_secret(), "secret");
    assert_eq!(request.git.gitlink_deploy_key.expose_secret(), "key");
    assert_eq!(request.git.package_repo_token.expose_secret(), "token");
    assert_eq!(request.credentials.user.as_deref(), Some("user"));
    assert_eq!(request.credentials.password.unwrap().expose_secret(), "password");
    assert_eq!(request.service_account.as_deref(), Some("a@b.c"));
    let options = ServerOptions {
        worker_num: 1,
        max_requests: 2,
        enable_ddtrace: true,
        debug: true,
        celery_log_level: CeleryLogLevel::Info,
        cicd_env_key: "KEY".to_owned(),
        cicd_env_value: "value".to_owned(),
        app_version: "2".to_owned(),
    };
    assert_eq!(request.options, options);
    assert_eq!(request.resources.cpu_request.as_str(), "1");
    assert_eq!(request.resources.storage_size.as_str(), "5Gi");
}
