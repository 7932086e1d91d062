//! What a deploy has to do, from what is recorded and what is wished. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::allocation::unreadable;
use crate::model::{
    ByteQuantity, DeployRequest, DeploymentFacts, Failure, FailureCode, ManifestHash, Rebuild, Release, ReleaseStatus, ReleaseSummary,
    RevisionNumber, UndoOutcome,
};
use crate::naming::{Identity, ReleaseName};

/// What is seen before the decision.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The newest revision on record.
    pub newest: Option<&'a Release>,
    /// The revision that an undo goes back to, where that is an older one: the one in force, or that was so last.
    pub previous: Option<&'a Release>,
    /// The size of the largest claim, where no revision is in force.
    pub claim: Option<&'a ByteQuantity>,
    /// The manifest that this request makes.
    pub manifest: &'a ManifestHash,
    /// The present moment.
    pub now: Timestamp,
    /// From this age on somebody else's pending operation counts as dead (`DEPLOY_TIMEOUT`).
    pub pending_is_dead_after: Duration,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// There is no deployment: make the first revision, or the next after mere history.
    Install,
    /// An uninstall died half-way: finish it, then install.
    CleanUpAndInstall,
    /// Write the next revision.
    Change {
        /// The revision to which an undo goes back: the one in force, or that was so last; none when no revision ever came up.
        previous: Option<RevisionNumber>,
        /// What has to be done to the StatefulSet first.
        rebuild: Rebuild,
    },
    /// It is as asked: make sure that it all exists, write no revision.
    Repair {
        /// The revision in force.
        revision: RevisionNumber,
    },
    /// It cannot be done; nothing was changed.
    Refuse(Box<Failure>),
}

/// Decides.
pub fn decide(observed: &Observed<'_>, request: &DeployRequest) -> Plan {
    let Some(newest) = observed.newest else { return Plan::Install };
    let summary = &newest.summary;
    let refuse = |code, message: String| Plan::Refuse(Box::new(Failure::new(code, message)));
    if let Some(failure) = unreadable(summary) {
        return Plan::Refuse(Box::new(failure));
    }
    if !summary.is_present() {
        return Plan::Install;
    }
    let Some(facts) = &summary.deployment else {
        let message = format!("release `{}` in namespace `{}` is not a dbt deployment", summary.key.name, summary.key.namespace);
        return refuse(FailureCode::NameTaken, message);
    };
    if facts.identity.as_ref().is_some_and(|identity| *identity != request.identity) {
        let message = format!("release `{}` was just taken by another deployment; post again for a name of its own", summary.key.name);
        return refuse(FailureCode::NameTaken, message);
    }
    if facts.is_foreign() && !is_adoptable(summary, &request.identity) {
        let message =
            format!("release `{}` is a dbt deployment that this service did not make; post again for a name of its own", summary.key.name);
        return refuse(FailureCode::NameTaken, message);
    }
    match summary.status {
        // It ends by deleting the records that it found, by their names, which a revision of ours would have by then.
        ReleaseStatus::Uninstalling if summary.helm_uninstalls_since.is_some_and(|since| !is_dead(observed, since)) => {
            return Plan::Refuse(Box::new(pending(summary, "wait for it, or delete the deployment")));
        }
        ReleaseStatus::Uninstalling => return Plan::CleanUpAndInstall,
        // A pending revision of our own service is dead: whoever decides holds the release's lock, so nobody of ours is writing it.
        status if status.is_pending() && facts.operation.is_none() && !is_dead(observed, summary.last_deployed) => {
            return Plan::Refuse(Box::new(pending(summary, "wait for it, or roll it back")));
        }
        _ => {}
    }
    let wished = &request.resources.storage_size;
    let in_force = is_in_force(summary);
    let template = template(observed, facts.storage.as_ref(), in_force);
    if let Some(held) = template.held
        && wished.bytes() < held.bytes()
    {
        let message = format!(
            "the claim has {held} and cannot become smaller (`storage_size` is {wished}, as asked for or by default); ask for at least {held}, or delete the deployment first"
        );
        return refuse(FailureCode::ClaimCannotShrink, message);
    }
    if in_force && facts.manifest_hash.as_ref() == Some(observed.manifest) {
        return Plan::Repair { revision: summary.revision };
    }
    // Also where an adoption of ours was neither finished nor undone: the StatefulSet may still be the replaced service's, and an undo brings
    // that one back.
    let adopt = facts.is_foreign() || observed.previous.is_some_and(Release::is_foreign);
    let grows = template.held.is_some_and(|held| wished.bytes() > held.bytes());
    let rebuild = Rebuild { grow: grows || !template.is_sure, adopt };
    Plan::Change { previous: summary.standing.to_go_back_to(), rebuild }
}

/// Whether the newest revision is the one in force.
pub(crate) fn is_in_force(newest: &ReleaseSummary) -> bool {
    newest.status == ReleaseStatus::Deployed && newest.standing.deployed == Some(newest.revision)
}

/// The revision that an undo goes back to, if it is in force; it may only have been so last.
pub(crate) fn in_force_before(previous: Option<&Release>) -> Option<&Release> {
    previous.filter(|release| release.summary.status == ReleaseStatus::Deployed)
}

/// The claim template in the cluster, whose size cannot be changed.
struct Template<'a> {
    held: Option<&'a ByteQuantity>,
    /// Whether it is known to have that size.
    is_sure: bool,
}

/// A revision that is not in force may have been applied or not. It says neither what the claims have nor what the StatefulSet was made
/// for: trusted, it would make a larger size impossible for ever, because the apply is refused, and a smaller one too.
fn template<'a>(observed: &Observed<'a>, recorded: Option<&'a ByteQuantity>, in_force: bool) -> Template<'a> {
    if in_force {
        return Template { held: recorded, is_sure: true };
    }
    match in_force_before(observed.previous).and_then(|older| older.summary.deployment.as_ref()) {
        Some(older) => Template { held: older.storage.as_ref(), is_sure: older.storage.as_ref() == recorded },
        None => Template { held: observed.claim, is_sure: false },
    }
}

/// Whether a release is the one that the replaced service made for this identity, of a name with which a server can run.
pub(crate) fn is_adoptable(release: &ReleaseSummary, identity: &Identity) -> bool {
    is_replaced(release, identity) && release.key.name.as_str().len() <= ReleaseName::ADOPTABLE_MAX_LENGTH
}

/// Whether a release is the one that the replaced service made for this identity.
pub(crate) fn is_replaced(release: &ReleaseSummary, identity: &Identity) -> bool {
    release.deployment.as_ref().is_some_and(DeploymentFacts::is_foreign)
        && release.is_present()
        && identity.replaced_release_name().as_ref() == Some(&release.key.name)
}

fn is_dead(observed: &Observed<'_>, since: Timestamp) -> bool {
    Duration::try_from(observed.now.duration_since(since)).is_ok_and(|age| age >= observed.pending_is_dead_after)
}

fn pending(summary: &ReleaseSummary, remedy: &str) -> Failure {
    let ReleaseSummary { key, revision, status, .. } = summary;
    let message = format!(
        "revision {revision} of release `{}` is {status}: somebody else's helm operation is under way; {remedy}, then post again",
        key.name
    );
    Failure { undo: UndoOutcome::NothingToUndo, ..Failure::new(FailureCode::ReleasePending, message) }
}

#[cfg(test)]
mod tests;
