//! Whether the StatefulSet and the claims of a server's name are the release's own: calls that change or delete them go by that name.

use std::sync::Arc;

use tokio::time::Instant;

use super::Workflows;
use super::call::{call, stop_of};
use crate::model::{ByteQuantity, Claim, DagState, Debt, ReleaseKey, ServerKey, ServerState};
use crate::operations::{Run, Stop};
use crate::ports::ClusterError;

impl Workflows {
    /// The server, unless the StatefulSet of its name is somebody else's. To be asked before each try of a change, since the answer of the try before
    /// may have been lost and somebody may have put a StatefulSet of their own there since. Answered from memory: that of a watch which hangs
    /// unnoticed is up to about a minute old.
    ///
    /// # Errors
    /// `ForeignObject`, and those of [`crate::ports::Cluster::server`].
    pub(super) async fn own_server(&self, release: &ReleaseKey, server: &ServerKey) -> Result<Arc<ServerState>, ClusterError> {
        let state = self.ports.cluster.server(server).await?;
        foreign(release, server, &state).map_or(Ok(state), Err)
    }

    /// Tries once to scale the release's own StatefulSet.
    pub(super) async fn set_replicas(&self, run: &Run, server: &ServerKey, replicas: u32) -> Result<(), ClusterError> {
        self.own_server(&run.info.key, server).await?;
        self.ports.cluster.set_replicas(server, replicas, &run.fence).await
    }

    /// Tries once to note on the release's own StatefulSet what its DAGs are doing.
    pub(super) async fn set_dag_state(&self, run: &Run, server: &ServerKey, state: Option<DagState>) -> Result<(), ClusterError> {
        self.own_server(&run.info.key, server).await?;
        self.ports.cluster.set_dag_state(server, state, &run.fence).await
    }

    /// Tries once to scale the release's own StatefulSet after its DAGs, and to note on it what they are doing.
    pub(super) async fn follow_dags(&self, run: &Run, server: &ServerKey, replicas: u32, state: DagState) -> Result<(), ClusterError> {
        self.own_server(&run.info.key, server).await?;
        self.ports.cluster.follow_dags(server, replicas, state, &run.fence).await
    }

    /// Tries once to delete the release's own StatefulSet.
    pub(super) async fn delete_stateful_set(&self, run: &Run, server: &ServerKey, keep_pods: bool) -> Result<(), ClusterError> {
        self.own_server(&run.info.key, server).await?;
        self.ports.cluster.delete_stateful_set(server, keep_pods, &run.fence).await
    }

    /// Tries once to delete claims of the release.
    pub(super) async fn delete_claims(
        &self,
        run: &Run,
        release: &ReleaseKey,
        server: &ServerKey,
        claims: &[String],
    ) -> Result<(), ClusterError> {
        self.own_server(release, server).await?;
        self.ports.cluster.delete_claims(server, claims, &run.fence).await
    }

    /// Tries once to grow the claims of the release.
    pub(super) async fn grow_claims(&self, run: &Run, server: &ServerKey, size: &ByteQuantity) -> Result<(), ClusterError> {
        self.own_server(&run.info.key, server).await?;
        self.ports.cluster.grow_claims(server, size, &run.fence).await
    }

    /// The claims that may be deleted with a release: none while somebody else's StatefulSet stands in the place of its own, for a claim is told
    /// by its name. Answered from memory.
    pub(super) async fn own_claims(&self, release: &ReleaseKey, server: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        if self.is_in_other_hands(release, server).await? { Ok(Vec::new()) } else { self.ports.cluster.claims(server).await }
    }

    /// The same from the cluster itself, for those who delete them: one that is not seen is left behind.
    pub(super) async fn own_claims_now(&self, release: &ReleaseKey, server: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        if self.is_in_other_hands(release, server).await? { Ok(Vec::new()) } else { self.ports.cluster.claims_now(server).await }
    }

    /// The claim that may come when the StatefulSet is gone. Kubernetes' controller makes it for the StatefulSet that it has read, without a look
    /// whether that is still there, and has not come to an end with this one.
    pub(super) async fn claim_to_come(
        &self,
        run: &Run,
        release: &ReleaseKey,
        server: &ServerKey,
        deadline: Instant,
    ) -> Result<Option<Debt>, Stop> {
        let state = match stop_of(call(run, deadline, || self.ports.cluster.server(server)).await)? {
            Ok(state) => state,
            Err(error) => {
                run.progress(format!("whether a claim may still be made is not known: {error}"));
                return Ok(None);
            }
        };
        let own = state.stateful_set.as_ref().filter(|_| !state.is_somebody_elses(release));
        let is_at_work = own.is_some_and(|set| set.observed_generation < set.generation);
        Ok(is_at_work.then(|| Debt::Claim { server: server.name.clone(), name: server.name.claim_name(0) }))
    }

    async fn is_in_other_hands(&self, release: &ReleaseKey, server: &ServerKey) -> Result<bool, ClusterError> {
        Ok(self.ports.cluster.server(server).await?.is_somebody_elses(release))
    }
}

/// That the StatefulSet of the server's name is not this release's, if so.
pub(super) fn foreign(release: &ReleaseKey, server: &ServerKey, state: &ServerState) -> Option<ClusterError> {
    let set = state.stateful_set.as_ref().filter(|_| state.is_somebody_elses(release))?;
    let owner = set.release.as_ref().map_or_else(|| "no Helm release".to_owned(), |owner| format!("release {owner}"));
    Some(ClusterError::ForeignObject { object: format!("StatefulSet/{}", server.name), owner })
}
