//! The contract of `Cluster`.

mod claims;
mod faults;
mod starting;
mod steering;

use std::sync::Arc;

use async_trait::async_trait;
use dbt_controller_domain::model::{DesiredRelease, Namespace, ServerKey, ServerState, Warehouse};
use dbt_controller_domain::ports::Cluster;

use crate::check::{Outcome, Stopped, suite};
use crate::fixtures::RequestBuilder;
use crate::harness::{Harness, Hook, fresh_request};

/// What the suite of `Cluster` needs.
#[async_trait]
pub trait ClusterHarness: Harness {
    /// The adapter under test.
    fn cluster(&self) -> Arc<dyn Cluster>;

    /// Makes the objects of a server, or changes them, as an applied release does. `spec.replicas` is left as it is.
    async fn write_server(&self, desired: &DesiredRelease) -> ServerKey;

    /// A tag of an image that cannot be pulled.
    fn missing_tag(&self) -> String {
        "missing-1".to_owned()
    }

    /// A tag of an image whose server ends again and again with exit code 1, and logs at least a line.
    fn crashing_tag(&self) -> Option<String> {
        None
    }

    /// Whether servers answer their `/ready`.
    fn servers_answer(&self) -> bool {
        false
    }

    /// Hook: makes or removes the Secret of a warehouse.
    async fn set_warehouse_secret(&self, namespace: &Namespace, warehouse: Warehouse, exists: bool) -> Hook {
        let _ = (namespace, warehouse, exists);
        Hook::NotSupported
    }

    /// Hook: from now on a quota refuses the pods of this server, which does not exist yet.
    async fn refuse_pods(&self, key: &ServerKey) -> Hook {
        let _ = key;
        Hook::NotSupported
    }

    /// Hook: the claims of this server cannot be grown.
    async fn forbid_growth(&self, key: &ServerKey) -> Hook {
        let _ = key;
        Hook::NotSupported
    }

    /// Hook: `kubectl scale`.
    async fn human_scales(&self, key: &ServerKey, replicas: u32) -> Hook {
        let _ = (key, replicas);
        Hook::NotSupported
    }
}

suite! {
    /// Checks every promise of `Cluster`.
    cluster(dyn ClusterHarness):
        starting::a_server_without_anything_is_an_empty_state,
        starting::a_server_becomes_ready,
        starting::a_watch_shows_the_present_and_each_change,
        starting::a_watch_begins_before_the_server_exists,
        starting::two_watches_show_the_same,
        starting::a_missing_image_is_told,
        starting::a_crashing_server_is_told,
        starting::an_autopsy_tells_why_a_server_crashes,
        starting::an_autopsy_of_nothing_is_empty,
        starting::a_refused_pod_is_explained,
        starting::a_server_that_gets_its_pod_needs_no_explanation,
        starting::a_ready_server_answers_its_probe,
        starting::a_sleeping_or_absent_server_does_not_answer_its_probe,
        steering::scaling_to_zero_ends_the_pods_and_keeps_the_claims,
        steering::scaling_changes_nothing_else,
        steering::a_note_of_the_dags_is_kept_and_changes_nothing_else,
        steering::a_server_follows_its_dags_in_one_write,
        steering::scaling_what_does_not_exist_is_not_found,
        steering::replicas_survive_a_changed_template,
        steering::what_somebody_else_scales_is_seen,
        steering::a_changed_template_replaces_a_ready_pod,
        steering::a_change_counts_as_observed_only_once_it_was,
        steering::a_broken_pod_is_replaced_once_it_was_deleted,
        steering::a_ready_pod_and_one_of_the_newest_template_are_not_broken,
        steering::a_stateful_set_goes_and_its_pods_stay,
        steering::a_stateful_set_that_comes_back_keeps_its_orphans,
        steering::orphans_are_deleted_and_pods_with_a_stateful_set_are_not,
        steering::a_stateful_set_goes_with_its_pods,
        steering::an_absent_stateful_set_counts_as_deleted,
        claims::a_server_has_the_claim_of_its_template,
        claims::claims_outlive_their_server,
        claims::a_claim_is_taken_over_with_its_identity,
        claims::deleted_claims_are_gone,
        claims::a_deleted_claim_is_terminating_until_its_pod_is_gone,
        claims::absent_claims_count_as_deleted,
        claims::only_the_named_claims_of_this_server_are_deleted,
        claims::claims_grow,
        claims::a_larger_claim_stays,
        claims::a_claim_that_cannot_grow_is_refused,
        claims::the_secret_of_a_warehouse_is_found,
        faults::every_write_asks_the_fence_first,
        faults::a_cluster_that_answers_is_checked,
        faults::a_far_side_that_is_down_is_unavailable,
        faults::a_far_side_that_hangs_is_given_up,
        faults::an_autopsy_says_what_it_could_not_read,
}

