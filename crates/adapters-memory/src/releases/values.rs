//! The values of a revision, made from its request when somebody asks. Every secret in them is `***`.
//!
//! They show what `/projects` needs to show and follow the objects of the replaced service; the real ones are the Helm adapter's.

use dbt_controller_domain::model::{CloudProvider, DeployRequest, REDACTED, ReleaseKey, Warehouse};
use serde_json::{Map, Value, json};

use super::content::{Content, OurContent};

/// Keys of the server's Secret.
const SECRET_KEYS: [&str; 9] = [
    "DATA_WAREHOUSE_PLATFORM",
    "GITLINK_SECRET",
    "SECRET_DBT_PACKAGE_REPO_TOKEN",
    "SECRET_PACKAGE_REPO_TOKEN_NAME",
    "GITLINK_DEPLOY_KEY",
    "DBT_REPO_NAME",
    "BASIC_AUTH_USER",
    "BASIC_AUTH_PASSWORD",
    "BASIC_AUTH",
];

/// Those that are environment variables of the server.
const SECRET_VARIABLES: [&str; 6] = [
    "DBT_REPO_NAME",
    "GITLINK_SECRET",
    "GITLINK_DEPLOY_KEY",
    "SECRET_DBT_PACKAGE_REPO_TOKEN",
    "SECRET_PACKAGE_REPO_TOKEN_NAME",
    "DATA_WAREHOUSE_PLATFORM",
];

pub(super) fn of(key: &ReleaseKey, content: &Content) -> Value {
    match content {
        Content::Ours(ours) => Values { key, ours, name: ours.server.as_str() }.all(),
        Content::Foreign(_) => json!({ "manifests": [] }),
    }
}

struct Values<'a> {
    key: &'a ReleaseKey,
    ours: &'a OurContent,
    /// Of the StatefulSet and most other objects.
    name: &'a str,
}

