//! Deployments as the replaced service made them: a release of a chart that prints `values.manifests`, and an Airflow connection.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_adapters_memory::ForeignConnection;
use dbt_controller_domain::model::{DeployRequest, ReleaseKey};
use dbt_controller_domain::naming::ConnectionId;
use dbt_controller_port_contracts::fixtures;
use dbt_controller_tests::{Helm, HelmVersion};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::stage::{Stage, name_of};

/// The one template of the chart `kube-core/raw`, as far as it was used.
const TEMPLATE: &str = r#"{{- range .Values.manifests }}
---
{{ $labels := dict "app.kubernetes.io/name" $.Chart.Name "app.kubernetes.io/instance" $.Release.Name -}}
{{- $labels = merge $labels (dict "helm.sh/chart" (printf "%s-%s" $.Chart.Name $.Chart.Version)) -}}
{{- $labels = merge $labels (dict "app.kubernetes.io/managed-by" $.Release.Service) -}}
{{ toYaml (merge (dict "metadata" (dict "namespace" $.Release.Namespace "labels" $labels)) .) }}
{{- end }}
"#;

/// An environment variable that its request asked for (`cicd_env_key`), and that a later one does not.
pub(crate) const OLD_VARIABLE: &str = "TARGET";

/// How it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maker {
    /// The Helm that the service called.
    pub(crate) helm: HelmVersion,
    /// Where its Secret has its values.
    pub(crate) secret: SecretField,
}

/// A field of a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretField {
    Data,
    StringData,
}

/// A deployment of the replaced service.
pub(crate) struct Replaced {
    pub(crate) key: ReleaseKey,
    /// What its objects are called.
    pub(crate) server: String,
    pub(crate) connection: ConnectionId,
    /// Its URL in Airflow.
    pub(crate) url: String,
}

impl Maker {
    /// All that are in use.
    pub(crate) const ALL: [Self; 4] = [
        Self { helm: HelmVersion::V3, secret: SecretField::StringData },
        Self { helm: HelmVersion::V3, secret: SecretField::Data },
        Self { helm: HelmVersion::V4, secret: SecretField::StringData },
        Self { helm: HelmVersion::V4, secret: SecretField::Data },
    ];

    /// Deploys as the replaced service did. It does not wait for the server.
    pub(crate) async fn deploy(self, stage: &Stage, request: &DeployRequest) -> Replaced {
        let release = request.identity.replaced_release_name().unwrap();
        let key = ReleaseKey { namespace: name_of(&stage.namespace), name: release };
        let server = format!("dbt-server-{}", key.name);
        let connection: ConnectionId = key.name.as_str().parse().unwrap();
        let login = fixtures::credentials("old");
        let url = format!("http://{server}.{}.svc.cluster.local/invocations", key.namespace);

        let secret = json!({
            "DATA_WAREHOUSE_PLATFORM": "",
            "GITLINK_SECRET": "https://bot:old-git-password@git.example.com/team/project.git",
            "SECRET_DBT_PACKAGE_REPO_TOKEN": "",
            "SECRET_PACKAGE_REPO_TOKEN_NAME": "",
            "GITLINK_DEPLOY_KEY": "EMPTY",
            "DBT_REPO_NAME": "project",
            "BASIC_AUTH_USER": login.user,
            "BASIC_AUTH_PASSWORD": login.password.expose_secret(),
            "BASIC_AUTH": format!("{}:$2b$12$abcdefghijklmnopqrstuv", login.user),
        });
        let project = request.identity.project().as_str();
        let manifests = manifests(key.name.as_str(), &server, project, &self.secret.holding(&secret));
        install(stage.helm(self.helm), key.name.as_str(), &manifests).await;
        let known = ForeignConnection::of_replaced_service(connection.clone(), key.clone(), &url, &login);
        stage.airflow.plant(known);
        Replaced { key, server, connection, url }
    }
}

impl SecretField {
    /// The field, with these texts.
    fn holding(self, texts: &Value) -> (&'static str, Value) {
        match self {
            Self::StringData => ("stringData", texts.clone()),
            Self::Data => {
                let encode = |(key, text): (&String, &Value)| (key.clone(), json!(BASE64.encode(text.as_str().unwrap())));
                ("data", Value::Object(texts.as_object().unwrap().iter().map(encode).collect::<Map<_, _>>()))
            }
        }
    }
}

