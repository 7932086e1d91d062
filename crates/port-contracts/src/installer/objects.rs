//! What a release has in the cluster.

use dbt_controller_domain::model::{ReleaseStatus, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;

use super::{InstallerHarness, Played};
use crate::check::{Outcome, Stopped, ensure, ensure_eq, ensure_err};
use crate::fixtures::fence;
use crate::harness::{fresh_request, until};

fn service_of(played: &Played) -> String {
    format!("Service/{}", played.key().name)
}

pub(super) async fn apply_makes_every_object_of_the_revision(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let name = &played.key().name;
    let mut promised = vec![
        format!("ServiceAccount/{name}"),
        format!("Secret/{}", name.secret_name()),
        format!("ConfigMap/{}", name.config_map_name()),
        format!("Service/{name}"),
        format!("StatefulSet/{name}"),
    ];
    promised.sort();
    ensure_eq!(played.objects().await?, promised, "the objects");
    Ok(())
}

pub(super) async fn a_repeated_apply_succeeds(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let handle = played.begin().await?;
    played.installer.apply(&handle, &fence()).await?;
    let objects = played.objects().await?;
    played.installer.apply(&handle, &fence()).await?;
    ensure_eq!(played.objects().await?, objects, "the objects");
    Ok(())
}

pub(super) async fn apply_removes_what_the_revision_no_longer_has(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness).https().desired());
    played.deploy().await?;
    let ingress = format!("Ingress/{}", played.key().name);
    ensure!(played.objects().await?.contains(&ingress), "there is no {ingress}");
    let mut next = played.next(11);
    next.request.https_enabled = false;
    let handle = played.begin_of(&next).await?;
    ensure!(played.objects().await?.contains(&ingress), "{ingress} went before the apply");
    played.installer.apply(&handle, &fence()).await?;
    ensure!(!played.objects().await?.contains(&ingress), "{ingress} is still there");
    let kinds = played.newest().await?.summary.kinds;
    ensure!(!kinds.contains(&"Ingress".to_owned()), "the revision's kinds are {kinds:?}");
    Ok(())
}

pub(super) async fn apply_stops_when_a_human_rolled_back(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let mut next = played.next(11);
    next.request.https_enabled = true;
    let handle = played.begin_of(&next).await?;
    harness.human_rolls_back(played.key(), RevisionNumber(1)).await.or_skip("human_rolls_back")?;
    let objects = played.objects().await?;
    ensure_err!(played.installer.apply(&handle, &fence()).await, InstallerError::Changed(_), "apply after a human's rollback");
    ensure_eq!(played.objects().await?, objects, "the objects");
    Ok(())
}

pub(super) async fn apply_stops_when_a_human_uninstalled(harness: &dyn InstallerHarness) -> Outcome {
    for keep_history in [false, true] {
        let played = Played::fresh(harness);
        played.deploy().await?;
        let handle = played.begin_of(&played.next(11)).await?;
        harness.human_uninstalls(played.key(), keep_history).await.or_skip("human_uninstalls")?;
        let applied = played.installer.apply(&handle, &fence()).await;
        ensure_err!(applied, InstallerError::Changed(_), "apply after a human's uninstall (history kept: {keep_history})");
        ensure_eq!(played.objects().await?, Vec::<String>::new(), "the objects (history kept: {keep_history})");
    }
    Ok(())
}

pub(super) async fn apply_refuses_somebody_elses_object_before_it_changes_anything(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let service = service_of(&played);
    harness.plant_object(&played.key().namespace, &service).await.or_skip("plant_object")?;
    let handle = played.begin().await?;
    match played.installer.apply(&handle, &fence()).await {
        Err(InstallerError::ForeignObject { object, owner }) => {
            ensure_eq!(object, service, "the object that is named");
            ensure!(!owner.is_empty(), "it is not said whose the object is");
        }
        other => return Err(Stopped::broken(&format!("{other:?} instead of ForeignObject"))),
    }
    ensure_eq!(played.objects().await?, Vec::<String>::new(), "the objects of the release");
    // Nor does the undo of that revision touch what is not the release's.
    let removed = played.installer.uninstall(played.key(), &fence()).await?;
    ensure_eq!(removed.objects, Vec::<String>::new(), "the objects that the uninstall removed");
    Ok(())
}

pub(super) async fn repair_of_an_intact_release_mends_nothing(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    ensure_eq!(played.installer.repair(played.key(), &fence()).await?, Vec::<String>::new(), "what was mended");
    Ok(())
}

