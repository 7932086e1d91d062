//! What a revision of ours holds.

use dbt_controller_domain::model::{DesiredRelease, ManifestHash, RevisionNumber};
use jiff::Timestamp;
use serde_json::Value;

use crate::controller::{self, Controller, Operation};
use crate::htpasswd::{self, HtpasswdError};
use crate::manifest::Manifest;
use crate::{ServerSettings, objects};

/// What a revision takes over from the release as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inherited<'a> {
    /// The line of the password file, kept while it stands for the login.
    pub(crate) htpasswd: Option<&'a str>,
    /// When the release was first deployed; now, if this is the first revision. No part of the manifest's hash.
    pub(crate) created_at: Timestamp,
}

/// What a revision of ours holds.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// Its objects.
    pub(crate) manifest: Manifest,
    /// What its values tell beside them.
    pub(crate) controller: Controller,
    /// Who writes it.
    pub(crate) operation: Operation,
}

/// What the revision that follows `desired.after` has to hold. Equal wishes give equal manifests but for their age.
///
/// # Errors
/// If the login cannot be written to a password file.
pub(crate) fn release_content(
    desired: &DesiredRelease,
    inherited: &Inherited<'_>,
    settings: &ServerSettings,
) -> Result<Content, HtpasswdError> {
    let DesiredRelease { key, home, server: _, request, credentials, connection_id, after, operation } = desired;
    let htpasswd = htpasswd::line(key, credentials, inherited.htpasswd)?;
    let manifest = objects::manifest(desired, &htpasswd, inherited.created_at, settings);
    let controller = Controller {
        identity: request.identity.clone(),
        connection_id: connection_id.clone(),
        url: request.invocations_url(&desired.server_key()),
        request_hash: request.hash(),
        manifest_hash: manifest.hash(),
        home: Some(home.clone()),
    };
    let revision = RevisionNumber(after.map_or(0, |after| after.0) + 1);
    Ok(Content { manifest, controller, operation: Operation { id: operation.clone(), revision } })
}

impl Content {
    /// The hash by which it is compared with what a release holds.
    pub(crate) fn manifest_hash(&self) -> &ManifestHash {
        &self.controller.manifest_hash
    }

    /// The values of the revision: what its record calls `config`.
    pub(crate) fn values(&self) -> Value {
        controller::values(&self.manifest, &self.controller, &self.operation)
    }
}
