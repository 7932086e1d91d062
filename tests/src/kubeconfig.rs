//! Kubeconfigs, read and changed as JSON, which is how `cargo xtask cluster` writes them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A kubeconfig with one cluster, one user and one context.
#[derive(Debug, Clone)]
pub struct Kubeconfig(Value);

impl Kubeconfig {
    /// Reads one that `cargo xtask cluster` wrote.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        Self(serde_json::from_str(&text).unwrap())
    }

    /// The API server's `host:port`.
    ///
    /// # Panics
    ///
    /// When it has none.
    #[must_use]
    pub fn address(&self) -> &str {
        self.0["clusters"][0]["cluster"]["server"].as_str().unwrap().strip_prefix("https://").unwrap()
    }

    /// The file with the certificates that the API server's is checked against.
    ///
    /// # Panics
    ///
    /// When it has none.
    #[must_use]
    pub fn authority(&self) -> &Path {
        Path::new(self.0["clusters"][0]["cluster"]["certificate-authority"].as_str().unwrap())
    }

    /// The user's token.
    ///
    /// # Panics
    ///
    /// When it has none.
    #[must_use]
    pub fn token(&self) -> &str {
        self.0["users"][0]["user"]["token"].as_str().unwrap()
    }

    /// The same by somebody on this machine who takes HTTP without TLS and passes it on.
    #[must_use]
    pub fn with_plain_address(mut self, address: &str) -> Self {
        self.0["clusters"][0]["cluster"] = json!({"server": format!("http://{address}")});
        self
    }

    /// The same by another way to the API server.
    #[must_use]
    pub fn with_address(mut self, address: &str) -> Self {
        self.0["clusters"][0]["cluster"]["server"] = json!(format!("https://{address}"));
        self
    }

    /// The same for somebody else.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.0["users"][0]["user"] = json!({"token": token});
        self
    }

    /// The same with a namespace that is meant when none is named.
    #[must_use]
    pub fn with_namespace(mut self, namespace: &str) -> Self {
        self.0["contexts"][0]["context"]["namespace"] = json!(namespace);
        self
    }

    /// Writes it into a folder and returns its path.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[must_use]
    pub fn write(&self, folder: &TempDir) -> PathBuf {
        let path = folder.path().join("kubeconfig");
        fs::write(&path, format!("{:#}\n", self.0)).unwrap();
        path
    }
}