pub(super) async fn repair_brings_a_deleted_object_back(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let service = service_of(&played);
    harness.remove_object(played.key(), &service).await.or_skip("remove_object")?;
    until(harness, "the removal", || async { Ok(!played.objects().await?.contains(&service)) }).await?;
    ensure_eq!(played.installer.repair(played.key(), &fence()).await?, vec![service.clone()], "what was mended");
    ensure!(played.objects().await?.contains(&service), "{service} is not back");
    ensure_eq!(played.installer.repair(played.key(), &fence()).await?, Vec::<String>::new(), "what a second repair mended");
    Ok(())
}

pub(super) async fn repair_mends_changed_fields(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    let service = service_of(&played);
    harness.disturb_object(played.key(), &service).await.or_skip("disturb_object")?;
    ensure_eq!(played.installer.repair(played.key(), &fence()).await?, vec![service], "what was mended");
    ensure_eq!(played.installer.repair(played.key(), &fence()).await?, Vec::<String>::new(), "what a second repair mended");
    Ok(())
}

pub(super) async fn repair_makes_no_revision(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    harness.remove_object(played.key(), &service_of(&played)).await.or_skip("remove_object")?;
    played.installer.repair(played.key(), &fence()).await?;
    let summary = played.newest().await?.summary;
    ensure_eq!((summary.revision, summary.status), (RevisionNumber(1), ReleaseStatus::Deployed), "the newest revision");
    Ok(())
}

pub(super) async fn repair_of_a_release_that_is_gone_is_refused(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    let repaired = played.installer.repair(played.key(), &fence()).await;
    ensure_err!(repaired, InstallerError::Changed(_), "repair without a release");
    Ok(())
}

pub(super) async fn uninstall_leaves_nothing(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::new(harness, fresh_request(harness).https().desired());
    played.deploy().await?;
    played.deploy_next(&played.next(11)).await?;
    let mut objects = played.objects().await?;
    let removed = played.installer.uninstall(played.key(), &fence()).await?;
    ensure!(removed.had_record, "it says that there was no record");
    let mut named = removed.objects;
    named.sort();
    objects.sort();
    ensure_eq!(named, objects, "the removed objects");
    ensure_eq!(played.objects().await?, Vec::<String>::new(), "the objects");
    ensure!(played.listed().await?.is_none(), "the release is still listed");
    for revision in [None, Some(1), Some(2)] {
        ensure!(played.get(revision).await?.is_none(), "revision {revision:?} is still there");
    }
    let again = played.begin().await?;
    ensure_eq!(again.revision, RevisionNumber(1), "the first revision of a new release");
    Ok(())
}

pub(super) async fn a_repeated_uninstall_succeeds(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    played.installer.uninstall(played.key(), &fence()).await?;
    let again = played.installer.uninstall(played.key(), &fence()).await?;
    ensure!(!again.had_record && again.objects.is_empty(), "a second uninstall found {again:?}");
    Ok(())
}

pub(super) async fn uninstall_removes_a_pending_revision(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.begin().await?;
    let removed = played.installer.uninstall(played.key(), &fence()).await?;
    ensure!(removed.had_record, "it says that there was no record");
    ensure!(played.get(None).await?.is_none(), "the record is still there");
    Ok(())
}

pub(super) async fn uninstall_without_a_record_removes_the_objects(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    harness.forget_records(played.key()).await.or_skip("forget_records")?;
    until(harness, "the loss of the records", || async { Ok(played.get(None).await?.is_none()) }).await?;
    ensure!(!played.objects().await?.is_empty(), "the objects went with the records");
    let removed = played.installer.uninstall(played.key(), &fence()).await?;
    ensure!(!removed.had_record, "it says that there was a record");
    ensure!(!removed.objects.is_empty(), "it says that there were no objects");
    ensure_eq!(played.objects().await?, Vec::<String>::new(), "the objects");
    Ok(())
}

pub(super) async fn uninstall_leaves_other_releases_alone(harness: &dyn InstallerHarness) -> Outcome {
    let (one, other) = (Played::fresh(harness), Played::fresh(harness));
    one.deploy().await?;
    other.deploy().await?;
    let objects = other.objects().await?;
    one.installer.uninstall(one.key(), &fence()).await?;
    ensure_eq!(other.objects().await?, objects, "the other's objects");
    ensure_eq!(other.status(1).await?, Some(ReleaseStatus::Deployed), "the other's status");
    Ok(())
}

pub(super) async fn uninstall_removes_kept_history(harness: &dyn InstallerHarness) -> Outcome {
    let played = Played::fresh(harness);
    played.deploy().await?;
    harness.human_uninstalls(played.key(), true).await.or_skip("human_uninstalls")?;
    played.installer.uninstall(played.key(), &fence()).await?;
    ensure!(played.get(None).await?.is_none(), "the kept record is still there");
    Ok(())
}
