//! Operations that end in the middle of helm's work, at each place where the records are in between.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::{DesiredRelease, ReleaseStatus, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::{ChartInstaller, Fence, InstallerError};
use dbt_controller_port_contracts::fixtures::{self, fence};
use dbt_controller_tests::{Helm, HelmVersion, Namespace, until};
use tokio::time::Instant;

use super::engine;
use crate::native_helm::{installer_of, next};
use crate::support::role;
use crate::support::site::chart;

const ONE: RevisionNumber = RevisionNumber(1);

/// Revision 1 in force, and revision 2 begun by another process's engine.
struct Scene {
    namespace: Namespace,
    installer: Arc<dyn ChartInstaller>,
    desired: DesiredRelease,
    begun: RevisionHandle,
    _home: tempfile::TempDir,
}

impl Scene {
    async fn new(version: HelmVersion) -> Self {
        let namespace = Namespace::create().await;
        let (installer, home) = engine(&namespace, namespace.plane().kubeconfig(), version).await;
        let desired = fixtures::request("broken", Some("main")).namespace(namespace.name()).desired();
        let first = installer.begin(&desired, &fence()).await.unwrap();
        installer.apply(&first, &fence()).await.unwrap();
        installer.commit(&first, &fence()).await.unwrap();
        let desired = DesiredRelease { after: Some(ONE), ..next(&desired, 11) };
        let begun = installer.begin(&desired, &fence()).await.unwrap();
        Self { namespace, installer: Arc::new(installer), desired, begun, _home: home }
    }

    async fn statuses(&self) -> Vec<(u32, ReleaseStatus)> {
        let mut statuses = Vec::new();
        for revision in 1..=4 {
            let read = self.installer.get(&self.desired.key, Some(RevisionNumber(revision))).await.unwrap();
            statuses.extend(read.map(|release| (revision, release.summary.status)));
        }
        statuses
    }

    /// What helm does with the revision's values, as the engine calls it, and nothing after it.
    async fn helm_upgrades_alone(&self, description: &str) {
        let helm = Helm::new(HelmVersion::V4, &self.namespace);
        let (release, folder) = (self.desired.key.name.as_str(), tempfile::TempDir::new().unwrap());
        let values = helm.run(&["get", "values", release, "--revision", "2", "--output", "json"]).await;
        let file = folder.path().join("values.json");
        std::fs::write(&file, values).unwrap();
        self.namespace.delete("secret", &format!("sh.helm.release.v1.{release}.v2")).await;
        let description = format!("--description={description}");
        let file = file.to_str().unwrap();
        helm.run(&["upgrade", release, &chart(), "--values", file, &description, "--server-side=true", "--force-conflicts"]).await;
    }
}

/// The service ended right after helm had called the revision deployed.
#[tokio::test]
async fn a_revision_that_helm_has_just_called_deployed_counts_as_pending() {
    let scene = Scene::new(HelmVersion::V4).await;
    scene.helm_upgrades_alone("Applied in place of revision 1, not proved ready yet").await;
    let read = scene.installer.get(&scene.desired.key, None).await.unwrap().unwrap();
    assert_eq!((read.summary.revision, read.summary.status), (RevisionNumber(2), ReleaseStatus::PendingUpgrade));
    assert_eq!(read.summary.deployment.unwrap().operation.as_ref(), Some(&scene.begun.operation));
    // The native engine reads it in the same way.
    let native = installer_of(&scene.namespace, scene.namespace.plane().kubeconfig()).await;
    assert_eq!(native.get(&scene.desired.key, None).await.unwrap().unwrap().summary.status, ReleaseStatus::PendingUpgrade);

    // Whoever takes over goes on, or back.
    scene.installer.apply(&scene.begun, &fence()).await.unwrap();
    assert_eq!(scene.statuses().await, [(1, ReleaseStatus::Deployed), (2, ReleaseStatus::PendingUpgrade)]);
    scene.installer.commit(&scene.begun, &fence()).await.unwrap();
    assert_eq!(scene.statuses().await, [(1, ReleaseStatus::Superseded), (2, ReleaseStatus::Deployed)]);
}

