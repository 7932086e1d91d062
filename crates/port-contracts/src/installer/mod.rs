//! The contract of `ChartInstaller`.

mod faults;
mod objects;
mod reading;
mod records;
mod undo;

use std::sync::Arc;

use async_trait::async_trait;
use dbt_controller_domain::model::{
    DesiredRelease, Namespace, Release, ReleaseKey, ReleaseStatus, ReleaseSummary, RevisionHandle, RevisionNumber,
};
use dbt_controller_domain::ports::{ChartInstaller, InstallerError};

use crate::check::{Outcome, Stopped, suite};
use crate::fixtures::{self, fence};
use crate::harness::{Harness, Hook};

/// What the suite of `ChartInstaller` needs.
#[async_trait]
pub trait InstallerHarness: Harness {
    /// The adapter under test.
    fn installer(&self) -> Arc<dyn ChartInstaller>;

    /// A namespace that does not exist.
    fn missing_namespace(&self) -> Option<Namespace> {
        None
    }

    /// Hook: `helm rollback`.
    async fn human_rolls_back(&self, key: &ReleaseKey, to: RevisionNumber) -> Hook {
        let _ = (key, to);
        Hook::NotSupported
    }

    /// Hook: `helm upgrade --reuse-values`.
    async fn human_upgrades(&self, key: &ReleaseKey) -> Hook {
        let _ = key;
        Hook::NotSupported
    }

    /// Hook: `helm upgrade` that is killed, so that its revision stays `pending-upgrade`.
    async fn human_leaves_pending(&self, key: &ReleaseKey) -> Hook {
        let _ = key;
        Hook::NotSupported
    }

    /// Hook: `helm uninstall` that is killed, so that its release stays `uninstalling`.
    async fn human_leaves_uninstalling(&self, key: &ReleaseKey) -> Hook {
        let _ = key;
        Hook::NotSupported
    }

    /// Hook: `helm uninstall`, with `--keep-history` if wished.
    async fn human_uninstalls(&self, key: &ReleaseKey, keep_history: bool) -> Hook {
        let _ = (key, keep_history);
        Hook::NotSupported
    }

    /// Hook: the release's records are deleted by hand, its objects stay.
    async fn forget_records(&self, key: &ReleaseKey) -> Hook {
        let _ = key;
        Hook::NotSupported
    }

    /// Hook: somebody makes an object, such as `Service/x`, without Helm.
    async fn plant_object(&self, namespace: &Namespace, object: &str) -> Hook {
        let _ = (namespace, object);
        Hook::NotSupported
    }

    /// Hook: somebody deletes an object of the release.
    async fn remove_object(&self, key: &ReleaseKey, object: &str) -> Hook {
        let _ = (key, object);
        Hook::NotSupported
    }

    /// Hook: somebody changes fields of an object that the release wrote.
    async fn disturb_object(&self, key: &ReleaseKey, object: &str) -> Hook {
        let _ = (key, object);
        Hook::NotSupported
    }

    /// Hook: the newest record of the release cannot be decoded any more.
    async fn break_record(&self, key: &ReleaseKey) -> Hook {
        let _ = key;
        Hook::NotSupported
    }
}

