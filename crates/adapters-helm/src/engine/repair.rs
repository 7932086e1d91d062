//! Making what is in force be there.

use dbt_controller_domain::model::{ReleaseKey, ReleaseStatus};
use dbt_controller_domain::ports::InstallerError;
use dbt_controller_kube_access::{Denied, Fault};

use super::NativeInstaller;
use super::apply::secrets_of;
use super::claim::{Claim, changed};
use super::hand::{Hand, Target};
use super::leave::{Leave, refused};
use super::managers;
use crate::manifest::ManifestObject;

impl NativeInstaller {
    pub(super) async fn repair_release(&self, key: &ReleaseKey, leave: Leave<'_>) -> Result<Vec<String>, InstallerError> {
        let history = self.records.history(key, leave).await?;
        let Some(newest) = history.newest() else { return changed("the release is gone") };
        let Some(revision) = self.records.load(newest, leave).await? else { return changed("the release is gone") };
        let status = revision.record.status();
        if status != ReleaseStatus::Deployed {
            return changed(format!("revision {} is {status}", newest.key.revision));
        }
        self.records.wait_for(newest).await?;
        let claim = Claim::in_force(&newest.key);
        let mut hand = Hand::new(self, key, leave, secrets_of(&revision));
        let objects = revision.manifest.objects();
        hand.check_owners(objects).await?;
        let mut mended = Vec::new();
        for object in objects {
            if hand.mend(object, &claim).await? {
                mended.push(object.title());
            }
        }
        hand.finish().await?;
        Ok(mended)
    }
}

impl Hand<'_> {
    /// Applies an object unless that would change nothing; whether it was not as it should be.
    ///
    /// Comparing a manifest with an object is the API server's business: it knows defaults, spellings of quantities, keys of lists. So
    /// it is asked by a dry run, whose answer tells whether an apply would change something. Thus an intact release is not written to.
    pub(super) async fn mend(&mut self, object: &ManifestObject, claim: &Claim) -> Result<bool, InstallerError> {
        let target = Target::of(object, self.release);
        let live = self.look(&target).await?;
        if let Some(applied) = live.as_ref().and_then(|live| live.applied.as_ref()) {
            match self.rehearse(&target, &object.owned(self.release)).await {
                Ok(meta) if meta.managed_fields.as_deref().and_then(managers::applied).as_ref() == Some(applied) => return Ok(false),
                // A webhook that takes no dry run, for one: then only the apply itself can tell.
                Ok(_) | Err(Denied::Fault(Fault::Refused(_))) => {}
                Err(denied) => return Err(refused(&target.title(), denied, &self.redactor)),
            }
        }
        let (_, meta) = self.apply(object, claim).await?;
        Ok(live.map(|live| live.version) != meta.resource_version)
    }
}
