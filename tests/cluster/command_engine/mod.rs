//! The engine that has the helm program write releases, with both real Helms.

mod adoption;
mod broken_off;
mod contract;
mod killed;
mod life;
mod oracle;

use std::path::Path;

use dbt_controller_adapters_helm::{CommandInstaller, Helm, HelmAccess};
use dbt_controller_tests::{HelmVersion, Kubeconfig, Namespace};
use tempfile::TempDir;

use crate::native_helm::installer_of;

/// A folder in which a Helm of this version is called `helm`, and that is the home of who uses it.
pub(crate) fn home(namespace: &Namespace, version: HelmVersion) -> TempDir {
    let home = TempDir::new().unwrap();
    std::os::unix::fs::symlink(namespace.plane().tool(version.as_str()), home.path().join("helm")).unwrap();
    home
}

/// A `PATH` with that helm.
pub(crate) fn search_path(home: &TempDir) -> String {
    format!("{}:/usr/bin:/bin", home.path().display())
}

/// How a helm gets to the cluster.
fn access(home: &TempDir, kubeconfig: &Path) -> HelmAccess {
    let variables = [
        ("HOME", home.path().to_str().unwrap().to_owned()),
        ("PATH", search_path(home)),
        ("KUBECONFIG", kubeconfig.to_str().unwrap().to_owned()),
    ];
    HelmAccess { environment: variables.map(|(name, value)| (name.to_owned(), value)).into(), ..HelmAccess::default() }
}

/// The engine in a namespace, and the folder that has to stay as long.
async fn engine(namespace: &Namespace, kubeconfig: Kubeconfig, version: HelmVersion) -> (CommandInstaller, TempDir) {
    let home = home(namespace, version);
    let helm = Helm::find(access(&home, &kubeconfig.write(&home))).await.unwrap();
    (CommandInstaller::new(installer_of(namespace, kubeconfig).await, helm), home)
}
