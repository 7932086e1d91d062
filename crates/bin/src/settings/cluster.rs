//! Which cluster, and how servers are made there.

use std::time::Duration;

use dbt_controller_adapters_helm::{HelmEngine, Overlay, ServerSettings};
use dbt_controller_domain::model::TextError;

use super::reader::{Noted, Reader};
use super::table::{
    HELM_ENGINE, KUBERNETES_CONTEXT, SERVER_EPHEMERAL_STORAGE_LIMIT, SERVER_GATEWAY, SERVER_IMAGE_PULL_POLICY, SERVER_OVERLAY_FILE,
    SERVER_PROXY_TIMEOUT, SERVER_SECURITY, SERVER_TERMINATION_GRACE, UNDO_TIMEOUT,
};
use super::values;

/// nginx and Kubernetes count both times in whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// Which cluster, and how servers are made there.
#[derive(Debug, Clone)]
pub(crate) struct ClusterSettings {
    /// The context of the kubeconfig; none for its current one, or the cluster that the service runs in.
    pub(crate) context: Option<String>,
    /// What writes releases.
    pub(crate) engine: HelmEngine,
    /// How the objects of servers are made.
    pub(crate) server: ServerSettings,
}

impl ClusterSettings {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, Noted> {
        let context = reader.optional(KUBERNETES_CONTEXT, |text| Ok(text.to_owned()));
        let engine = reader.value(HELM_ENGINE, |text| text.parse());
        let image_pull_policy = reader.optional(SERVER_IMAGE_PULL_POLICY, |text| text.parse());
        let gateway = reader.value(SERVER_GATEWAY, |text| text.parse());
        let proxy_timeout = reader.value(SERVER_PROXY_TIMEOUT, values::duration_from(SHORTEST));
        let termination_grace = read_termination_grace(reader);
        let ephemeral_storage_limit = reader.optional(SERVER_EPHEMERAL_STORAGE_LIMIT, |text| text.parse());
        let security = reader.value(SERVER_SECURITY, |text| text.parse());
        let overlay = reader.optional(SERVER_OVERLAY_FILE, overlay);
        let server = ServerSettings {
            image_pull_policy: image_pull_policy?,
            gateway: gateway?,
            proxy_timeout: proxy_timeout?,
            termination_grace: termination_grace?,
            ephemeral_storage_limit: ephemeral_storage_limit?,
            security: security?,
            overlay: overlay?.unwrap_or_default(),
        };
        Ok(Self { context: context?, engine: engine?, server })
    }
}

fn read_termination_grace(reader: &mut Reader) -> Result<Duration, Noted> {
    let grace = reader.value(SERVER_TERMINATION_GRACE, values::duration_from(SHORTEST))?;
    let longest = reader.glance(UNDO_TIMEOUT, values::duration).map(|undo_timeout| undo_timeout / 2);
    if !reader.embedded() && longest.is_some_and(|longest| grace > longest) {
        let message = "must be half of `UNDO_TIMEOUT` at most: within that an undo waits for the pod's end, and then for the old server";
        return Err(reader.fault(SERVER_TERMINATION_GRACE.name, message));
    }
    Ok(grace)
}

/// Reads an overlay, so that what is wrong with it is known before the first deployment.
fn overlay(path: &str) -> Result<Overlay, TextError> {
    let text = std::fs::read_to_string(path).map_err(|error| TextError::new(format!("names a file that cannot be read: {error}")))?;
    Overlay::parse(&text).map_err(|error| TextError::new(format!("names a file that is no overlay: {error}")))
}
