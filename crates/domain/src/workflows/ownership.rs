//! Whether the StatefulSet and the claims of a server's name are the release's own.

use tokio::time::Instant;

use super::call::{Halt, call};
use super::{Workflows, faults};
use crate::model::{Claim, Debt, ReleaseKey, ServerKey, ServerState};
use crate::operations::Run;
use crate::ports::{ClusterError, InstallerError};

impl Workflows {
    /// The claims that may be deleted with a release: none while somebody else's StatefulSet stands in the place of its own, for a claim is told
    /// by its name. Answered from memory.
    pub(super) async fn own_claims(&self, release: &ReleaseKey, server: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        if self.is_in_other_hands(release, server).await? { Ok(Vec::new()) } else { self.ports.cluster.claims(server).await }
    }

    /// The same from the cluster itself, for those who delete them: one that is not seen is left behind.
    pub(super) async fn own_claims_now(&self, release: &ReleaseKey, server: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        if self.is_in_other_hands(release, server).await? { Ok(Vec::new()) } else { self.ports.cluster.claims_now(server).await }
    }

    /// That the StatefulSet of the server's name, if there is one, is the release's: what changes or deletes it goes by its name.
    pub(super) async fn check_stateful_set(&self, run: &Run, server: &ServerKey, deadline: Instant) -> Result<(), Halt> {
        let state = call(run, deadline, || self.ports.cluster.server(server)).await;
        let state = state.map_err(|broken| broken.or_fail(|error| faults::of_cluster(&error)))?;
        foreign(&run.info.key, server, &state).map_or(Ok(()), |foreign| Err(faults::of_installer(&foreign).into()))
    }

    /// The claim that may come when the StatefulSet is gone. Kubernetes' controller makes it for the StatefulSet that it has read, without a look
    /// whether that is still there, and has not come to an end with this one.
    pub(super) async fn claim_to_come(&self, release: &ReleaseKey, server: &ServerKey) -> Option<Debt> {
        let state = self.ports.cluster.server(server).await.ok().filter(|state| !state.is_somebody_elses(release))?;
        let is_at_work = state.stateful_set.as_ref().is_some_and(|set| set.observed_generation < set.generation);
        is_at_work.then(|| Debt::Claim { server: server.name.clone(), name: server.name.claim_name(0) })
    }

    async fn is_in_other_hands(&self, release: &ReleaseKey, server: &ServerKey) -> Result<bool, ClusterError> {
        Ok(self.ports.cluster.server(server).await?.is_somebody_elses(release))
    }
}

/// That the StatefulSet of the server's name is not this release's, if so.
pub(super) fn foreign(release: &ReleaseKey, server: &ServerKey, state: &ServerState) -> Option<InstallerError> {
    let set = state.stateful_set.as_ref().filter(|_| state.is_somebody_elses(release))?;
    let owner = set.release.as_ref().map_or_else(|| "no Helm release".to_owned(), |owner| format!("release {owner}"));
    Some(InstallerError::ForeignObject { object: format!("StatefulSet/{}", server.name), owner })
}
