//! Two processes of the service: one goes on where the other ended.

use dbt_controller_domain::model::{ReleaseStatus, RevisionNumber};
use dbt_controller_domain::ports::{ChartInstaller as _, InstallerError};
use dbt_controller_port_contracts::fixtures::{self, fence};

use super::{Stage, installer_of, next};

#[tokio::test]
async fn another_process_takes_over_at_any_step() {
    let stage = Stage::new().await;
    let other = installer_of(&stage.namespace, stage.namespace.plane().kubeconfig()).await;
    let desired = stage.desired("shared");
    let handle = stage.installer.begin(&desired, &fence()).await.unwrap();
    // At once: its watch need not have shown the record yet. So it is when the answer to the first was lost.
    assert_eq!(other.begin(&desired, &fence()).await.unwrap(), handle);
    other.apply(&handle, &fence()).await.unwrap();
    stage.installer.commit(&handle, &fence()).await.unwrap();
    assert_eq!(other.repair(&desired.key, &fence()).await.unwrap(), Vec::<String>::new());

    let second = stage.apply(&next(&desired, 11)).await;
    let back = other.roll_back(&second, RevisionNumber(1), "why", &fence()).await.unwrap();
    stage.installer.commit(&back, &fence()).await.unwrap();
    let read = other.get(&desired.key, None).await.unwrap().unwrap().summary;
    assert_eq!((read.revision, read.status), (RevisionNumber(3), ReleaseStatus::Deployed));

    // It removes what the other has just written, whatever its own watches have shown.
    let third = stage.apply(&next(&desired, 12)).await;
    assert!(other.uninstall(&desired.key, &fence()).await.unwrap().had_record);
    let left = stage.namespace.run(&["get", "secrets,configmaps,services,statefulsets,serviceaccounts", "-o", "name"]).await.unwrap();
    assert!(!left.contains(desired.key.name.as_str()), "{left}");
    assert!(matches!(stage.installer.apply(&third, &fence()).await, Err(InstallerError::Changed(_))));
}

#[tokio::test]
async fn of_two_operations_that_begin_the_same_revision_one_is_refused() {
    let stage = Stage::new().await;
    let other = installer_of(&stage.namespace, stage.namespace.plane().kubeconfig()).await;
    for project in ["race-a", "race-b", "race-c"] {
        let desired = stage.desired(project);
        let mut rival = desired.clone();
        rival.operation = fixtures::operation_id();
        let (one, fence) = (fence(), fence());
        let (first, second) = tokio::join!(stage.installer.begin(&desired, &one), other.begin(&rival, &fence));
        let refused = [first.err(), second.err()].into_iter().flatten().collect::<Vec<_>>();
        assert!(matches!(refused.as_slice(), [InstallerError::Changed(_)]), "{refused:?}");
    }
}
