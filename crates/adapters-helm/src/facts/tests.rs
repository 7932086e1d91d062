use dbt_controller_domain::Identity;
use dbt_controller_domain::model::{DesiredRelease, OperationId};
use dbt_controller_port_contracts::fixtures;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::*;
use crate::content::{Content, Inherited, release_content};
use crate::{Gateway, ServerSettings};

/// As the replaced service wrote it, by the chart `raw`: the label of the server is on the pods only.
const REPLACED: &str = r#"
---
# Source: raw/templates/resources.yaml
apiVersion: v1
kind: Secret
metadata: {name: dbt-server-secret-dbt-shop-1a2b3c4d}
type: Opaque
stringData:
  BASIC_AUTH_USER: dbt_server_agent_x1y2z
  BASIC_AUTH_PASSWORD: canary-password-of-32-characters
  BASIC_AUTH: "dbt_server_agent_x1y2z:$2b$12$abc"
  DATA_WAREHOUSE_PLATFORM: bigquery
  GITLINK_DEPLOY_KEY: EMPTY
data:
  GITLINK_SECRET: aHR0cHM6Ly9ib3Q6Y2FuYXJ5LXRva2VuQGdpdC5leGFtcGxlLmNvbS9w
---
apiVersion: v1
kind: Service
metadata: {name: dbt-server-dbt-shop-1a2b3c4d}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: dbt-server-dbt-shop-1a2b3c4d}
spec:
  serviceName: dbt-server-dbt-shop-1a2b3c4d
  template:
    metadata: {labels: {app: fastbi-dbt-project-runner, dbt-project: shop}}
    spec:
      containers:
      - {name: dbt-server-nginx-proxy, image: "nginx:stable-bullseye"}
      - {name: dbt-server, image: "4fastbi/dbt-api-server-core:0.9"}
  volumeClaimTemplates:
  - {metadata: {name: x}, spec: {resources: {requests: {storage: 5Gi}}}}
"#;

fn key(name: &str) -> ReleaseKey {
    ReleaseKey { namespace: fixtures::namespace(), name: name.parse().unwrap() }
}

fn content(desired: &DesiredRelease, gateway: Gateway) -> Content {
    let settings = ServerSettings { gateway, ..ServerSettings::default() };
    release_content(desired, &Inherited { htpasswd: None, created_at: Timestamp::UNIX_EPOCH }, &settings).unwrap()
}

fn deployment(key: &ReleaseKey, manifest: &str) -> Option<DeploymentFacts> {
    let manifest = Manifest::from_text(manifest).unwrap();
    Recorded { key, revision: RevisionNumber(1), values: &json!({}), manifest: &manifest }.deployment()
}

#[test]
fn a_release_of_ours_tells_what_was_asked_for() {
    for request in [fixtures::request("Проект", Some("feature/x")), fixtures::request("shop", None).https()] {
        let desired = DesiredRelease { after: Some(RevisionNumber(4)), ..request.desired() };
        let content = content(&desired, Gateway::Ingress);
        let values = content.values();
        let recorded = Recorded { key: &desired.key, revision: RevisionNumber(5), values: &values, manifest: &content.manifest };
        let server = desired.server_key();
        let expected = DeploymentFacts {
            identity: Some(desired.request.identity.clone()),
            ours: true,
            home: Some(desired.home.clone()),
            server: desired.server.clone(),
            connection_id: desired.connection_id.clone(),
            host: desired.request.host(&server),
            url: desired.request.invocations_url(&server),
            image: "4fastbi/dbt-api-server-core:1.0.0".to_owned(),
            storage: Some("1Gi".parse().unwrap()),
            request_hash: Some(desired.request.hash()),
            manifest_hash: Some(content.manifest_hash().clone()),
            operation: Some(desired.operation.clone()),
        };
        assert_eq!(recorded.deployment(), Some(expected.clone()));
        assert_eq!(recorded.credentials(), Some(desired.credentials.clone()));
        let copied = Recorded { revision: RevisionNumber(6), ..recorded };
        assert_eq!(copied.deployment(), Some(DeploymentFacts { operation: None, ..expected }));
    }
}

#[test]
fn objects_that_somebody_changed_have_another_hash_than_the_recorded_one() {
    let desired = fixtures::request("shop", None).desired();
    let content = content(&desired, Gateway::Ingress);
    let values = content.values();
    let text = content.manifest.to_text().replace("memory: 6Gi", "memory: 7Gi");
    let changed = Manifest::from_text(&text).unwrap();
    let recorded = Recorded { key: &desired.key, revision: RevisionNumber(1), values: &values, manifest: &changed };
    let facts = recorded.deployment().unwrap();
    assert!(facts.ours);
    assert_eq!(facts.manifest_hash, Some(changed.hash()));
    assert_ne!(facts.manifest_hash.as_ref(), Some(content.manifest_hash()));
}