#[tokio::test]
async fn a_revision_that_helm_has_just_called_deployed_can_be_given_up() {
    let scene = Scene::new(HelmVersion::V3).await;
    scene.helm_upgrades_alone("Applied in place of revision 1, not proved ready yet").await;
    let back = scene.installer.roll_back(&scene.begun, ONE, "why", &fence()).await.unwrap();
    scene.installer.commit(&back, &fence()).await.unwrap();
    let told = [(1, ReleaseStatus::Superseded), (2, ReleaseStatus::Failed), (3, ReleaseStatus::Deployed)];
    assert_eq!(scene.statuses().await, told);
}

/// The service ended between its own record and helm's: there is none.
#[tokio::test]
async fn a_revision_without_any_record_is_undone_all_the_same() {
    for version in HelmVersion::ALL {
        let scene = Scene::new(version).await;
        let release = scene.desired.key.name.as_str();
        scene.namespace.delete("secret", &format!("sh.helm.release.v1.{release}.v2")).await;
        // As if claims had grown before.
        scene.namespace.run(&["delete", "statefulset", release, "--cascade=orphan"]).await.unwrap();
        let back = scene.installer.roll_back(&scene.begun, ONE, "why", &fence()).await.unwrap();
        assert_eq!(back.revision, RevisionNumber(3));
        assert_eq!(scene.installer.roll_back(&scene.begun, ONE, "why", &fence()).await.unwrap(), back);
        scene.namespace.until_ready(release).await;
        scene.installer.commit(&back, &fence()).await.unwrap();
        let told = [(1, ReleaseStatus::Superseded), (2, ReleaseStatus::Failed), (3, ReleaseStatus::Deployed)];
        assert_eq!(scene.statuses().await, told);
    }
}

/// The service ended right after helm's rollback, whose record does not name our operation.
#[tokio::test]
async fn a_rollback_that_helm_has_just_made_is_picked_up() {
    for version in HelmVersion::ALL {
        let scene = Scene::new(version).await;
        let release = scene.desired.key.name.as_str();
        scene.installer.fail(&scene.begun, "why", &fence()).await.unwrap();
        Helm::new(version, &scene.namespace).run(&["rollback", release, "1"]).await;
        let back = scene.installer.roll_back(&scene.begun, ONE, "why", &fence()).await.unwrap();
        assert_eq!(back.revision, RevisionNumber(3));
        scene.installer.commit(&back, &fence()).await.unwrap();
        let newest = scene.installer.get(&scene.desired.key, None).await.unwrap().unwrap();
        assert_eq!((newest.summary.revision, newest.summary.status), (RevisionNumber(3), ReleaseStatus::Deployed));
        assert_eq!(newest.summary.deployment.unwrap().operation.as_ref(), Some(&scene.begun.operation));
    }
}

/// The lock was not renewed while helm worked. Once it is regained, the same call goes on, wherever helm was stopped.
#[tokio::test]
async fn a_helm_that_was_stopped_is_called_again() {
    let mut stops = 0;
    for (at, stop_after) in [50, 150, 300, 500, 800].into_iter().enumerate() {
        let scene = Scene::new(HelmVersion::ALL[at % 2]).await;
        let stale_after = Duration::from_secs(6);
        let long_ago = Instant::now().checked_sub(stale_after / 2 - Duration::from_millis(stop_after)).unwrap();
        let stopped = scene.installer.apply(&scene.begun, &Fence::new(stale_after, long_ago)).await;
        assert!(matches!(stopped, Ok(()) | Err(InstallerError::Fenced(_))), "after {stop_after} ms: {stopped:?}");
        stops += usize::from(stopped.is_err());
        scene.installer.apply(&scene.begun, &fence()).await.unwrap();
        assert_eq!(scene.statuses().await, [(1, ReleaseStatus::Deployed), (2, ReleaseStatus::PendingUpgrade)], "after {stop_after} ms");
        scene.installer.commit(&scene.begun, &fence()).await.unwrap();
        assert_eq!(scene.statuses().await, [(1, ReleaseStatus::Superseded), (2, ReleaseStatus::Deployed)], "after {stop_after} ms");
    }
    assert!(stops > 0, "helm was too fast for this test");
}

