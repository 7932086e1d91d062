//! The helm program.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::{ReleaseKey, RevisionNumber};
use dbt_controller_domain::ports::{Fence, InstallerError};
use tokio::process::Command;

use super::arguments::{self, Arguments};
use super::folder::Folder;
use super::process::{self, Broken, Output};
use super::version::{Version, VersionError};
use super::{fault, values};
use crate::engine::Entrusted;

/// Its name, looked up on the `PATH`.
const PROGRAM: &str = "helm";
/// How long it may take to print its version, from a disk that is slow.
const VERSION_LIMIT: Duration = Duration::from_secs(30);
/// How many times longer than one call a whole run may take: with the defaults a minute.
const CALLS_PER_RUN: u32 = 6;

/// How helm reaches the cluster.
#[derive(Debug, Clone, Default)]
pub struct HelmAccess {
    /// The variables that it gets, of [`Self::VARIABLES`]; no others are handed on.
    pub environment: Vec<(String, String)>,
    /// The context of the kubeconfig, if it is not the current one.
    pub context: Option<String>,
    /// What helm is started through: a program with its arguments, which `helm` and its arguments follow. It ends with 126 or 127 where it
    /// cannot start helm. Empty: helm is started itself, and goes on when this process is killed, since nobody is left who could stop it.
    pub starter: Vec<String>,
}

impl HelmAccess {
    /// What helm may get of this process's environment: where programs are, where the cluster is, and how to get there. Nothing of it
    /// is a secret of this service.
    pub const VARIABLES: [&str; 15] = [
        "PATH",
        "HOME",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "TMPDIR",
        "TZ",
    ];
}

/// Why helm cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// There is no place for its chart.
    #[error("no folder can be made for helm's chart: {0}; give the service a place for temporary files that it may write (TMPDIR)")]
    Folder(#[source] io::Error),
    /// It does not run.
    #[error("the program `helm` cannot be run: {0}; {REMEDY}")]
    Run(String),
    /// It is of a version that is not known here.
    #[error("the program `helm` cannot be used: {0}; {REMEDY}")]
    Version(String),
}

/// What can be done about it.
const REMEDY: &str = "put Helm 3.14 or later, or Helm 4, on the PATH as `helm`, or set HELM_ENGINE=native";

/// The helm program, its chart and its places.
#[derive(Debug, Clone)]
pub struct Helm {
    access: HelmAccess,
    folder: Arc<Folder>,
    version: Version,
}

impl Helm {
    /// Looks for the program, and asks its version.
    ///
    /// # Errors
    /// If it is missing or none that can be used.
    pub async fn find(access: HelmAccess) -> Result<Self, HelmError> {
        let folder = Arc::new(Folder::create().map_err(HelmError::Folder)?);
        let output = process::run(command(&access, &folder, &arguments::version()), "", VERSION_LIMIT, None).await;
        let Output { status, stdout, stderr } = output.map_err(|broken| HelmError::Run(broken.to_string()))?;
        if !status.success() {
            return Err(HelmError::Run(format!("{status}: {}", stderr.trim())));
        }
        let version = stdout.parse().map_err(|error: VersionError| HelmError::Version(error.to_string()))?;
        Ok(Self { access, folder, version })
    }

    /// Its version, such as `4.3`.
    #[must_use]
    pub fn version(&self) -> String {
        self.version.to_string()
    }

    /// `helm upgrade --install`.
    pub(super) async fn upgrade(&self, revision: &Entrusted, fence: &Fence) -> Result<(), InstallerError> {
        let arguments = arguments::upgrade(revision.release(), &self.folder.chart(), &revision.description(), self.version);
        self.run(&arguments, &values::text(revision.values()), |words| revision.clean(words), fence).await
    }

    /// `helm rollback`.
    pub(super) async fn roll_back(&self, revision: &Entrusted, to: RevisionNumber, fence: &Fence) -> Result<(), InstallerError> {
        let arguments = arguments::roll_back(revision.release(), to, self.version);
        self.run(&arguments, "", |words| revision.clean(words), fence).await
    }

    /// `helm uninstall`.
    pub(super) async fn uninstall(&self, release: &ReleaseKey, fence: &Fence) -> Result<(), InstallerError> {
        self.run(&arguments::uninstall(release), "", str::to_owned, fence).await
    }

    /// Runs it under the fence; `clean` takes secrets out of what it says.
    pub(super) async fn run(
        &self,
        arguments: &Arguments,
        input: &str,
        clean: impl Fn(&str) -> String,
        fence: &Fence,
    ) -> Result<(), InstallerError> {
        let command = command(&self.access, &self.folder, arguments);
        let limit = fence.call_limit() * CALLS_PER_RUN;
        match process::run(command, input, limit, Some(fence)).await {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) if output.was_not_started() => {
                Err(InstallerError::Unavailable(format!("helm: {}", clean(output.stderr.trim())).into()))
            }
            Ok(output) => Err(fault::of(&clean(&output.stderr))),
            Err(Broken::Fenced(down)) => Err(down.into()),
            Err(broken @ (Broken::TooLong(_) | Broken::Start(..) | Broken::Output(_))) => {
                Err(InstallerError::Unavailable(format!("helm: {broken}").into()))
            }
        }
    }
}

/// A call of helm, without a shell.
fn command(access: &HelmAccess, folder: &Folder, arguments: &Arguments) -> Command {
    let mut words = access.starter.iter().map(String::as_str).chain([PROGRAM]);
    let mut command = Command::new(words.next().unwrap_or(PROGRAM));
    command.args(words).env_clear().envs(access.environment.iter().map(|(name, value)| (name, value))).envs(folder.environment());
    command.args(&arguments.0);
    if let Some(context) = &access.context {
        command.arg(format!("--kube-context={context}"));
    }
    command
}
