//! Who holds a name: what is recorded decides, so a deployment keeps its name and a newcomer takes its next one. Pure.

use std::sync::Arc;

use crate::model::{Claim, Failure, FailureCode, OperationRecord, ReleaseKey, ReleaseSummary};
use crate::naming::{Identity, ReleaseName};

/// The deployment of an identity, in whatever namespace.
pub(crate) fn deployment_of<'a>(identity: &Identity, releases: &'a [Arc<ReleaseSummary>]) -> Option<&'a Arc<ReleaseSummary>> {
    releases.iter().find(|release| release.is_present() && release.identity() == Some(identity))
}

/// Who else holds a release name, in words; none when it is free for the identity.
///
/// A name is held by a release of that name in any namespace, by a claim of another identity that was left under it (its data must
/// not be mounted by a stranger), and by an unfinished operation of another identity.
pub(crate) fn holder_of(
    name: &ReleaseName,
    identity: &Identity,
    releases: &[Arc<ReleaseSummary>],
    claims: &[Claim],
    operations: Option<&OperationRecord>,
) -> Option<String> {
    let other = |held: Option<&Identity>| held != Some(identity);
    if let Some(release) = releases.iter().find(|release| release.key.name == *name && release.is_present() && other(release.identity())) {
        return Some(format!("release `{}` ({})", release.key, whose(release.identity())));
    }
    if let Some(claim) = claims.iter().find(|claim| other(claim.identity.as_ref())) {
        return Some(format!("claim `{}` ({})", claim.name, whose(claim.identity.as_ref())));
    }
    // An operation without an identity (a clean-up by name) does not hold the name; a newcomer waits in line behind it.
    let unfinished =
        operations.and_then(|record| record.unfinished().find(|(info, _)| info.identity.is_some() && other(info.identity.as_ref())));
    unfinished.map(|(info, _)| format!("operation `{}` ({})", info.id, whose(info.identity.as_ref())))
}

/// The failure of a release that has one of these names and whose record cannot be read. It may be the very deployment that is meant:
/// under another name it would become a second server.
pub(crate) fn unreadable_among(names: &[ReleaseName], releases: &[Arc<ReleaseSummary>]) -> Option<Failure> {
    let mut named = releases.iter().filter(|release| release.is_present() && names.contains(&release.key.name));
    named.find_map(|release| unreadable(release))
}

/// The failure of a release whose record cannot be read; none when it can.
pub(crate) fn unreadable(release: &ReleaseSummary) -> Option<Failure> {
    let reason = release.unreadable.as_ref()?;
    let message =
        format!("the record of release `{}` cannot be read ({reason}); repair or delete it with helm or kubectl", release.key.name);
    Some(Failure::new(FailureCode::ReleaseUnreadable, message))
}

/// The key of an unfinished operation of this identity under one of its names.
pub(crate) fn under_way(identity: &Identity, record: &OperationRecord) -> Option<ReleaseKey> {
    record.unfinished().find(|(info, _)| info.identity.as_ref() == Some(identity)).map(|(info, _)| info.key.clone())
}

/// The failure of a deploy whose identity is deployed under another key.
pub(crate) fn deployed_elsewhere(identity: &Identity, key: &ReleaseKey) -> Failure {
    let message = format!(
        "{identity} is deployed as `{}` in namespace `{}`; delete it there first, or post to that namespace",
        key.name, key.namespace
    );
    Failure::new(FailureCode::DeployedElsewhere, message)
}

fn whose(identity: Option<&Identity>) -> String {
    identity.map_or_else(|| "not one of this service's deployments".to_owned(), Identity::to_string)
}

#[cfg(test)]
mod tests;
