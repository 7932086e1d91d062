//! Going back to an earlier revision.

use std::time::Duration;

use dbt_controller_domain::model::{ReleaseStatus, RevisionHandle, RevisionNumber};
use dbt_controller_domain::ports::InstallerError;
use dbt_controller_kube_access::{Denied, Fault};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PropagationPolicy};
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use super::NativeInstaller;
use super::apply::Anew;
use super::begin::{ATTEMPTS, next_number};
use super::claim::{Claim, busy, changed};
use super::hand::{Hand, Refusal, Target, bare};
use super::leave::{Leave, failed};
use super::objects::Live;
use super::records::{Creation, Rewrite};
use super::revision::Revision;
use crate::controller::Operation;
use crate::manifest::ManifestObject;
use crate::record::Record;

/// What the API server says of a StatefulSet's field that cannot change. There is no reason code for it.
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/apps/validation/validation.go>
pub(super) const FIXED_FIELD: &str = "updates to statefulset spec for fields other than";
/// Until a StatefulSet that leaves its pods is gone.
const ORPHANING_LIMIT: Duration = Duration::from_secs(30);
/// Until one is gone that goes with its pods: they have a minute to end by default.
const DRAINING_LIMIT: Duration = Duration::from_secs(150);
/// Fields of a StatefulSet.
const SELECTOR: &str = "/spec/selector";
const REPLICAS: &str = "/spec/replicas";
/// Who owns `spec.replicas`; no manifest has it.
const REPLICAS_MANAGER: &str = "dbt-controller";

impl NativeInstaller {
    /// The records' part: marks `failed` as failed and records the revision that takes `to` back.
    pub(super) async fn begin_rollback_revision(
        &self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        description: &str,
        leave: Leave<'_>,
    ) -> Result<RevisionHandle, InstallerError> {
        for _ in 0..ATTEMPTS {
            if let Some(revision) = self.try_rollback(failed, to, description, leave).await? {
                return Ok(RevisionHandle { revision, ..failed.clone() });
            }
        }
        busy()
    }

