//! Retires the release of the replaced service that a deployment could not adopt, because no server can run under its name.

use tokio::time::Instant;

use super::Workflows;
use super::call::Halt;
use super::delete::remove;
use super::deploy::Deploy;
use crate::decide::{is_adoptable, is_replaced};
use crate::model::{Debt, Failure, FailureCode, ReleaseKey, Success};
use crate::operations::{Run, Stop};

impl Deploy<'_> {
    /// After a deploy that went well: removes the release that it took the place of. What cannot be removed now is a debt; the
    /// deployment itself stands.
    pub(super) async fn retire_replaced(&self, mut success: Success) -> Result<Success, Stop> {
        let Some(key) = self.replaced().await else { return Ok(success) };
        let debt = Debt::Replaced(key.name.clone());
        self.run.progress(format!("removing release `{}` of the replaced service", key.name));
        match self.retire(&key, &debt).await {
            Err(Halt::Stop(stop)) => Err(stop),
            Ok(()) => {
                self.run.note(|ledger| ledger.owed.retain(|owed| *owed != debt));
                if let Success::Deployed { notes, .. } = &mut success {
                    notes.push(format!("release `{}` of the replaced service, whose name is too long for a server, was removed", key.name));
                }
                Ok(success)
            }
            Err(Halt::Failed(failure)) => {
                tracing::warn!(release.name = %key.name, %failure, "a release of the replaced service is removed later");
                // Also when that could not be stored before.
                self.run.note(|ledger| {
                    if !ledger.owed.contains(&debt) {
                        ledger.owed.push(debt);
                    }
                });
                Ok(success)
            }
        }
    }

    async fn retire(&self, key: &ReleaseKey, debt: &Debt) -> Result<(), Halt> {
        // Its record goes before its claims, and nothing else tells whoever takes over that they are left.
        self.store_debt(debt).await?;
        retire(self.workflows, self.run, key, self.deadline).await
    }

    /// The release that this deployment takes the place of: noted by whoever ran it before, or still there.
    async fn replaced(&self) -> Option<ReleaseKey> {
        let noted = self.run.ledger().owed.into_iter().find_map(|debt| if let Debt::Replaced(name) = debt { Some(name) } else { None });
        if let Some(name) = noted {
            return Some(ReleaseKey { namespace: self.request.namespace.clone(), name });
        }
        let releases = match self.workflows.ports.installer.list().await {
            Ok(releases) => releases,
            Err(error) => {
                tracing::warn!(%error, "whether a release of the replaced service is left is looked for at the next deploy");
                return None;
            }
        };
        let identity = &self.request.identity;
        let left = releases.iter().find(|release| {
            release.key.namespace == self.request.namespace && is_replaced(release, identity) && !is_adoptable(release, identity)
        });
        left.map(|release| release.key.clone())
    }
}

/// Removes all that there is of a release of the replaced service. Safe to run again.
pub(super) async fn retire(workflows: &Workflows, run: &Run, key: &ReleaseKey, deadline: Instant) -> Result<(), Halt> {
    let mut debts = Vec::new();
    remove(workflows, run, key, deadline, &mut debts).await?;
    if debts.is_empty() {
        return Ok(());
    }
    let left: Vec<_> = debts.iter().map(ToString::to_string).collect();
    let message = format!("it is not removed whole: {} could not be removed; that is tried again by itself", left.join(", "));
    Err(Failure::new(FailureCode::Interrupted, message).into())
}
