//! What helm needs in the file system: the chart, and places for what it keeps for itself. No secret.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::{Builder, TempDir};

use crate::chart;

/// A folder of this process and its user only, which goes when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(TempDir);

/// Where helm keeps what it downloads, its settings and its plugins: nowhere that a user's helm does. The last is for what client-go
/// remembers of the API; without it and without a `HOME` that would be the working directory.
const HOMES: [(&str, &str); 4] =
    [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data"), ("KUBECACHEDIR", "kube")];
const CHART: &str = "chart";

impl Folder {
    /// # Errors
    /// When there is no place for temporary files, or it cannot be written.
    pub(super) fn create() -> io::Result<Self> {
        let private = Permissions::from_mode(0o700);
        let folder = Builder::new().prefix("dbt-controller-helm-").permissions(private).tempdir()?;
        for (name, content) in chart::FILES {
            let path = folder.path().join(CHART).join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, content)?;
        }
        for (_, home) in HOMES {
            std::fs::create_dir(folder.path().join(home))?;
        }
        Ok(Self(folder))
    }

    pub(super) fn chart(&self) -> PathBuf {
        self.0.path().join(CHART)
    }

    /// Variables that tell helm of its places.
    pub(super) fn environment(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        HOMES.into_iter().map(|(variable, home)| (variable, self.0.path().join(home)))
    }
}
