//! The port to the cluster.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::model::{Autopsy, ByteQuantity, Claim, DagState, Namespace, PodRefusal, ServerKey, ServerState, Warehouse};
use dbt_controller_domain::ports::{Cluster, ClusterError, Fence};
use tokio::sync::watch;
use tokio::time::Instant;

use super::watching::watch_server;
use super::{Hindrance, Pod, Server};
use crate::faults::Call;
use crate::world::{Inner, Scene};

/// How long a ready server takes to answer its `/ready`.
const PROBE_LATENCY: Duration = Duration::from_millis(3);

/// The cluster of a world.
#[derive(Debug)]
pub struct MemoryCluster(pub(crate) Arc<Inner>);

#[async_trait]
impl Cluster for MemoryCluster {
    async fn server(&self, key: &ServerKey) -> Result<Arc<ServerState>, ClusterError> {
        self.0.call(Call::ClusterServer, None, |scene| Ok(Arc::new(scene.look(key).0))).await
    }

    fn behind(&self) -> Option<Duration> {
        None
    }

    async fn watch(&self, key: &ServerKey) -> Result<watch::Receiver<Arc<ServerState>>, ClusterError> {
        self.0.call(Call::ClusterWatch, None, |scene| Ok(watch_server(&self.0, scene, key))).await
    }

    async fn why_no_pod(&self, key: &ServerKey) -> Result<Option<PodRefusal>, ClusterError> {
        let refusal = |scene: &mut Scene<'_>| match scene.server(key).and_then(|server| server.hindrance.clone()) {
            Some(Hindrance::Refused(refusal)) => Ok(Some(refusal)),
            _ => Ok(None),
        };
        self.0.call(Call::ClusterWhyNoPod, None, refusal).await
    }

    async fn autopsy(&self, key: &ServerKey) -> Autopsy {
        let autopsy: Result<_, ClusterError> = self.0.call(Call::ClusterAutopsy, None, |scene| Ok(scene.autopsy(key))).await;
        autopsy.unwrap_or_else(|error| Autopsy { gaps: vec![error.to_string()], ..Autopsy::default() })
    }

    async fn probe(&self, key: &ServerKey) -> Option<Duration> {
        let is_ready = |scene: &mut Scene<'_>| Ok(scene.look(key).0.pods.iter().any(|pod| pod.ready && !pod.terminating));
        let answers: Result<_, ClusterError> = self.0.call(Call::ClusterProbe, None, is_ready).await;
        answers.is_ok_and(|answers| answers).then_some(PROBE_LATENCY)
    }

    async fn set_replicas(&self, key: &ServerKey, replicas: u32, fence: &Fence) -> Result<(), ClusterError> {
        let scale = |scene: &mut Scene<'_>| {
            if scene.scale(key, replicas) { Ok(()) } else { Err(ClusterError::NotFound(format!("StatefulSet {key}"))) }
        };
        self.0.call(Call::ClusterSetReplicas, Some(fence), scale).await
    }

    async fn set_dag_state(&self, key: &ServerKey, state: Option<DagState>, fence: &Fence) -> Result<(), ClusterError> {
        self.0.call(Call::ClusterSetDagState, Some(fence), |scene| scene.note_dags(key, state)).await
    }

    async fn follow_dags(&self, key: &ServerKey, replicas: u32, state: DagState, fence: &Fence) -> Result<(), ClusterError> {
        let follow = |scene: &mut Scene<'_>| {
            scene.note_dags(key, Some(state))?;
            scene.scale(key, replicas);
            Ok(())
        };
        self.0.call(Call::ClusterFollowDags, Some(fence), follow).await
    }

    async fn claims(&self, key: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        let list = |scene: &mut Scene<'_>| {
            let seen = scene.server(key).filter(|server| !server.unseen_claims);
            Ok(seen.map(|server| server.list_claims()).unwrap_or_default())
        };
        self.0.call(Call::ClusterClaims, None, list).await
    }

    async fn claims_now(&self, key: &ServerKey) -> Result<Vec<Claim>, ClusterError> {
        let list = |scene: &mut Scene<'_>| Ok(scene.server(key).map(|server| server.list_claims()).unwrap_or_default());
        self.0.call(Call::ClusterClaimsNow, None, list).await
    }

    async fn delete_claims(&self, key: &ServerKey, claims: &[String], fence: &Fence) -> Result<(), ClusterError> {
        let delete = |scene: &mut Scene<'_>| {
            scene.server(key).into_iter().for_each(|server| server.delete_claims(claims));
            scene.announce(key);
            Ok(())
        };
        self.0.call(Call::ClusterDeleteClaims, Some(fence), delete).await
    }

    async fn grow_claims(&self, key: &ServerKey, size: &ByteQuantity, fence: &Fence) -> Result<(), ClusterError> {
        let grow = |scene: &mut Scene<'_>| scene.server(key).map_or(Ok(()), |server| server.grow_claims(size));
        self.0.call(Call::ClusterGrowClaims, Some(fence), grow).await
    }

    async fn delete_stateful_set(&self, key: &ServerKey, keep_pods: bool, fence: &Fence) -> Result<(), ClusterError> {
        let deadline = Instant::now() + fence.call_limit();
        let delete = |scene: &mut Scene<'_>| {
            scene.remove_stateful_set(key, keep_pods);
            Ok::<_, ClusterError>(())
        };
        self.0.call(Call::ClusterDeleteStatefulSet, Some(fence), delete).await?;
        if keep_pods {
            return Ok(());
        }
        // Orphans of an earlier call are nobody's; only what is on its way out is waited for.
        self.wait_until(key, deadline, |state| state.pods.iter().all(|pod| !pod.terminating)).await
    }

    async fn delete_broken_pods(&self, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError> {
        // Before the controller has seen the new template, the status names the old revision as the one to update to.
        let seen = |state: &ServerState| state.stateful_set.as_ref().is_none_or(|set| set.observed_generation == set.generation);
        self.wait_until(key, Instant::now() + fence.call_limit(), seen).await?;
        self.0.call(Call::ClusterDeleteBrokenPods, Some(fence), |scene| Ok(scene.delete_broken_pods(key))).await
    }

    async fn delete_orphans(&self, key: &ServerKey, fence: &Fence) -> Result<Vec<String>, ClusterError> {
        self.0.call(Call::ClusterDeleteOrphans, Some(fence), |scene| Ok(scene.delete_orphans(key))).await
    }

    async fn has_warehouse_secret(&self, namespace: &Namespace, warehouse: Warehouse) -> Result<bool, ClusterError> {
        let look = |scene: &mut Scene<'_>| {
            let is_removed = scene.state.removed_secrets.contains(&(namespace.clone(), warehouse));
            Ok(scene.world.namespaces.contains(namespace) && !is_removed)
        };
        self.0.call(Call::ClusterHasWarehouseSecret, None, look).await
    }

    async fn check(&self) -> Result<(), ClusterError> {
        self.0.call(Call::ClusterCheck, None, |_| Ok(())).await
    }
}