#[test]
fn a_release_of_the_replaced_service_is_a_deployment() {
    let release = key("dbt-shop-1a2b3c4d");
    let facts = deployment(&release, REPLACED).unwrap();
    let host = "dbt-server-dbt-shop-1a2b3c4d.dbt-server.svc.cluster.local";
    let expected = DeploymentFacts {
        identity: None::<Identity>,
        ours: false,
        home: None,
        server: "dbt-server-dbt-shop-1a2b3c4d".parse().unwrap(),
        connection_id: Some("dbt-shop-1a2b3c4d".parse().unwrap()),
        host: host.to_owned(),
        url: format!("http://{host}/invocations"),
        image: "4fastbi/dbt-api-server-core:0.9".to_owned(),
        storage: Some("5Gi".parse().unwrap()),
        request_hash: None,
        manifest_hash: None,
        operation: None::<OperationId>,
    };
    assert_eq!(facts, expected);
}

#[test]
fn a_published_server_is_reached_at_its_host() {
    let release = key("dbt-shop-1a2b3c4d");
    for (gateway, url) in [
        (
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {rules: [{host: a.example.com}], tls: [{secretName: x}]}}",
            "https://a.example.com/invocations",
        ),
        (
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {rules: [{}, {host: a.example.com}], tls: []}}",
            "http://a.example.com/invocations",
        ),
        (
            "{apiVersion: traefik.io/v1alpha1, kind: IngressRoute, metadata: {name: a}, spec: {routes: [{match: 'PathPrefix(`/`) && Host(`a.example.com`)'}], tls: {}}}",
            "https://a.example.com/invocations",
        ),
        (
            "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: {hostnames: [a.example.com]}}",
            "https://a.example.com/invocations",
        ),
        (
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {}}",
            "http://dbt-server-dbt-shop-1a2b3c4d.dbt-server.svc.cluster.local/invocations",
        ),
    ] {
        let facts = deployment(&release, &format!("{REPLACED}---\n{gateway}\n")).unwrap();
        assert_eq!(facts.url, url);
        assert_eq!(facts.host, url.split('/').nth(2).unwrap());
    }
}

#[test]
fn our_own_gateways_are_read_as_they_are_written() {
    for gateway in Gateway::ALL {
        let desired = fixtures::request("shop", None).https().desired();
        let manifest = content(&desired, *gateway).manifest;
        // As if the values were lost.
        let facts = Recorded { key: &desired.key, revision: RevisionNumber(1), values: &json!({}), manifest: &manifest }.deployment();
        assert_eq!(facts.unwrap().url, desired.request.invocations_url(&desired.server_key()));
    }
}

#[test]
fn other_releases_are_no_deployments() {
    let release = key("other");
    assert_eq!(deployment(&release, ""), None);
    assert_eq!(deployment(&release, &REPLACED.replace("fastbi-dbt-project-runner", "other")), None);
    assert_eq!(deployment(&release, &REPLACED.replace("kind: StatefulSet", "kind: Deployment")), None);
    let on_itself = REPLACED.replace("template:\n    metadata: {labels: {app: fastbi-dbt-project-runner, dbt-project: shop}}", "template:");
    assert_eq!(deployment(&release, &on_itself), None);
    let on_itself =
        on_itself.replace("kind: StatefulSet\nmetadata: {", "kind: StatefulSet\nmetadata: {labels: {app: fastbi-dbt-project-runner}, ");
    assert!(deployment(&release, &on_itself).is_some());
}

// === secrets ===

#[test]
fn a_login_is_read_from_either_form_of_secret() {
    let manifest = Manifest::from_text(REPLACED).unwrap();
    let recorded = Recorded { key: &key("a"), revision: RevisionNumber(1), values: &json!({}), manifest: &manifest };
    let login = recorded.credentials().unwrap();
    assert_eq!((login.user.as_str(), login.password.expose_secret()), ("dbt_server_agent_x1y2z", "canary-password-of-32-characters"));
    assert_eq!(recorded.htpasswd().as_deref(), Some("dbt_server_agent_x1y2z:$2b$12$abc"));
    let folded = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n  BASIC_AUTH_USER: Y2k=\n  BASIC_AUTH_PASSWORD: |\n    MTIzND\n    U2Nzg=\n";
    let manifest = Manifest::from_text(folded).unwrap();
    let login = Recorded { manifest: &manifest, ..recorded }.credentials().unwrap();
    assert_eq!((login.user.as_str(), login.password.expose_secret()), ("ci", "12345678"));
    for none in [
        "",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {BASIC_AUTH_USER: Y2k=}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {BASIC_AUTH_USER: Y2k=, BASIC_AUTH_PASSWORD: '%'}\n",
    ] {
        let manifest = Manifest::from_text(none).unwrap();
        assert_eq!(Recorded { manifest: &manifest, ..recorded }.credentials(), None, "{none}");
    }
}

