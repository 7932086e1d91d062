//! Making a StatefulSet anew of which a field has to change that cannot: it is deleted before the revision's objects are applied.

use super::await_server::{Awaited, overtaken};
use super::call::{Halt, call};
use super::deploy::Deploy;
use super::faults;
use crate::model::{Failure, FailureCode, Phase, Rebuild, RevisionHandle};
use crate::ports::ClusterError;

impl Deploy<'_> {
    /// Clears the way for fields of the StatefulSet that cannot be changed.
    pub(super) async fn rebuild(&self, revision: &RevisionHandle, rebuild: Rebuild) -> Result<(), Halt> {
        if rebuild == Rebuild::NONE {
            return Ok(());
        }
        self.run.phase(Phase::Apply, "making room for fields that cannot be changed");
        self.still_own(revision).await?;
        // Before it is noted that the server may be stopped: the undo would have to leave the release as it is.
        let own = call(self.run, self.deadline, || self.workflows.own_server(&self.run.info.key, &self.server)).await;
        own.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error).at(Phase::Apply)))?;
        if rebuild.grow {
            let size = &self.request.resources.storage_size;
            self.run.progress(format!("growing the claim to {size}"));
            let grown = call(self.run, self.deadline, || self.workflows.grow_claims(self.run, &self.server, size)).await;
            grown.map_err(|broken| broken.or_fail(|error| cannot_grow(&error)))?;
        }
        if rebuild.adopt {
            self.run.progress("the server of the replaced service stops; its claim is kept");
            if !self.run.ledger().adopting {
                self.store_intent(|ledger| ledger.adopting = true).await?;
            }
        }
        // Growing may have taken long.
        self.still_own(revision).await?;
        let delete = || self.workflows.delete_stateful_set(self.run, &self.server, !rebuild.adopt);
        let deleted = call(self.run, self.deadline, delete).await;
        deleted.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error).at(Phase::Apply)))
    }

    /// Stores that the StatefulSet is the one that was asked for. Whoever takes over has nothing to make room for any more: to do so again would
    /// stop an adopted server that may be ready by then.
    pub(super) async fn rebuilt(&self) {
        if self.run.ledger().rebuild == Rebuild::NONE {
            return;
        }
        // It only saves work, so it is not tried again; the next renewal of the lock stores it too.
        if let Err(error) = self.run.record(|ledger| ledger.rebuild = Rebuild::NONE).await {
            tracing::warn!(operation.id = %self.run.info.id, %error, "that the server is made anew is not stored yet");
        }
    }

    /// Somebody's Helm may have been at work since the revision was recorded. The apply looks too, but by then the claim has grown for good
    /// and the StatefulSet of their revision is gone.
    async fn still_own(&self, revision: &RevisionHandle) -> Result<(), Halt> {
        // Also when the watch is behind: there is no way back from what comes next.
        let newest = self.newest().await?;
        match overtaken(Awaited::Own(revision), newest.as_ref().map(|release| &release.summary)) {
            Some(overtaken) => Err(overtaken.at(Phase::Apply).into()),
            None => Ok(()),
        }
    }
}

fn cannot_grow(error: &ClusterError) -> Failure {
    match error {
        ClusterError::Refused(words) => Failure::new(
            FailureCode::ClaimCannotGrow,
            format!("the claim cannot grow: {words}; use a storage class with allowVolumeExpansion, or keep `storage_size`"),
        ),
        other => faults::of_cluster(other),
    }
    .at(Phase::Apply)
}