impl MemoryCluster {
    async fn wait_until(&self, key: &ServerKey, deadline: Instant, arrived: fn(&ServerState) -> bool) -> Result<(), ClusterError> {
        loop {
            let (state, next) = self.0.scene().look(key);
            if arrived(&state) {
                return Ok(());
            }
            match next {
                Some(next) if next <= deadline => tokio::time::sleep_until(next).await,
                _ => {
                    tokio::time::sleep_until(deadline).await;
                    return Err(ClusterError::Unavailable("it took longer than a call may take".into()));
                }
            }
        }
    }
}

impl Scene<'_> {
    /// Sets `spec.replicas`; false without a StatefulSet.
    pub(crate) fn scale(&mut self, key: &ServerKey, replicas: u32) -> bool {
        let (world, now) = (self.world, self.now);
        let done = self.server(key).is_some_and(|server| server.scale(replicas, &world.pace, now));
        self.announce(key);
        done
    }

    fn note_dags(&mut self, key: &ServerKey, state: Option<DagState>) -> Result<(), ClusterError> {
        let set = self.server(key).and_then(|server| server.stateful_set.as_mut());
        let Some(set) = set else { return Err(ClusterError::NotFound(format!("StatefulSet {key}"))) };
        set.dag_state = state;
        self.announce(key);
        Ok(())
    }

    /// Deletes a StatefulSet, which is an object of its release too.
    pub(crate) fn remove_stateful_set(&mut self, key: &ServerKey, keep_pods: bool) {
        let (world, now) = (self.world, self.now);
        self.server(key).into_iter().for_each(|server| server.remove_stateful_set(keep_pods, &world.pace, now));
        self.state.objects.remove(&key.namespace, &format!("StatefulSet/{}", key.name));
        self.announce(key);
    }

    fn delete_broken_pods(&mut self, key: &ServerKey) -> Vec<String> {
        let (world, now) = (self.world, self.now);
        let Some(server) = self.server(key) else { return Vec::new() };
        let Some(set) = &server.stateful_set else { return Vec::new() };
        let Some(revision) = set.update_revision().map(str::to_owned) else { return Vec::new() };
        self.delete_pods(key, |pod| !pod.is_ready(&world.pace, now) && pod.template.revision != revision)
    }

    fn delete_orphans(&mut self, key: &ServerKey) -> Vec<String> {
        if self.server(key).is_none_or(|server| server.stateful_set.is_some()) {
            return Vec::new();
        }
        // Those that had a StatefulSet until now are on their way out already.
        self.delete_pods(key, |_| true)
    }

    /// Deletes the pods of this kind that are not on their way out.
    fn delete_pods(&mut self, key: &ServerKey, is_wanted: impl Fn(&Pod) -> bool) -> Vec<String> {
        let (world, now) = (self.world, self.now);
        let Some(server) = self.server(key) else { return Vec::new() };
        let wanted = server.pods.iter_mut().filter(|pod| !pod.is_terminating() && is_wanted(pod));
        let names = wanted
            .map(|pod| {
                pod.terminate(&world.pace, now);
                pod.name(key)
            })
            .collect();
        self.announce(key);
        names
    }
}

impl Server {
    fn grow_claims(&mut self, size: &ByteQuantity) -> Result<(), ClusterError> {
        let is_smaller = |claim: &&mut super::StoredClaim| claim.size.as_ref().is_none_or(|present| present.bytes() < size.bytes());
        for claim in self.claims.values_mut().filter(is_smaller) {
            if self.rigid_claims {
                // In the API server's words (admission plug-in PersistentVolumeClaimResize).
                return Err(ClusterError::Refused(
                    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
                        .to_owned(),
                ));
            }
            claim.size = Some(size.clone());
        }
        Ok(())
    }
}