    /// None when the records have changed since they were listed.
    async fn try_rollback(
        &self,
        failed: &RevisionHandle,
        to: RevisionNumber,
        description: &str,
        leave: Leave<'_>,
    ) -> Result<Option<RevisionNumber>, InstallerError> {
        let claim = Claim::of(failed);
        let (history, given_up) = self.claimed(&claim, leave).await?;
        let operation = given_up.as_ref().and_then(|revision| revision.operation());
        let status = claim.check_own(given_up.as_ref().map(|revision| revision.seen_by(&operation)))?;
        let Some(given_up) = given_up else { return Ok(None) };
        if let Some(newest) = history.newest().filter(|newest| newest.key.revision > failed.revision) {
            match self.records.load(newest, leave).await {
                Ok(Some(newest)) if newest.is_rollback_by(&failed.operation, to) => return Ok(Some(newest.number())),
                Ok(_) | Err(InstallerError::Unreadable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        claim.check_highest(history.newest_status())?;
        let target = match history.find(to) {
            Some(head) => self.records.load(head, leave).await?,
            None => None,
        };
        let Some(target) = target else { return changed(format!("revision {to} is gone")) };

        let next = next_number(Some(failed.revision));
        let operation = Operation { id: failed.operation.clone(), revision: next };
        let (back, values) = self.taking_back(&target, &operation, given_up.record.first_deployed())?;

        if status != ReleaseStatus::Failed {
            let change = |record: &mut Record| {
                record.set_status(ReleaseStatus::Failed);
                record.set_description(description);
            };
            if let Rewrite::Outdated = self.records.rewrite(&given_up, change, leave).await? {
                return Ok(None);
            }
        }
        match self.records.create(back, values, target.manifest.clone(), leave).await? {
            Creation::Done => {}
            Creation::Exists => return Ok(None),
        }
        self.cut(&history, leave).await?;
        Ok(Some(next))
    }

    /// The record by which an operation takes the content of a revision back, and its values.
    pub(super) fn taking_back(
        &self,
        target: &Revision,
        operation: &Operation,
        first_deployed: Option<Timestamp>,
    ) -> Result<(Record, Value), InstallerError> {
        let now = self.clock.now();
        let back = target.record.rollback(operation.revision, first_deployed.unwrap_or(now), now, |values| operation.write(values));
        let back = back.map_err(|why| super::records::unreadable(target.key(), &why.to_string()))?;
        let mut values = target.values.clone();
        operation.write(&mut values);
        Ok((back, values))
    }
}

impl Hand<'_> {
    /// Writes an object. A StatefulSet of which a field would have to change that cannot is made anew. Its claims stay as they are; only
    /// their template changes.
    pub(super) async fn apply_or_make_anew(&mut self, object: &ManifestObject, anew: Anew, claim: &Claim) -> Result<(), InstallerError> {
        let target = Target::of(object, self.release);
        let mut value = object.owned(self.release);
        let refusal = match self.apply_as(&target, &value, claim).await {
            Ok(_) => return Ok(()),
            Err(refusal) if target.kind().is_stateful_set() && is_fixed_field(&refusal) => refusal,
            Err(refusal) => return Err(self.error(&target, refusal)),
        };
        let replicas = match self.stateful_set(&target).await? {
            None => None,
            Some(old) => {
                let keeps_pods = old.data.pointer(SELECTOR) == value.pointer(SELECTOR);
                if !keeps_pods && anew == Anew::AroundPods {
                    return Err(self.error(&target, refusal));
                }
                self.make_way(&target, &old.metadata, keeps_pods).await?;
                // One is what a new one has by itself.
                old.data.pointer(REPLICAS).filter(|replicas| **replicas != json!(1)).cloned()
            }
        };
        if let Some(replicas) = &replicas {
            value["spec"]["replicas"] = replicas.clone();
        }
        if let Err(refusal) = self.apply_as(&target, &value, claim).await {
            return Err(self.error(&target, refusal));
        }
        match replicas {
            Some(replicas) => self.own_replicas(&target, &replicas).await,
            None => Ok(()),
        }
    }

    /// The release's StatefulSet as it stands, whole.
    async fn stateful_set(&self, target: &Target) -> Result<Option<DynamicObject>, InstallerError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.installer.client.clone(), &target.key.namespace, &target.resource);
        let found = match self.leave.call(api.get(&target.key.name)).await {
            Ok(found) => found,
            Err(Denied::Fault(Fault::NotFound(_))) => return Ok(None),
            Err(denied) => return Err(failed(&target.title(), denied)),
        };
        self.check_owner(target, &Live::of(&found.metadata))?;
        Ok(Some(found))
    }

    /// Removes the StatefulSet that is in the way, and waits until it is gone.
    async fn make_way(&mut self, target: &Target, old: &ObjectMeta, keeps_pods: bool) -> Result<(), InstallerError> {
        let uid = old.uid.as_deref().unwrap_or_default();
        let (propagation, limit) =
            if keeps_pods { (PropagationPolicy::Orphan, ORPHANING_LIMIT) } else { (PropagationPolicy::Foreground, DRAINING_LIMIT) };
        tracing::info!(release.name = %self.release.name, object = target.title(), keeps_pods, "the StatefulSet is made anew");
        self.delete(target, uid, propagation).await?;
        self.await_gone(target, uid, limit).await
    }

    /// Makes the controller an owner of the replicas, so that the next apply, whose manifest has none, does not wake a sleeping server.
    async fn own_replicas(&self, target: &Target, replicas: &Value) -> Result<(), InstallerError> {
        let mut value = bare(target);
        value["spec"] = json!({ "replicas": replicas });
        let params = PatchParams::apply(REPLICAS_MANAGER).force();
        let owned = self.leave.call(self.api(target).patch(&target.key.name, &params, &Patch::Apply(&value))).await;
        owned.map(drop).map_err(|denied| failed(&target.title(), denied))
    }
}

fn is_fixed_field(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Denied(Denied::Fault(Fault::Refused(message))) if message.contains(FIXED_FIELD))
}