suite! {
    /// Checks every promise of `ChartInstaller`.
    chart_installer(dyn InstallerHarness):
        reading::an_unknown_release_is_none,
        reading::every_release_is_listed_once_and_by_key,
        reading::a_summary_tells_what_was_asked_for,
        reading::an_older_revision_can_be_read,
        reading::the_login_is_read_back_as_it_was_written,
        reading::values_hold_no_secret,
        reading::a_humans_upgrade_keeps_what_the_release_records,
        reading::a_humans_uninstall_that_is_at_work_is_told,
        reading::an_unreadable_record_is_listed_and_not_returned,
        reading::equal_requests_have_equal_manifest_hashes,
        reading::every_part_of_a_request_changes_the_manifest_hash,
        reading::the_recorded_manifest_hash_is_the_promised_one,
        records::the_first_revision_is_pending_install,
        records::the_next_revision_is_pending_upgrade,
        records::a_repeated_begin_returns_the_same_handle,
        records::a_begin_that_is_repeated_after_the_commit_returns_the_same_handle,
        records::begin_changes_no_object,
        records::begin_stops_at_a_revision_that_was_not_decided_on,
        records::begin_goes_past_a_pending_revision_that_was_decided_on,
        records::begin_stops_at_a_humans_uninstall,
        records::begin_after_an_uninstall_that_kept_the_history_counts_on,
        records::begin_in_a_missing_namespace_says_so,
        records::a_dead_pending_revision_is_marked_failed,
        records::a_commit_supersedes_every_other_deployed_revision,
        records::a_repeated_commit_succeeds,
        records::a_commit_below_a_humans_revision_is_refused,
        records::a_commit_of_an_uninstalled_release_is_refused,
        records::a_failed_revision_leaves_the_deployed_one_in_force,
        records::a_repeated_fail_succeeds,
        records::a_failed_revision_cannot_be_committed,
        records::history_is_cut_at_ten_and_never_the_deployed_one,
        objects::apply_makes_every_object_of_the_revision,
        objects::a_repeated_apply_succeeds,
        objects::apply_removes_what_the_revision_no_longer_has,
        objects::apply_stops_when_a_human_rolled_back,
        objects::apply_stops_when_a_human_uninstalled,
        objects::apply_refuses_somebody_elses_object_before_it_changes_anything,
        objects::repair_of_an_intact_release_mends_nothing,
        objects::repair_brings_a_deleted_object_back,
        objects::repair_mends_changed_fields,
        objects::repair_makes_no_revision,
        objects::repair_of_a_release_that_is_gone_is_refused,
        objects::uninstall_leaves_nothing,
        objects::a_repeated_uninstall_succeeds,
        objects::uninstall_removes_a_pending_revision,
        objects::uninstall_without_a_record_removes_the_objects,
        objects::uninstall_leaves_other_releases_alone,
        objects::uninstall_removes_kept_history,
        undo::a_rollback_takes_the_old_content_back,
        undo::a_repeated_rollback_returns_the_same_handle,
        undo::a_rollback_that_is_repeated_after_its_commit_returns_the_same_handle,
        undo::a_rollback_after_a_lost_commit_succeeds,
        undo::a_rollback_is_refused_when_a_human_was_first,
        undo::a_rollback_to_a_revision_that_is_gone_is_refused,
        undo::a_rollback_that_fails_can_be_marked_so,
        undo::a_rollback_crosses_a_larger_claim,
        faults::every_write_asks_the_fence_first,
        faults::every_write_heeds_a_fence_that_was_not_renewed,
        faults::a_far_side_that_is_down_is_unavailable,
        faults::a_far_side_that_hangs_is_given_up,
        faults::errors_hold_no_secret,
}

/// A release in progress, for the checks.
struct Played {
    installer: Arc<dyn ChartInstaller>,
    desired: DesiredRelease,
}

impl Played {
    fn new(harness: &dyn InstallerHarness, desired: DesiredRelease) -> Self {
        Self { installer: harness.installer(), desired }
    }

    /// A fresh identity's release.
    fn fresh(harness: &dyn InstallerHarness) -> Self {
        Self::new(harness, crate::harness::fresh_request(harness).desired())
    }

    fn key(&self) -> &ReleaseKey {
        &self.desired.key
    }

    /// The same release, wanted by another operation with another worker count (which makes another manifest).
    fn next(&self, worker_num: u8) -> DesiredRelease {
        let mut next = DesiredRelease { operation: fixtures::operation_id(), ..self.desired.clone() };
        next.request.options.worker_num = worker_num;
        next
    }

    async fn begin(&self) -> Outcome<RevisionHandle> {
        Ok(self.begin_of(&self.desired).await?)
    }

    /// Begins what was decided on the newest revision that there is.
    async fn begin_of(&self, desired: &DesiredRelease) -> Result<RevisionHandle, InstallerError> {
        let newest = self.installer.get(self.key(), None).await?;
        let decided = DesiredRelease { after: newest.map(|newest| newest.summary.revision), ..desired.clone() };
        self.installer.begin(&decided, &fence()).await
    }

    /// Begin, apply and commit of the first revision.
    async fn deploy(&self) -> Outcome<RevisionHandle> {
        self.deploy_next(&self.desired).await
    }

    async fn deploy_next(&self, desired: &DesiredRelease) -> Outcome<RevisionHandle> {
        let handle = self.begin_of(desired).await?;
        self.installer.apply(&handle, &fence()).await?;
        self.installer.commit(&handle, &fence()).await?;
        Ok(handle)
    }

    async fn get(&self, revision: Option<u32>) -> Outcome<Option<Release>> {
        Ok(self.installer.get(self.key(), revision.map(RevisionNumber)).await?)
    }

    async fn status(&self, revision: u32) -> Outcome<Option<ReleaseStatus>> {
        Ok(self.get(Some(revision)).await?.map(|release| release.summary.status))
    }

    async fn newest(&self) -> Outcome<Release> {
        let newest = self.get(None).await?;
        newest.ok_or_else(|| Stopped::broken("the release is not there"))
    }

    /// The release's entry in the list.
    async fn listed(&self) -> Outcome<Option<Arc<ReleaseSummary>>> {
        Ok(self.installer.list().await?.into_iter().find(|summary| summary.key == *self.key()))
    }

    /// The objects, sorted.
    async fn objects(&self) -> Outcome<Vec<String>> {
        let mut objects = self.installer.objects(self.key()).await?;
        objects.sort();
        Ok(objects)
    }
}
