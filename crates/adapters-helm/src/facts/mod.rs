//! What a release record tells: about a release of ours, of the replaced service, or of a human.

mod published;
mod secrets;

use dbt_controller_domain::model::{Credentials, DeploymentFacts, Redactor, ReleaseKey, RevisionNumber, ServerName};
use dbt_controller_kube_access::SERVER_LABEL;
use serde_json::Value;

use crate::controller::{Controller, Operation};
use crate::json;
use crate::manifest::{Manifest, ManifestObject};
use crate::objects::SERVER_CONTAINER;

/// A revision as it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded<'a> {
    /// Of which release.
    pub(crate) key: &'a ReleaseKey,
    /// Which revision.
    pub(crate) revision: RevisionNumber,
    /// Its values: what its record calls `config`.
    pub(crate) values: &'a Value,
    /// Its objects.
    pub(crate) manifest: &'a Manifest,
}

impl Recorded<'_> {
    /// What makes it a deployment: a `StatefulSet` that carries the label of dbt servers, or whose pods do. None for other releases.
    pub(crate) fn deployment(&self) -> Option<DeploymentFacts> {
        let stateful_set = self.manifest.objects().iter().find(|object| is_server(object))?;
        let server: ServerName = stateful_set.name().parse().ok()?;
        let controller = Controller::read(self.values);
        let ours = controller.is_some();
        let url = match &controller {
            Some(controller) => controller.url.clone(),
            None => published::url(self.key, stateful_set, self.manifest),
        };
        let (identity, home, connection_id, request_hash) = match controller {
            Some(controller) => (Some(controller.identity), controller.home, controller.connection_id, Some(controller.request_hash)),
            // The replaced service registered each release under its own name, and does not say whose it is.
            None => (None, None, self.key.name.as_str().parse().ok(), None),
        };
        Some(DeploymentFacts {
            identity,
            ours,
            home,
            host: published::host(&url).to_owned(),
            url,
            connection_id,
            request_hash,
            image: image(stateful_set).unwrap_or_default().to_owned(),
            storage: storage(stateful_set).and_then(|size| size.parse().ok()),
            // Not the hash that was recorded: somebody may have changed the objects with `helm upgrade --set`, which keeps that.
            manifest_hash: ours.then(|| self.manifest.hash()),
            operation: Operation::read(self.values, self.revision),
            server,
        })
    }

    /// The login in the Secret of the server.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        secrets::credentials(self.manifest)
    }

    /// The line of the password file in that Secret.
    pub(crate) fn htpasswd(&self) -> Option<String> {
        secrets::htpasswd(self.manifest)
    }

    /// Replaces every secret that the revision holds.
    pub(crate) fn redactor(&self) -> Redactor {
        secrets::redactor(self.manifest, self.values)
    }

    /// The values with every secret as `***`. In those of other charts, whatever is called a password, a token and the like counts too.
    pub(crate) fn redacted_values(&self) -> Value {
        secrets::redacted(self.values, &self.redactor(), Controller::read(self.values).is_none())
    }
}

fn is_server(object: &ManifestObject) -> bool {
    let (label, value) = SERVER_LABEL;
    let of_pods = json::text_at(object.value(), &["spec", "template", "metadata", "labels", label]);
    object.kind() == "StatefulSet" && [object.label(label), of_pods].contains(&Some(value))
}

fn image(stateful_set: &ManifestObject) -> Option<&str> {
    let containers = json::items_at(stateful_set.value(), &["spec", "template", "spec", "containers"]);
    let of_server = containers.iter().find(|container| json::text_at(container, &["name"]) == Some(SERVER_CONTAINER));
    json::text_at(of_server.or(containers.first())?, &["image"])
}

fn storage(stateful_set: &ManifestObject) -> Option<&str> {
    let claims = json::items_at(stateful_set.value(), &["spec", "volumeClaimTemplates"]);
    json::text_at(claims.first()?, &["spec", "resources", "requests", "storage"])
}

#[cfg(test)]
mod tests;
