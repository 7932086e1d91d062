//! The container of the dbt server.

use std::collections::BTreeMap;

use dbt_controller_domain::model::{DeployRequest, Resources, ServerOptions};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, ExecAction, Probe, ResourceRequirements, SecretKeySelector,
    SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::Security;
use crate::objects::{Source, secret};

/// Its name in the pod.
pub(crate) const CONTAINER: &str = "dbt-server";

const PORT: i32 = 8585;

/// The server answers POST only, so a probe by `httpGet` would never pass.
const READY: &str = "curl -s -X POST http://127.0.0.1:8585/ready -H 'Content-Type: application/json' -d '{}' | grep -q '{}'";

impl Source<'_> {
    pub(super) fn server_container(&self) -> Container {
        let image = &self.desired.request.image;
        Container {
            name: CONTAINER.to_owned(),
            image: Some(image.to_string()),
            image_pull_policy: Some(self.settings.pull_policy(&image.tag).to_string()),
            ports: Some(vec![ContainerPort { container_port: PORT, protocol: Some("TCP".to_owned()), ..ContainerPort::default() }]),
            env: Some(self.environment()),
            resources: Some(self.resources()),
            volume_mounts: Some(self.server_mounts()),
            readiness_probe: Some(ready_probe(30, 10, 3)),
            liveness_probe: Some(ready_probe(60, 20, 3)),
            startup_probe: Some(ready_probe(30, 10, 12)),
            security_context: Some(self.server_security()),
            ..Container::default()
        }
    }

    /// The image was made to run as root and is not known to run otherwise, so it stays root, but not privileged: it gains no rights by
    /// setuid programs, and has the container runtime's capabilities without those to forge packets and to make device files, which
    /// neither git, dbt nor a package manager uses. To drop more (chown, setuid, …) would break what an unknown image does at its start.
    fn server_security(&self) -> SecurityContext {
        match self.settings.security {
            Security::Hardened => SecurityContext {
                run_as_user: Some(0),
                run_as_group: Some(0),
                allow_privilege_escalation: Some(false),
                capabilities: Some(Capabilities { drop: Some(vec!["MKNOD".to_owned(), "NET_RAW".to_owned()]), add: None }),
                ..SecurityContext::default()
            },
            Security::Legacy => SecurityContext { privileged: Some(true), ..SecurityContext::default() },
        }
    }

    fn environment(&self) -> Vec<EnvVar> {
        let DeployRequest { identity, options, .. } = &self.desired.request;
        let ServerOptions { worker_num, max_requests, enable_ddtrace, debug, celery_log_level, cicd_env_key, cicd_env_value, app_version } =
            options;
        let mut variables = vec![plain("DBT_PROJECT_NAME", identity.project().as_str())];
        // As the replaced service had it: a server that is told no branch takes `main`.
        if let Some(branch) = identity.branch().filter(|branch| branch.as_str() != "main") {
            variables.push(plain("GIT_BRANCH", branch.as_str()));
        }
        let secret = self.desired.key.name.secret_name();
        variables.extend(secret::VARIABLES.map(|key| of_secret(&secret, key)));
        variables.extend([
            plain("DBT_SERVER_WORKER_NUM", &worker_num.to_string()),
            plain("DBT_SERVER_MAX_REQUESTS", &max_requests.to_string()),
            plain("DBT_SERVER_ENABLE_DDTRACE", &enable_ddtrace.to_string()),
            plain("DEBUG", &debug.to_string()),
            plain("CELERYD_LOG_LEVEL", celery_log_level.as_str()),
            plain(cicd_env_key, cicd_env_value),
            plain("APP_VERSION", &format!("v.{app_version}")),
        ]);
        variables
    }

    fn resources(&self) -> ResourceRequirements {
        let Resources { cpu_request, cpu_limit, memory_request, memory_limit, storage_size: _ } = &self.desired.request.resources;
        let amount = |name: &str, text: &str| (name.to_owned(), Quantity(text.to_owned()));
        let mut limits = BTreeMap::from([amount("cpu", cpu_limit.as_str()), amount("memory", memory_limit.as_str())]);
        limits.extend(self.settings.ephemeral_storage_limit.as_ref().map(|limit| amount("ephemeral-storage", limit.as_str())));
        ResourceRequirements {
            requests: Some(BTreeMap::from([amount("cpu", cpu_request.as_str()), amount("memory", memory_request.as_str())])),
            limits: Some(limits),
            claims: None,
        }
    }
}

fn ready_probe(initial_delay: i32, period: i32, failures: i32) -> Probe {
    Probe {
        exec: Some(ExecAction { command: Some(["/bin/sh", "-c", READY].map(str::to_owned).to_vec()) }),
        initial_delay_seconds: Some(initial_delay),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// A variable with exactly this value. Kubernetes puts other variables in the place of `$(NAME)` and reads `$$` as `$`
/// (<https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>), so each `$` is doubled.
fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.replace('$', "$$")), value_from: None }
}

fn of_secret(secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: None };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: key.to_owned(), value: None, value_from: Some(source) }
}
