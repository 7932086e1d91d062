use std::net::IpAddr;

use secrecy::ExposeSecret as _;

use super::super::http::reachable;
use super::super::table::TABLE;
use super::*;

const KEY: &str = "a-key-for-the-tests-1";

/// For each setting a value that is not its default.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("SECRET_KEY", "another-key-of-tests"),
    ("SECRET_KEY_PREVIOUS", "the-key-before-that-one"),
    ("HOST", "127.0.0.2"),
    ("PORT", "8080"),
    ("KUBERNETES_NAMESPACE", "elsewhere"),
    ("KUBERNETES_CONTEXT", "staging"),
    ("HELM_ENGINE", "command"),
    ("ALLOWED_NAMESPACES", "team-a, team-b"),
    ("CLOUD_PROVIDER", "aws"),
    ("GCP_SERVICE_ACCOUNT", "dbt@project.iam.gserviceaccount.com"),
    ("DEFAULT_CUSTOMER", "acme"),
    ("DEFAULT_DOMAIN", "acme.example"),
    ("DEFAULT_TAG", "2.0.0"),
    (
        "SERVER_SIZES",
        r#"{"small": {"cpu_request": "100m", "cpu_limit": "1", "memory_request": "1Gi", "memory_limit": "1Gi", "storage_size": "1Gi"}}"#,
    ),
    ("SERVER_HOST_TEMPLATE", "{name}.dbt.{domain}"),
    ("SERVER_IMAGE_PULL_POLICY", "Never"),
    ("SERVER_GATEWAY", "httproute"),
    ("SERVER_PROXY_TIMEOUT", "10m"),
    ("SERVER_TERMINATION_GRACE", "5s"),
    ("SERVER_EPHEMERAL_STORAGE_LIMIT", "2Gi"),
    ("SERVER_SECURITY", "legacy"),
    ("SERVER_OVERLAY_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings/tests/overlay.yaml")),
    ("AIRFLOW_URL", "https://airflow.example.com/team"),
    ("AIRFLOW_USER", "op"),
    ("AIRFLOW_PASSWORD", "another-password"),
    ("AIRFLOW_CA_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/src/settings/tests/ca.pem")),
    ("SLEEP_WITH_DAGS", "true"),
    ("DAGS_INTERVAL", "5m"),
    ("DEPLOY_TIMEOUT", "10m"),
    ("UNDO_TIMEOUT", "4m"),
    ("PULL_ERROR_WINDOW", "250ms"),
    ("CRASH_LOOP_RESTARTS", "5"),
    ("NO_POD_WINDOW", "1s"),
    ("MAX_CONCURRENT_DEPLOYMENTS", "2"),
    ("MAX_QUEUED_OPERATIONS", "0"),
    ("OPERATION_RETENTION", "2h"),
    ("LOCK_STALE_AFTER", "6s"),
    ("REQUESTS_PER_SECOND", "1000"),
    ("MAX_CONNECTIONS", "1000"),
    ("CORS_ORIGINS", ""),
    ("SHUTDOWN_GRACE", "0"),
    ("FLASK_ENV", "development"),
    ("LOG_LEVEL", "WARNING"),
    ("DEBUG", "true"),
    ("EMBEDDED_READY_AFTER", "0s"),
];

/// Everything that the settings say, secrets included, but not the copy that `/info` shows.
fn effect(settings: &Settings) -> String {
    let Settings { http, defaults, cluster, airflow, workflows, logs, shutdown_grace, embedded_ready_after, shown: _ } = settings;
    let secrets: Vec<_> = [&http.token, &http.previous_token].into_iter().flatten().map(|secret| secret.expose_secret()).collect();
    let airflow = airflow.as_ref().map(|airflow| (&airflow.url, &airflow.user, airflow.password.expose_secret(), &airflow.ca_certificates));
    format!("{http:?} {defaults:?} {cluster:?} {airflow:?} {workflows:?} {logs:?} {shutdown_grace:?} {embedded_ready_after:?} {secrets:?}")
}

