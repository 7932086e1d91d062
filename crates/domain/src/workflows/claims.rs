//! Which claims are a release's own.

use super::Workflows;
use crate::model::{Claim, ReleaseKey, ServerKey};
use crate::ports::ClusterError;

impl Workflows {
    /// The claims that may be deleted with a release: none while somebody else's StatefulSet stands in the place of its own, for a claim is told
    /// by its name. Answered from memory.
    pub(super) async fn own_claims(&self, release: &ReleaseKey, server: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        let cluster = &self.ports.cluster;
        if cluster.server(server).await?.is_somebody_elses(release) {
            return Ok(Vec::new());
        }
        cluster.claims(server).await
    }
}