#[test]
fn the_redactor_knows_every_secret_and_leaves_ordinary_words() {
    let manifest = Manifest::from_text(REPLACED).unwrap();
    let recorded = Recorded { key: &key("a"), revision: RevisionNumber(1), values: &json!({}), manifest: &manifest };
    let text =
        "bigquery EMPTY dbt_server_agent_x1y2z canary-password-of-32-characters canary-token Y2FuYXJ5LXBhc3N3b3JkLW9mLTMyLWNoYXJhY3RlcnM=";
    assert_eq!(recorded.redactor().redact(text), "bigquery EMPTY dbt_server_agent_x1y2z *** *** ***");
}

#[test]
fn values_of_ours_show_no_secret_and_everything_else() {
    let request = fixtures::request("shop", None).git_url("https://bot:canary_git@git.example.com/p.git").package_token("canary-package");
    let desired = request.with(|request| {
        request.options.cicd_env_key = "API_TOKEN".to_owned();
        request.options.cicd_env_value = "canary-variable".to_owned();
    });
    let desired = desired.desired();
    let content = content(&desired, Gateway::Ingress);
    let values = content.values();
    let shown = Recorded { key: &desired.key, revision: RevisionNumber(1), values: &values, manifest: &content.manifest }.redacted_values();
    let text = shown.to_string();
    for secret in ["canary", desired.credentials.password.expose_secret()] {
        assert!(!text.contains(secret), "{text}");
    }
    let secret = shown["manifests"].as_array().unwrap().iter().find(|object| object["kind"] == "Secret").unwrap();
    assert!(secret["data"].as_object().unwrap().values().all(|value| value == "***"));
    assert_eq!(secret["data"].as_object().unwrap().len(), 9);
    assert_eq!(shown["controller"], values["controller"]);
    let [with, without] =
        [&shown, &values].map(|values| values["manifests"].as_array().unwrap().iter().find(|object| object["kind"] == "ConfigMap"));
    assert_eq!(with, without);
}

#[test]
fn values_of_other_charts_show_no_secret() {
    let values = json!({
        "manifests": [{ "kind": "Secret", "metadata": { "name": "x" }, "stringData": { "a": "canary-1", "deep": { "b": ["canary-2", 3] } } }],
        "auth": { "enabled": true, "adminPassword": "canary-3", "existingSecretName": "kept", "tokens": ["canary-4", { "value": "kept-too" }] },
        "env": [{ "name": "API_TOKEN", "value": "canary-5" }, { "name": "LEVEL", "value": "info" }],
        "url": "postgres://user:canary-6@db.example.com/x",
        "text": "the password is canary-1",
        "private-key": "canary-7",
        "aws_access_key": 12345,
        "password": null,
    });
    let manifest = Manifest::default();
    let shown = Recorded { key: &key("other"), revision: RevisionNumber(1), values: &values, manifest: &manifest }.redacted_values();
    let expected = json!({
        "manifests": [{ "kind": "Secret", "metadata": { "name": "x" }, "stringData": { "a": "***", "deep": { "b": ["***", "***"] } } }],
        "auth": { "enabled": true, "adminPassword": "***", "existingSecretName": "kept", "tokens": ["***", { "value": "kept-too" }] },
        "env": [{ "name": "API_TOKEN", "value": "***" }, { "name": "LEVEL", "value": "info" }],
        "url": "postgres://***@db.example.com/x",
        "text": "the password is ***",
        "private-key": "***",
        "aws_access_key": "***",
        "password": null,
    });
    assert_eq!(shown, expected);
}

#[test]
fn odd_values_do_not_stop_anybody() {
    let manifest = Manifest::default();
    for values in [json!(null), json!([]), json!("text"), json!({ "manifests": null, "controller": [] })] {
        let recorded = Recorded { key: &key("other"), revision: RevisionNumber(1), values: &values, manifest: &manifest };
        assert_eq!(recorded.deployment(), None);
        assert_eq!(recorded.redacted_values(), values);
    }
}