#[test]
fn every_setting_has_an_effect() {
    for setting in TABLE.iter().filter(|setting| setting.name != "CONFIG_FILE") {
        let (name, text) = OTHER_VALUES.iter().find(|(name, _)| *name == setting.name).expect(setting.name);
        let airflow = [("AIRFLOW_URL", "https://airflow:8080"), ("AIRFLOW_USER", "admin"), ("AIRFLOW_PASSWORD", "a-password")];
        for (embedded, base) in [(false, [&[("SECRET_KEY", KEY)], &airflow[..]].concat()), (true, airflow.to_vec())] {
            let changed: Vec<_> = base.iter().copied().filter(|(other, _)| other != name).chain([(*name, *text)]).collect();
            let before = load(embedded, &environment(&base)).unwrap();
            let after = load(embedded, &environment(&changed)).unwrap();
            assert_ne!(effect(&before), effect(&after), "{name}");
        }
    }
}

#[test]
fn embedded_needs_no_setting_at_all_and_listens_to_this_machine_only() {
    let settings = load_embedded(&[]).unwrap();
    assert!(settings.http.listen.host.is_loopback());
    assert!(settings.http.token.is_none());
    assert!(settings.defaults.customer.is_some() && settings.defaults.domain.is_some() && settings.defaults.tag.is_some());
}

#[test]
fn a_real_cluster_needs_a_key_only_and_listens_to_everybody() {
    let settings = load_with(&[("SECRET_KEY", KEY)]).unwrap();
    assert!(settings.http.listen.host.is_unspecified());
    assert!(settings.defaults.customer.is_none() && settings.defaults.domain.is_none() && settings.defaults.tag.is_none());
}

#[test]
fn the_defaults_of_the_table_are_those_of_the_domain() {
    let expected = model::Settings::new("dbt-server".parse().unwrap());
    assert_eq!(format!("{:?}", load_with(&[("SECRET_KEY", KEY)]).unwrap().workflows), format!("{expected:?}"));
}

#[test]
fn an_allowed_namespace_counts_once_after_the_own_one() {
    let variables = [("SECRET_KEY", KEY), ("KUBERNETES_NAMESPACE", "home"), ("ALLOWED_NAMESPACES", "a,home, b ,a,")];
    let namespaces = load_with(&variables).unwrap().workflows.namespaces;
    assert_eq!(namespaces.iter().map(|namespace| namespace.as_str()).collect::<Vec<_>>(), ["home", "a", "b"]);
}

#[test]
fn debug_raises_the_level_unless_one_is_set() {
    let level = |variables: &[(&str, &str)]| load_embedded(variables).unwrap().logs.level;
    assert_eq!(level(&[]), LogLevel::INFO);
    assert_eq!(level(&[("DEBUG", "1")]), LogLevel::DEBUG);
    assert_eq!(level(&[("DEBUG", "1"), ("LOG_LEVEL", "critical")]), LogLevel::ERROR);
}

#[test]
fn an_empty_text_means_the_default() {
    let settings = load_embedded(&[("PORT", ""), ("DEFAULT_TAG", ""), ("SECRET_KEY_PREVIOUS", ""), ("DEPLOY_TIMEOUT", "")]).unwrap();
    assert_eq!(effect(&settings), effect(&load_embedded(&[]).unwrap()));
}

#[test]
fn what_listens_everywhere_is_reached_by_loopback() {
    let check = |host: &str, expected: &str| {
        let host: IpAddr = host.parse().unwrap();
        assert_eq!(reachable((host, 80).into()).to_string(), expected);
    };
    check("0.0.0.0", "127.0.0.1:80");
    check("::", "[::1]:80");
    check("10.0.0.1", "10.0.0.1:80");
}

#[test]
fn info_shows_what_is_in_force_and_no_secret() {
    let shown = load_with(&[("SECRET_KEY", KEY), ("DEPLOY_TIMEOUT", "10m"), ("CORS_ORIGINS", ""), ("UNDO_TIMEOUT", "")]).unwrap().shown;
    assert_eq!((shown["CORS_ORIGINS"].as_str(), shown["UNDO_TIMEOUT"].as_str()), ("", "5m"));
    assert_eq!(shown["SECRET_KEY"], "***");
    assert_eq!(shown["DEPLOY_TIMEOUT"], "10m");
    assert_eq!(shown["PORT"], "6798");
    assert!(!shown.contains_key("SECRET_KEY_PREVIOUS") && !shown.contains_key("DEFAULT_TAG"), "{shown:?}");
}
