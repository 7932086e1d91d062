//! The Secret with the server's login and what opens its git repository.

use std::collections::BTreeMap;

use dbt_controller_domain::model::{Credentials, GitSource, Warehouse};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use secrecy::ExposeSecret as _;

use super::Source;

/// The user of the login.
pub(crate) const BASIC_AUTH_USER: &str = "BASIC_AUTH_USER";
/// The password of the login.
pub(crate) const BASIC_AUTH_PASSWORD: &str = "BASIC_AUTH_PASSWORD";
/// The line of nginx's password file.
pub(crate) const BASIC_AUTH: &str = "BASIC_AUTH";

/// The keys that are environment variables of the server, under their own names.
pub(super) const VARIABLES: [&str; 6] = [
    "DBT_REPO_NAME",
    "GITLINK_SECRET",
    "GITLINK_DEPLOY_KEY",
    "SECRET_DBT_PACKAGE_REPO_TOKEN",
    "SECRET_PACKAGE_REPO_TOKEN_NAME",
    "DATA_WAREHOUSE_PLATFORM",
];

/// Whether a key of the Secret is ours, and none of an overlay's.
pub(crate) fn is_own_key(key: &str) -> bool {
    VARIABLES.contains(&key) || [BASIC_AUTH_USER, BASIC_AUTH_PASSWORD, BASIC_AUTH].contains(&key)
}

impl Source<'_> {
    /// `data`, not `stringData`: an apply does not remove what `stringData` once wrote.
    pub(super) fn secret(&self) -> Secret {
        let request = &self.desired.request;
        let Credentials { user, password } = &self.desired.credentials;
        let GitSource { dbt_repo_name, gitlink_secret, gitlink_deploy_key, package_repo_token, package_repo_token_name } = &request.git;
        let data = [
            ("DATA_WAREHOUSE_PLATFORM", request.warehouse.map_or("", Warehouse::as_str)),
            ("GITLINK_SECRET", gitlink_secret.expose_secret()),
            ("SECRET_DBT_PACKAGE_REPO_TOKEN", package_repo_token.expose_secret()),
            ("SECRET_PACKAGE_REPO_TOKEN_NAME", package_repo_token_name),
            ("GITLINK_DEPLOY_KEY", gitlink_deploy_key.expose_secret()),
            ("DBT_REPO_NAME", dbt_repo_name),
            (BASIC_AUTH_USER, user),
            (BASIC_AUTH_PASSWORD, password.expose_secret()),
            (BASIC_AUTH, self.htpasswd),
        ];
        let data: BTreeMap<_, _> = data.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into()))).collect();
        Secret {
            metadata: self.metadata(self.desired.key.name.secret_name()),
            type_: Some("Opaque".to_owned()),
            data: Some(data),
            ..Secret::default()
        }
    }
}
