//! What an Airflow is told, and who may use it.

use std::path::Path;

use super::kind::Kind;

/// Encrypts what is secret in the database. The prepared databases are of this key, and tests look into them with it.
pub(super) const FERNET_KEY: &str = "Zm9yLXRlc3RzLW9ubHktLS1mb3ItdGVzdHMtb25seSE=";

/// Signs tokens. Shorter than 64 characters it would be refused.
const JWT_SECRET: &str = "for-tests-only-for-tests-only-for-tests-only-for-tests-only-for-tests-only";

/// Somebody with a password.
#[derive(Debug)]
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) password: &'static str,
    /// As users in the database have it. The role of a simple user is the same word in lower case.
    pub(super) role: &'static str,
}

/// Who there is. The passwords have characters that are easily spoilt on their way.
pub(super) const USERS: [User; 3] = [ADMIN, VIEWER, OP];
pub(super) const ADMIN: User = User { name: "admin", password: "ad:min'\"%41é", role: "Admin" };
pub(super) const VIEWER: User = User { name: "viewer", password: "vie:wer'\"%41é", role: "Viewer" };
pub(super) const OP: User = User { name: "op", password: "o:p'\"%41é", role: "Op" };

/// An environment.
pub(super) type Variables = Vec<(String, String)>;

/// The settings of an Airflow with this home.
pub(super) fn variables(kind: Kind, home: &Path) -> Variables {
    let home = home.display();
    let mut variables = vec![
        ("AIRFLOW_HOME", home.to_string()),
        ("AIRFLOW__CORE__LOAD_EXAMPLES", "False".to_owned()),
        ("AIRFLOW__CORE__DAGS_FOLDER", format!("{home}/dags")),
        ("AIRFLOW__CORE__FERNET_KEY", FERNET_KEY.to_owned()),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", format!("sqlite:///{home}/airflow.db")),
        // It would tell its makers that it is used.
        ("AIRFLOW__USAGE_DATA_COLLECTION__ENABLED", "False".to_owned()),
        ("PATH", format!("{}:/usr/bin:/bin", kind.folder().join("venv/bin").display())),
        ("LANG", "C.UTF-8".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
    ];
    match kind {
        Kind::Two => {
            let backends = "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,airflow.api.auth.backend.session";
            variables.push(("AIRFLOW__API__AUTH_BACKENDS", backends.to_owned()));
        }
        Kind::Three => {
            let users = USERS.map(|user| format!("{}:{}", user.name, user.role.to_lowercase())).join(",");
            variables.push(("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", users));
            variables.push(("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", format!("{home}/passwords.json")));
            variables.push(("AIRFLOW__API_AUTH__JWT_SECRET", JWT_SECRET.to_owned()));
        }
        Kind::ThreeFab => {
            let manager = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager";
            variables.push(("AIRFLOW__CORE__AUTH_MANAGER", manager.to_owned()));
            variables.push(("AIRFLOW__API_AUTH__JWT_SECRET", JWT_SECRET.to_owned()));
        }
    }
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The setting of the address under which users reach a server.
pub(super) fn base_url(kind: Kind, url: &str) -> (String, String) {
    let name = match kind {
        Kind::Two => "AIRFLOW__WEBSERVER__BASE_URL",
        Kind::Three | Kind::ThreeFab => "AIRFLOW__API__BASE_URL",
    };
    (name.to_owned(), url.to_owned())
}

// === impl User ===

impl User {
    /// `<name>:<password>`.
    pub(super) fn login(&self) -> String {
        format!("{}:{}", self.name, self.password)
    }
}
