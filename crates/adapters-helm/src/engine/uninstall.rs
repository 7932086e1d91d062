//! Removing a release.

use std::sync::Arc;

use dbt_controller_domain::model::{Redactor, ReleaseKey, ReleaseStatus, Uninstalled};
use dbt_controller_domain::ports::InstallerError;
use dbt_controller_kube_access::ObjectKey;
use jiff::{SignedDuration, Timestamp};
use kube::api::PropagationPolicy;
use serde_json::Value;

use super::NativeInstaller;
use super::begin::ATTEMPTS;
use super::hand::{Hand, Target};
use super::kinds;
use super::leave::Leave;
use super::objects::Live;
use super::records::{History, Rewrite};
use super::revision::Revision;
use crate::controller::{removal, write_removal};
use crate::record::Record;

/// What our record says of a release that is being removed. Not in Helm's words, which tell that somebody's Helm is at work.
const DELETING: &str = "Deletion in progress by dbt-api-service-controller";

/// What Helm says of it. <https://github.com/helm/helm/blob/v4.3.1/pkg/action/uninstall.go>
const HELM_DELETING: &str = "Deletion in progress (or silently failed)";

/// How long after we noted that we have helm remove a release it may say so in the record: the program has to start, and to read what the
/// cluster knows of. A removal that it began later is somebody else's.
const HELM_BEGINS_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// Since when somebody else's `helm uninstall` has been at work, or was before it died.
pub(super) fn by_somebody_since(record: &Record, values: &Value) -> Option<Timestamp> {
    let is_helms = record.status() == ReleaseStatus::Uninstalling && record.description() == HELM_DELETING;
    let since = record.deleted().filter(|_| is_helms)?;
    let begins_within = |noted| (SignedDuration::ZERO..HELM_BEGINS_WITHIN).contains(&since.duration_since(noted));
    (!removal(values).is_some_and(begins_within)).then_some(since)
}

fn say_uninstalling(record: &mut Record, now: Timestamp) {
    record.set_status(ReleaseStatus::Uninstalling);
    record.set_description(DELETING);
    record.set_deleted(now);
}

impl NativeInstaller {
    pub(super) async fn uninstall_release(&self, key: &ReleaseKey, leave: Leave<'_>) -> Result<Uninstalled, InstallerError> {
        let mut hand = Hand::new(self, key, leave, Redactor::default());
        let (history, objects) = self.announce_uninstall(&hand, leave).await?;
        let mut removed = Vec::new();
        for (target, live) in objects {
            hand.remove(&target, live).await?;
            removed.push(target.title());
        }
        if let Some((target, live)) = self.certificate(&hand).await? {
            hand.delete(&target, &live.uid, PropagationPolicy::Background).await?;
            removed.push(target.title());
        }
        hand.finish().await?;
        // Oldest first: as long as there is a record, the newest one says what is going on.
        for head in &history.0 {
            self.records.delete(head, leave).await?;
            self.records.gone(head).await?;
        }
        Ok(Uninstalled { had_record: !history.0.is_empty(), objects: removed })
    }

    /// Marks the newest record, if it can be read, as being uninstalled. Returns the records and the objects. These are looked for before:
    /// where our account may not, nothing is begun.
    async fn announce_uninstall(&self, hand: &Hand<'_>, leave: Leave<'_>) -> Result<(History, Vec<(Target, Live)>), InstallerError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let history = self.records.history(hand.release, leave).await?;
            let newest = match history.newest() {
                None => None,
                Some(newest) => match self.records.load(newest, leave).await {
                    Ok(Some(revision)) => Some(revision),
                    // It changed in between.
                    Ok(None) if attempt < ATTEMPTS => continue,
                    // What cannot be read can still be deleted.
                    Ok(None) | Err(InstallerError::Unreadable(_)) => None,
                    Err(error) => return Err(error),
                },
            };
            let objects = self.all_objects(hand, newest.as_deref(), leave).await?;
            let marked = match &newest {
                Some(revision) => self.mark_uninstalling(revision, leave).await?,
                None => true,
            };
            // Should somebody write it all the time: it goes all the same.
            if marked || attempt >= ATTEMPTS {
                return Ok((history, objects));
            }
        }
    }

    /// False when the record changed in the meantime.
    async fn mark_uninstalling(&self, newest: &Arc<Revision>, leave: Leave<'_>) -> Result<bool, InstallerError> {
        if matches!(newest.record.status(), ReleaseStatus::Uninstalling | ReleaseStatus::Uninstalled) {
            return Ok(true);
        }
        let now = self.clock.now();
        let change = |record: &mut Record| say_uninstalling(record, now);
        Ok(matches!(self.records.rewrite(newest, change, leave).await?, Rewrite::Done))
    }

    /// The same, before helm is asked to remove the release: its own words about that, which come on top, are the same whoever asked it. Also
    /// false when there is no place for this in the record.
    pub(super) async fn mark_entrusted(&self, newest: &Revision, leave: Leave<'_>) -> Result<bool, InstallerError> {
        if newest.record.status() == ReleaseStatus::Uninstalled {
            return Ok(true);
        }
        let now = self.clock.now();
        let mut marked = newest.record.clone();
        if marked.stamp(|values| write_removal(values, now)).is_err() {
            return Ok(false);
        }
        say_uninstalling(&mut marked, now);
        Ok(matches!(self.records.rewrite(newest, |record| *record = marked, leave).await?, Rewrite::Done))
    }

    /// What the release has, last first.
    async fn all_objects(
        &self,
        hand: &Hand<'_>,
        newest: Option<&Revision>,
        leave: Leave<'_>,
    ) -> Result<Vec<(Target, Live)>, InstallerError> {
        self.objects.synced().map_err(|fault| fault.of_installer("objects"))?;
        let mut objects = self.surplus(hand, &[], None, leave).await?;
        // Another process may have written some a moment ago, and no watch has shown them yet.
        for object in newest.map_or(&[][..], |newest| newest.manifest.objects()) {
            let target = Target::of(object, hand.release);
            let is_known = objects.iter().any(|(known, _)| known.is(&target));
            if !is_known && !target.kind().is_claim() {
                let live = hand.look_anew(&target).await?;
                objects.extend(live.filter(|live| hand.may_remove(live)).map(|live| (target, live)));
            }
        }
        objects.reverse();
        Ok(objects)
    }

    /// The TLS Secret that cert-manager made for an Ingress of ours. It carries no annotations of Helm and stays when the Ingress goes.
    /// Somebody's shared certificate does not have the name that is the release's own.
    async fn certificate(&self, hand: &Hand<'_>) -> Result<Option<(Target, Live)>, InstallerError> {
        let name = hand.release.name.tls_secret_name();
        let key = ObjectKey::new(hand.release.namespace.as_str(), name.as_str());
        let target = Target { resource: kinds::resource(&kinds::parse("v1", "Secret")), key };
        let live = hand.look(&target).await?;
        Ok(live.filter(|live| live.certificate.as_ref() == Some(&name) && !live.is_leaving).map(|live| (target, live)))
    }
}
