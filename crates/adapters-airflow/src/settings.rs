//! How the Airflow to work with is reached.

use std::fmt;

use dbt_controller_domain::model::Namespace;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use crate::client::client;

/// Where Airflow is, and who we are there.
pub struct AirflowSettings {
    /// `AIRFLOW_URL`: its address, with the path under which it is served, if any, and without `/api/…`.
    pub url: String,
    /// `AIRFLOW_USER`.
    pub user: String,
    /// `AIRFLOW_PASSWORD`.
    pub password: SecretString,
    /// The content of `AIRFLOW_CA_FILE`: certificates in PEM. Airflow's certificate must then come from one of them, and those that the
    /// system trusts do not count.
    pub ca_certificates: Option<Vec<u8>>,
    /// The namespace of those releases of the replaced service whose connection does not tell theirs.
    pub namespace: Namespace,
}

/// Why these settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {message}")]
pub struct SetupError {
    /// The setting that is at fault.
    pub variable: &'static str,
    /// What is wrong with it; reads well after the name, and repeats nothing of it.
    pub message: String,
}

impl SetupError {
    pub(crate) fn new(variable: &'static str, message: impl Into<String>) -> Self {
        Self { variable, message: message.into() }
    }
}

const EMPTY: &str = "must not be empty";

/// The address that all paths begin with.
#[derive(Clone)]
pub(crate) struct Base(Url);

// === impl AirflowSettings ===

impl fmt::Debug for AirflowSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, user, password: _, ca_certificates, namespace } = self;
        // An address that is refused may hold a password.
        let mut shown = f.debug_struct("AirflowSettings");
        shown.field("user", user).field("own_certificates", &ca_certificates.is_some()).field("namespace", namespace);
        shown.finish_non_exhaustive()
    }
}

impl AirflowSettings {
    /// Checks what can be checked without a call.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), SetupError> {
        let base = self.base()?;
        if self.ca_certificates.is_some() && !base.is_encrypted() {
            return Err(SetupError::new("AIRFLOW_CA_FILE", "has no effect: AIRFLOW_URL begins with `http://`"));
        }
        client(base.is_encrypted(), self.ca_certificates.as_deref()).map(drop)
    }

    pub(crate) fn base(&self) -> Result<Base, SetupError> {
        let base = Base::parse(&self.url)?;
        if self.user.is_empty() {
            return Err(SetupError::new("AIRFLOW_USER", EMPTY));
        }
        if self.password.expose_secret().is_empty() {
            return Err(SetupError::new("AIRFLOW_PASSWORD", EMPTY));
        }
        Ok(base)
    }
}

// === impl Base ===

impl Base {
    fn parse(text: &str) -> Result<Self, SetupError> {
        let refused = |why: &str| Err(SetupError::new("AIRFLOW_URL", why));
        let url = Url::parse(text.trim()).map_err(|error| {
            SetupError::new("AIRFLOW_URL", format!("must be an address such as `https://airflow.example.com`: {error}"))
        })?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return refused("must begin with `http://` or `https://`");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("must not hold a login: set AIRFLOW_USER and AIRFLOW_PASSWORD");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refused("must not have a query or a fragment");
        }
        let path = url.path().trim_end_matches('/');
        if path.ends_with("/api") || path.ends_with("/api/v1") || path.ends_with("/api/v2") {
            return refused("must be the address of Airflow itself, without `/api/…`");
        }
        Ok(Self(url))
    }

    /// The address of a resource. Each segment is one segment, whatever its characters are.
    pub(crate) fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        // Never an error: addresses of http and https have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }
}

/// As messages show it.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_added_to_the_address_and_keep_their_segments() {
        let cases = [
            ("http://airflow:8080", "http://airflow:8080/api/v2/connections/a_b.c-d"),
            ("http://airflow:8080/", "http://airflow:8080/api/v2/connections/a_b.c-d"),
            ("https://example.com/team/airflow", "https://example.com/team/airflow/api/v2/connections/a_b.c-d"),
            (" https://example.com/team/airflow/ ", "https://example.com/team/airflow/api/v2/connections/a_b.c-d"),
        ];
        for (base, wanted) in cases {
            let url = Base::parse(base).unwrap().join(&["api", "v2", "connections", "a_b.c-d"]);
            assert_eq!(url.as_str(), wanted, "{base}");
        }
        let odd = Base::parse("http://airflow").unwrap().join(&["api", "a/b?c#d%é"]);
        assert_eq!(odd.as_str(), "http://airflow/api/a%2Fb%3Fc%23d%25%C3%A9");
    }

    #[test]
    fn addresses_that_cannot_be_meant_are_refused_without_repeating_them() {
        let refused = [
            "",
            "airflow:8080",
            "ftp://airflow",
            "http://",
            "http://admin:canary@airflow",
            "http://canary@airflow",
            "http://airflow?key=canary",
            "http://airflow#canary",
            "http://airflow/api/v1",
            "http://airflow/base/api/v2/",
            "http://airflow/api",
        ];
        for text in refused {
            let error = Base::parse(text).err().unwrap_or_else(|| panic!("{text} is taken")).to_string();
            assert!(error.starts_with("AIRFLOW_URL ") && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn debugging_the_settings_shows_no_secret() {
        let settings = AirflowSettings {
            url: "http://a:canary@b".to_owned(),
            user: "admin".to_owned(),
            password: "canary".into(),
            ca_certificates: None,
            namespace: "dbt-server".parse().unwrap(),
        };
        assert!(!format!("{settings:?}").contains("canary"));
    }
}
