//! Which claims are a release's own.

use super::Workflows;
use crate::model::{Claim, ReleaseKey, ServerKey};
use crate::ports::ClusterError;

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

    async fn is_in_other_hands(&self, release: &ReleaseKey, server: &ServerKey) -> Result<bool, ClusterError> {
        Ok(self.ports.cluster.server(server).await?.is_somebody_elses(release))
    }
}
