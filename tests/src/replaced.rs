//! Deployments as the replaced service made them: a release of a chart that prints `values.manifests`.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::Helm;

/// The name of its chart.
pub const CHART: &str = "raw";
/// The one template of the chart `kube-core/raw`, as far as it was used.
const TEMPLATE: &str = r#"{{- range .Values.manifests }}
---
{{ $labels := dict "app.kubernetes.io/name" $.Chart.Name "app.kubernetes.io/instance" $.Release.Name -}}
{{- $labels = merge $labels (dict "helm.sh/chart" (printf "%s-%s" $.Chart.Name $.Chart.Version)) -}}
{{- $labels = merge $labels (dict "app.kubernetes.io/managed-by" $.Release.Service) -}}
{{ toYaml (merge (dict "metadata" (dict "namespace" $.Release.Namespace "labels" $labels)) .) }}
{{- end }}
"#;

/// The tag of its image.
pub const TAG: &str = "0.9.0";
/// The size of its volume.
pub const SIZE: &str = "1Gi";
/// An environment variable that its request asked for (`cicd_env_key`), and that a later one does not.
pub const OLD_VARIABLE: &str = "TARGET";

/// What differs from one to the other.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'a> {
    /// The name of its release, and the id of its connection.
    pub release: &'a str,
    /// Its project.
    pub project: &'a str,
    /// The user and the password of its login.
    pub login: (&'a str, &'a str),
    /// Where its Secret has its values.
    pub secret: SecretField,
}

/// A field of a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretField {
    /// Encoded.
    Data,
    /// As they are; the API server encodes them.
    StringData,
}

/// What the objects of a release are called.
#[must_use]
pub fn server(release: &str) -> String {
    format!("dbt-server-{release}")
}

/// What its connection calls.
#[must_use]
pub fn url(release: &str, namespace: &str) -> String {
    format!("http://{}.{namespace}.svc.cluster.local/invocations", server(release))
}

/// What its connection says of itself.
#[must_use]
pub fn description(url: &str) -> String {
    format!("dbt API server. Configuration to call {url}")
}

/// Installs a release whose objects are these, by a chart that is no dbt server's.
///
/// # Panics
///
/// When Helm ends with an error.
pub async fn install(helm: &Helm, release: &str, manifests: &Value) {
    let folder = TempDir::new().unwrap();
    let values = folder.path().join("values.json");
    fs::write(&values, json!({"manifests": manifests}).to_string()).unwrap();
    let chart = chart(&folder);
    let arguments = ["upgrade", "--install", release, chart.to_str().unwrap(), "--values", values.to_str().unwrap()];
    helm.run(&arguments).await;
}

/// Writes the chart into a folder.
fn chart(folder: &TempDir) -> PathBuf {
    let chart = folder.path().join(CHART);
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), format!("apiVersion: v2\nname: {CHART}\nversion: 0.3.2\nappVersion: 0.2.3\n")).unwrap();
    fs::write(chart.join("templates/resources.yaml"), TEMPLATE).unwrap();
    chart
}

// === impl Deployment ===

impl Deployment<'_> {
    /// Makes its release, and does not wait for the server. Its connection is left to the caller, who knows Airflow.
    ///
    /// # Panics
    ///
    /// When Helm ends with an error.
    pub async fn install(&self, helm: &Helm) {
        install(helm, self.release, &self.manifests()).await;
    }

    fn texts(&self) -> Value {
        let (user, password) = self.login;
        json!({
            "DATA_WAREHOUSE_PLATFORM": "",
            "GITLINK_SECRET": "https://bot:old-git-password@git.example.com/team/project.git",
            "SECRET_DBT_PACKAGE_REPO_TOKEN": "",
            "SECRET_PACKAGE_REPO_TOKEN_NAME": "",
            "GITLINK_DEPLOY_KEY": "EMPTY",
            "DBT_REPO_NAME": "project",
            "BASIC_AUTH_USER": user,
            "BASIC_AUTH_PASSWORD": password,
            "BASIC_AUTH": format!("{user}:$2b$12$abcdefghijklmnopqrstuv"),
        })
    }

    fn manifests(&self) -> Value {
        let Self { release, project, login: _, secret } = self;
        let name = server(release);
        let secret_name = format!("dbt-server-secret-{release}");
        let (field, texts) = secret.holding(&self.texts());
        let labels = json!({"app": "fastbi-dbt-project-runner", "dbt-project": project});
        let template = json!({
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": SIZE}}},
        });
        json!([
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret_name}, "type": "Opaque", field: texts},
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
                    "template": {"metadata": {"labels": labels}, "spec": pod(&name, project, &secret_name)},
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
}

fn pod(name: &str, project: &str, secret_name: &str) -> Value {
    let from_secret = |key: &str| json!({"name": key, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key}}});
    let is_ready = "curl -s -X POST http://127.0.0.1:8585/ready -H 'Content-Type: application/json' -d '{}' | grep -q '{}'";
    let probe = json!({"exec": {"command": ["/bin/sh", "-c", is_ready]}, "initialDelaySeconds": 30, "periodSeconds": 10});
    let server = json!({
        "name": "dbt-server",
        "image": format!("4fastbi/dbt-api-server-core:{TAG}"),
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
            {"name": "APP_VERSION", "value": format!("v.{TAG}")},
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
    json!({
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "fsGroup": 0},
        "containers": [server, proxy],
        "volumes": [
            {"name": "nginx-conf", "configMap": {"name": format!("{name}-nginx-cm")}},
            {"name": "htpasswd", "secret": {"secretName": secret_name, "items": [{"key": "BASIC_AUTH", "path": ".htpasswd"}]}},
        ],
    })
}

// === impl SecretField ===

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