/// Installs a release whose objects are these, by a chart that is no dbt server's.
pub(crate) async fn install(helm: &Helm, release: &str, manifests: &Value) {
    let folder = TempDir::new().unwrap();
    let values = folder.path().join("values.json");
    fs::write(&values, json!({"manifests": manifests}).to_string()).unwrap();
    let chart = chart(&folder);
    let arguments = ["upgrade", "--install", release, chart.to_str().unwrap(), "--values", values.to_str().unwrap()];
    helm.run(&arguments).await;
}

/// Writes the chart into a folder.
fn chart(folder: &TempDir) -> PathBuf {
    let chart = folder.path().join("raw");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: raw\nversion: 0.3.2\nappVersion: 0.2.3\n").unwrap();
    fs::write(chart.join("templates/resources.yaml"), TEMPLATE).unwrap();
    chart
}

fn manifests(release: &str, name: &str, project: &str, (field, secret): &(&str, Value)) -> Value {
    let secret_name = format!("dbt-server-secret-{release}");
    let labels = json!({"app": "fastbi-dbt-project-runner", "dbt-project": project});
    let from_secret = |key: &str| json!({"name": key, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key}}});
    let is_ready = "curl -s -X POST http://127.0.0.1:8585/ready -H 'Content-Type: application/json' -d '{}' | grep -q '{}'";
    let probe = json!({"exec": {"command": ["/bin/sh", "-c", is_ready]}, "initialDelaySeconds": 30, "periodSeconds": 10});
    let server = json!({
        "name": "dbt-server",
        "image": "4fastbi/dbt-api-server-core:0.9.0",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"privileged": true},
        "ports": [{"containerPort": 8585}],
        "readinessProbe": probe, "livenessProbe": probe, "startupProbe": probe,
        "env": [
            {"name": "DBT_PROJECT_NAME", "value": project},
            from_secret("DBT_REPO_NAME"), from_secret("GITLINK_SECRET"), from_secret("GITLINK_DEPLOY_KEY"),
            from_secret("SECRET_DBT_PACKAGE_REPO_TOKEN"), from_secret("SECRET_PACKAGE_REPO_TOKEN_NAME"),
            from_secret("DATA_WAREHOUSE_PLATFORM"),
            {"name": "DBT_SERVER_WORKER_NUM", "value": "10"},
            {"name": "DEBUG", "value": "false"},
            {"name": OLD_VARIABLE, "value": "prod"},
            {"name": "APP_VERSION", "value": "v.0.9.0"},
        ],
        "resources": {"requests": {"cpu": "1500m", "memory": "2Gi"}, "limits": {"cpu": "3500m", "memory": "6Gi"}},
        "volumeMounts": [{"name": name, "mountPath": "/data"}, {"name": name, "mountPath": "/usr/src/app/working-dir"}],
    });
    let proxy = json!({
        "name": "dbt-server-nginx-proxy",
        "image": "nginx:stable-bullseye",
        "ports": [{"containerPort": 8080}],
        "volumeMounts": [
            {"name": "nginx-conf", "mountPath": "/etc/nginx/conf.d/default.conf", "subPath": "default.conf"},
            {"name": "htpasswd", "mountPath": "/etc/apache2"},
        ],
    });
    let pod = json!({
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "fsGroup": 0},
        "containers": [server, proxy],
        "volumes": [
            {"name": "nginx-conf", "configMap": {"name": format!("{name}-nginx-cm")}},
            {"name": "htpasswd", "secret": {"secretName": secret_name, "items": [{"key": "BASIC_AUTH", "path": ".htpasswd"}]}},
        ],
    });
    let template = json!({
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    json!([
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret_name}, "type": "Opaque", *field: secret},
        {
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("{name}-nginx-cm")},
            "data": {"default.conf": "server { listen 8080; }"},
        },
        {
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "serviceName": name, "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
                "volumeClaimTemplates": [template],
            },
        },
        {
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name},
            // The project alone: two branches served each other's traffic.
            "spec": {
                "type": "ClusterIP", "selector": {"dbt-project": project},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
            },
        },
    ])
}