/// Helm's words about it are the same for everybody. A deploy may go on with ours at once, with a human's only when it must be dead.
#[tokio::test]
async fn a_removal_that_helm_does_for_us_is_not_taken_for_a_humans() {
    for version in HelmVersion::ALL {
        let namespace = Namespace::create().await;
        let account = role::account(&namespace, role::essential_without(&namespace, "delete", "services").await).await;
        let (installer, _home) = engine(&namespace, account.kubeconfig(), version).await;
        let desired = fixtures::request("leaving", Some("main")).namespace(namespace.name()).desired();
        let first = installer.begin(&desired, &fence()).await.unwrap();
        installer.apply(&first, &fence()).await.unwrap();
        installer.commit(&first, &fence()).await.unwrap();
        let shown = async || installer.get(&desired.key, None).await.unwrap().unwrap();
        let before = shown().await;

        let refused = installer.uninstall(&desired.key, &fence()).await.unwrap_err();
        assert!(matches!(refused, InstallerError::Forbidden(_)), "{version:?}: {refused:?}");
        let told = Helm::new(version, &namespace).status(desired.key.name.as_str()).await;
        assert_eq!(told["info"]["description"], "Deletion in progress (or silently failed)", "{version:?}");
        let left = shown().await;
        assert_eq!((left.summary.status, left.summary.helm_uninstalls_since), (ReleaseStatus::Uninstalling, None), "{version:?}");
        assert_eq!(left.values, before.values, "{version:?}");

        let allowed = installer_of(&namespace, namespace.plane().kubeconfig()).await;
        allowed.uninstall(&desired.key, &fence()).await.unwrap();
    }
}

/// Helm is refused an object half-way. The records are as before, and the undo works.
#[tokio::test]
async fn a_refusal_of_the_cluster_is_told_and_undone() {
    for version in HelmVersion::ALL {
        let scene = Scene::new(version).await;
        let release = scene.desired.key.name.as_str();
        let mut desired = DesiredRelease { after: Some(RevisionNumber(2)), ..next(&scene.desired, 12) };
        // Less than what it asks for at least.
        desired.request.resources.cpu_limit = "1".parse().unwrap();
        scene.installer.fail(&scene.begun, "why", &fence()).await.unwrap();
        let third = scene.installer.begin(&desired, &fence()).await.unwrap();
        let refused = scene.installer.apply(&third, &fence()).await.unwrap_err();
        let InstallerError::Refused { object, message, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!(object, &format!("StatefulSet/{release}"), "{message}");
        assert_eq!(scene.statuses().await[2], (3, ReleaseStatus::PendingUpgrade));
        let back = scene.installer.roll_back(&third, ONE, "why", &fence()).await.unwrap();
        scene.installer.commit(&back, &fence()).await.unwrap();
        assert_eq!(scene.statuses().await[3], (4, ReleaseStatus::Deployed));
        let set = scene.namespace.get("statefulset", release).await;
        let limit = &set["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"];
        let first = scene.desired.request.resources.cpu_limit.as_str();
        assert_eq!(limit, first);
        assert_ne!(limit, "1");
    }
}

/// While this operation is going on a human's upgrade is refused, as with the native engine.
#[tokio::test]
async fn a_humans_upgrade_is_refused_until_the_commit() {
    let scene = Scene::new(HelmVersion::V4).await;
    scene.installer.apply(&scene.begun, &fence()).await.unwrap();
    let release = scene.desired.key.name.as_str();
    for version in HelmVersion::ALL {
        let helm = Helm::new(version, &scene.namespace);
        let refused = helm.try_run(&["upgrade", release, &chart(), "--reuse-values"]).await.unwrap_err();
        assert!(refused.message.contains("another operation (install/upgrade/rollback) is in progress"), "{}", refused.message);
    }
    scene.installer.commit(&scene.begun, &fence()).await.unwrap();
    let seen = async || (scene.statuses().await.last() == Some(&(2, ReleaseStatus::Deployed))).then_some(());
    until("it is in force", seen).await;
}