/// A server of a fresh identity.
struct Played<'a> {
    harness: &'a dyn ClusterHarness,
    cluster: Arc<dyn Cluster>,
    desired: DesiredRelease,
    key: ServerKey,
}

impl<'a> Played<'a> {
    /// Not yet written.
    fn new(harness: &'a dyn ClusterHarness, request: RequestBuilder) -> Self {
        let desired = request.desired();
        let key = crate::fixtures::server_key(&desired.key);
        Self { harness, cluster: harness.cluster(), desired, key }
    }

    async fn written(harness: &'a dyn ClusterHarness, request: RequestBuilder) -> Outcome<Self> {
        let played = Self::new(harness, request);
        played.write(&played.desired).await?;
        Ok(played)
    }

    /// Written, and ready.
    async fn ready(harness: &'a dyn ClusterHarness) -> Outcome<Self> {
        let played = Self::written(harness, fresh_request(harness)).await?;
        played.until_ready().await?;
        Ok(played)
    }

    async fn write(&self, desired: &DesiredRelease) -> Outcome {
        let key = self.harness.write_server(desired).await;
        if key == self.key { Ok(()) } else { Err(Stopped::broken("the harness wrote another server")) }
    }

    /// Writes it with another tag and another operation.
    async fn write_tag(&self, tag: &str) -> Outcome {
        let mut desired = self.desired.clone();
        tag.clone_into(&mut desired.request.image.tag);
        desired.operation = crate::fixtures::operation_id();
        self.write(&desired).await
    }

    async fn state(&self) -> Outcome<Arc<ServerState>> {
        Ok(self.cluster.server(&self.key).await?)
    }

    /// Waits by a watch until the server is as wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&ServerState) -> bool) -> Outcome<Arc<ServerState>> {
        let limit = tokio::time::Instant::now() + self.harness.patience().change;
        loop {
            let mut watch = self.cluster.watch(&self.key).await?;
            match tokio::time::timeout_at(limit, watch.wait_for(|state| wanted(state))).await {
                Ok(Ok(state)) => return Ok(Arc::clone(&state)),
                // The watch broke, which it may.
                Ok(Err(_)) => {}
                Err(_) => {
                    let last = self.state().await?;
                    return Err(Stopped::broken(&format!("{what} was not seen in time, but {last:?}")));
                }
            }
        }
    }

    async fn until_ready(&self) -> Outcome<Arc<ServerState>> {
        self.until("a ready server", is_ready).await
    }

    async fn until_no_pods(&self) -> Outcome<Arc<ServerState>> {
        self.until("that the pods are gone", |state| state.pods.is_empty()).await
    }
}

/// Ready as the domain means it: the controller has seen the newest spec, and every wanted pod is ready and of the newest revision.
fn is_ready(state: &ServerState) -> bool {
    state.stateful_set.as_ref().is_some_and(|set| {
        set.observed_generation == set.generation
            && set.replicas >= 1
            && set.ready_replicas == set.replicas
            && set.updated_replicas == set.replicas
            && set.current_revision == set.update_revision
    })
}
