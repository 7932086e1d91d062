//! Bodies of POST, with a canary in each secret.

use serde_json::{Value, json};

/// The body of a POST.
#[derive(Debug, Clone)]
pub(crate) struct Body(Value);

impl Body {
    /// A deployment of this project and branch. All its secrets can be told.
    pub(crate) fn of(project: &str, branch: &str) -> Self {
        Self(json!({
            "project_name": project,
            "git_branch": branch,
            "gitlink_secret": "https://bot:CANARY-git-password@git.example.com/team/project.git",
            "gitlink_deploy_key": "CANARY-deploy-key",
            "secret_dbt_package_repo_token": "CANARY-package-token",
            "basic_auth_password": "CANARY-server-password",
        }))
    }

    /// The same with another field.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0[field] = value.into();
        self
    }

    pub(crate) fn json(&self) -> &Value {
        &self.0
    }
}