impl Values<'_> {
    fn all(&self) -> Value {
        let OurContent { home, connection_id, request_hash, manifest_hash, request, .. } = self.ours;
        let mut manifests = vec![self.service_account(), self.secret(), self.config_map(), self.service(), self.stateful_set()];
        if request.https_enabled {
            manifests.push(self.ingress());
        }
        json!({
            "manifests": manifests,
            "controller": {
                "project": request.identity.project().as_str(),
                "branch": request.identity.branch().map(|branch| branch.as_str()),
                "connection_id": connection_id.as_ref().map(|id| id.as_str()),
                "request_hash": request_hash.as_str(),
                "manifest_hash": manifest_hash.0,
                "home": home.as_str(),
            },
        })
    }

    fn object(&self, api_version: &str, kind: &str, name: &str, fields: Value) -> Value {
        let identity = &self.ours.request.identity;
        let mut labels = json!({
            "app": "fastbi-dbt-project-runner",
            "dbt-project": identity.project_label().as_str(),
        });
        let mut annotations = json!({ "dbt-controller/project": identity.project().as_str() });
        if let Some((label, branch)) = identity.branch_label().zip(identity.branch()) {
            labels["dbt-branch"] = json!(label.as_str());
            annotations["dbt-controller/branch"] = json!(branch.as_str());
        }
        let metadata = json!({ "name": name, "namespace": self.key.namespace.as_str(), "labels": labels, "annotations": annotations });
        let mut object = Map::from_iter([
            ("apiVersion".to_owned(), json!(api_version)),
            ("kind".to_owned(), json!(kind)),
            ("metadata".to_owned(), metadata),
        ]);
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        Value::Object(object)
    }

    fn service_account(&self) -> Value {
        let mut object = self.object("v1", "ServiceAccount", self.name, json!({}));
        let request = &self.ours.request;
        if let Some(account) = request.service_account.as_ref().filter(|_| request.cloud_provider == CloudProvider::Gcp) {
            object["metadata"]["annotations"]["iam.gke.io/gcp-service-account"] = json!(account);
        }
        object
    }

    fn secret(&self) -> Value {
        let data: Map<_, _> = SECRET_KEYS.into_iter().map(|key| (key.to_owned(), json!(REDACTED))).collect();
        self.object("v1", "Secret", &self.key.name.secret_name(), json!({ "type": "Opaque", "data": data }))
    }

    fn config_map(&self) -> Value {
        let server = "server { listen 8080; location / { proxy_pass http://127.0.0.1:8585; } }";
        self.object("v1", "ConfigMap", &self.config_map_name(), json!({ "data": { "default.conf": server } }))
    }

    fn config_map_name(&self) -> String {
        format!("{}-nginx-cm", self.name)
    }

    fn service(&self) -> Value {
        let port = json!({ "name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP" });
        let spec = json!({ "type": "ClusterIP", "selector": self.selector(), "ports": [port] });
        self.object("v1", "Service", self.name, json!({ "spec": spec }))
    }

    fn selector(&self) -> Value {
        json!({ "app.kubernetes.io/instance": self.key.name.as_str() })
    }

    fn stateful_set(&self) -> Value {
        let claim = json!({
            "metadata": { "name": self.name },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": self.ours.request.resources.storage_size.as_str() } },
            },
        });
        let spec = json!({
            "serviceName": self.name,
            "selector": { "matchLabels": self.selector() },
            "template": {
                "metadata": { "labels": self.selector() },
                "spec": {
                    "serviceAccountName": self.name,
                    "containers": [self.server_container(), self.proxy_container()],
                    "volumes": self.volumes(),
                },
            },
            "volumeClaimTemplates": [claim],
        });
        self.object("apps/v1", "StatefulSet", self.name, json!({ "spec": spec }))
    }

    fn server_container(&self) -> Value {
        let DeployRequest { image, resources, .. } = &self.ours.request;
        let mut mounts =
            vec![json!({ "name": self.name, "mountPath": "/data" }), json!({ "name": self.name, "mountPath": "/usr/src/app/working-dir" })];
        if self.ours.request.warehouse.is_some() {
            mounts.push(json!({ "name": "warehouse", "mountPath": "/fastbi/secrets", "readOnly": true }));
        }
        json!({
            "name": "dbt-server",
            "image": image.to_string(),
            "ports": [{ "containerPort": 8585 }],
            "env": self.environment(),
            "resources": {
                "requests": { "cpu": resources.cpu_request.as_str(), "memory": resources.memory_request.as_str() },
                "limits": { "cpu": resources.cpu_limit.as_str(), "memory": resources.memory_limit.as_str() },
            },
            "volumeMounts": mounts,
        })
    }

    fn environment(&self) -> Value {
        let DeployRequest { identity, options, .. } = &self.ours.request;
        let plain = |name: &str, value: String| json!({ "name": name, "value": value });
        let mut variables = vec![plain("DBT_PROJECT_NAME", identity.project().to_string())];
        if let Some(branch) = identity.branch().filter(|branch| branch.as_str() != "main") {
            variables.push(plain("GIT_BRANCH", branch.to_string()));
        }
        let secret = self.key.name.secret_name();
        variables
            .extend(SECRET_VARIABLES.map(|key| json!({ "name": key, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } })));
        variables.extend([
            plain("DBT_SERVER_WORKER_NUM", options.worker_num.to_string()),
            plain("DBT_SERVER_MAX_REQUESTS", options.max_requests.to_string()),
            plain("DBT_SERVER_ENABLE_DDTRACE", options.enable_ddtrace.to_string()),
            plain("DEBUG", options.debug.to_string()),
            plain("CELERYD_LOG_LEVEL", options.celery_log_level.to_string()),
            plain(&options.cicd_env_key, options.cicd_env_value.clone()),
            plain("APP_VERSION", format!("v.{}", options.app_version)),
        ]);
        json!(variables)
    }

    fn proxy_container(&self) -> Value {
        json!({
            "name": "dbt-server-nginx-proxy",
            "image": "nginx:stable-bullseye",
            "ports": [{ "containerPort": 8080 }],
            "volumeMounts": [
                { "name": "nginx", "mountPath": "/etc/nginx/conf.d/default.conf", "subPath": "default.conf" },
                { "name": "login", "mountPath": "/etc/apache2" },
            ],
        })
    }

    fn volumes(&self) -> Value {
        let login = json!({
            "secretName": self.key.name.secret_name(),
            "items": [{ "key": "BASIC_AUTH", "path": ".htpasswd" }],
        });
        let mut volumes =
            vec![json!({ "name": "nginx", "configMap": { "name": self.config_map_name() } }), json!({ "name": "login", "secret": login })];
        if let Some(warehouse) = self.ours.request.warehouse.map(Warehouse::secret_name) {
            volumes.push(json!({ "name": "warehouse", "secret": { "secretName": warehouse } }));
        }
        json!(volumes)
    }

    fn ingress(&self) -> Value {
        let host = self.ours.facts(self.key, None).host;
        let backend = json!({ "service": { "name": self.name, "port": { "name": "http" } } });
        let paths = json!({ "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] });
        let spec = json!({
            "ingressClassName": "traefik",
            "rules": [{ "host": host, "http": paths }],
            "tls": [{ "hosts": [host], "secretName": self.key.name.tls_secret_name() }],
        });
        self.object("networking.k8s.io/v1", "Ingress", self.name, json!({ "spec": spec }))
    }
}
