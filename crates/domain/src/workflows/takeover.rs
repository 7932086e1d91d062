//! Taking a deploy over from a holder that is gone.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::await_server::{Awaited, Limit};
use super::call::{Broken, Halt, PortError as _, Trouble, insist, stop_of};
use super::connect::Login;
use super::deploy::Deploy;
use super::faults;
use crate::model::{
    ConnectionIntent, ConnectionOutcome, ConnectionReport, Failure, FailureCode, Phase, Release, ReleaseStatus, ReleaseSummary,
    RevisionHandle, RevisionNumber, Success,
};
use crate::operations::Stop;
use crate::ports::InstallerError;

impl Deploy<'_> {
    /// Goes on with a deploy whose holder is gone: finishes it when its server is ready, else leaves it to the undo.
    pub(super) async fn take_over(&self) -> Result<Success, Halt> {
        let ledger = self.run.ledger();
        if let Some(failure) = ledger.undoing {
            self.keep_secrets_of(None, ledger.previous).await?;
            return Err(Halt::Failed(failure));
        }
        let newest = self.newest_for_sure().await?;
        self.keep_secrets_of(newest.as_ref(), ledger.previous).await?;
        let own = newest.filter(|release| self.wrote(&release.summary));
        let (Some(own), true) = (own, ledger.writing) else { return Err(interrupted().into()) };
        let revision =
            RevisionHandle { key: self.run.info.key.clone(), revision: own.summary.revision, operation: self.run.info.id.clone() };
        if !self.is_forward(&own.summary, ledger.revision).await? {
            return Err(interrupted().into());
        }
        let Some(credentials) = own.credentials else { return Err(interrupted().into()) };
        self.run.keep_secret(&self.request.redactor(Some(&credentials)));
        if own.summary.status == ReleaseStatus::Deployed {
            // The commit came last and is the point of no return: all of it is done, only the end was not noted.
            self.commit_again(&revision).await?;
            return Ok(self.success(revision.revision, false, self.report(ledger.connection.as_ref()), Vec::new()));
        }
        if !own.summary.status.is_pending() {
            // Its undo has marked it, and could not say so on the operation's record.
            return Err(interrupted().into());
        }
        self.rebuild(&revision, ledger.rebuild).await?;
        // The objects may be written in part only; applying them again is safe and makes readiness mean this revision.
        self.apply(&revision).await?;
        self.rebuilt().await;
        if ledger.replicas_before == Some(0) {
            self.wake().await?;
        }
        self.run.phase(Phase::Ready, "looking whether the server is ready");
        let patience = Instant::now() + self.workflows.settings.lock_stale_after;
        match self.workflows.await_ready(self.run, &self.server, Awaited::Own(&revision), patience, Limit::Deploy).await {
            Ok(awake) => {
                let connection = own.summary.deployment.as_ref().and_then(|facts| facts.connection_id.as_ref());
                let login = Login { credentials: &credentials, connection, is_kept: false };
                self.finish(&revision, login, ledger.connection, awake).await
            }
            Err(Halt::Failed(failure)) if failure.code == FailureCode::DeployTimeout => Err(interrupted().at(Phase::Ready).into()),
            Err(other) => Err(other),
        }
    }

    /// What an autopsy must not say, of the revisions that may be running.
    async fn keep_secrets_of(&self, newest: Option<&Release>, previous: Option<RevisionNumber>) -> Result<(), Stop> {
        newest.iter().for_each(|release| self.run.keep_secret(&release.redactor));
        let is_known = |revision: &RevisionNumber| newest.is_some_and(|newest| newest.summary.revision == *revision);
        let Some(previous) = previous.filter(|previous| !is_known(previous)) else { return Ok(()) };
        let key = &self.run.info.key;
        match stop_of(insist(self.run, self.deadline, || self.workflows.ports.installer.get(key, Some(previous))).await)? {
            Ok(Some(release)) => self.run.keep_secret(&release.redactor),
            // What cannot be read keeps nobody from going on.
            unknown => {
                let error = unknown.err().unwrap_or_else(|| "it is not on record any more".to_owned());
                tracing::warn!(operation.id = %self.run.info.id, error, "the secrets of revision {previous} are not known");
                self.has_unknown_secrets.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Whether a revision of this operation is the one that was asked for. The other is its undo's, which can have ended without a word of it
    /// on the operation's record.
    async fn is_forward(&self, own: &ReleaseSummary, noted: Option<RevisionNumber>) -> Result<bool, Halt> {
        let request = own.deployment.as_ref().and_then(|facts| facts.request_hash.as_ref());
        if request != Some(&self.request.hash()) {
            return Ok(false);
        }
        if let Some(noted) = noted {
            return Ok(noted == own.revision);
        }
        // A request may be the one of before, and ask for other objects all the same; but an undo comes after what it takes back.
        let Some(before) = own.revision.previous() else { return Ok(true) };
        let before = self.for_sure(Some(before)).await?;
        Ok(before.ok().flatten().is_none_or(|before| !self.wrote(&before.summary)))
    }

    /// Whether this operation wrote a revision.
    pub(super) fn wrote(&self, release: &ReleaseSummary) -> bool {
        release.is_by(&self.run.info.id)
    }

    /// The newest revision. A record that cannot be read, or may not, is as unreadable for the next one: the undo does what it can without it.
    async fn newest_for_sure(&self) -> Result<Option<Release>, Halt> {
        self.for_sure(None).await?.map_err(|error| {
            self.has_unknown_secrets.store(true, Ordering::Relaxed);
            faults::of_installer(&error).into()
        })
    }

    /// A revision, or the newest one; or why it cannot be read. As long as the cluster does not answer nothing is decided: nobody can say what there
    /// is to undo.
    async fn for_sure(&self, revision: Option<RevisionNumber>) -> Result<Result<Option<Release>, InstallerError>, Halt> {
        let key = &self.run.info.key;
        match insist(self.run, self.deadline, || self.workflows.ports.installer.get(key, revision)).await {
            Ok(release) => Ok(Ok(release)),
            Err(Broken::Stop(stop)) => Err(stop.into()),
            Err(Broken::Error(error)) if error.trouble() == Trouble::Lasting => Ok(Err(error)),
            Err(Broken::Error(error)) => {
                tracing::warn!(operation.id = %self.run.info.id, %error, "a takeover is tried again later");
                Err(Stop::Later.into())
            }
        }
    }

    /// A commit writes the records of two revisions, and may have been broken off in between.
    async fn commit_again(&self, revision: &RevisionHandle) -> Result<(), Halt> {
        match insist(self.run, self.deadline, || self.workflows.ports.installer.commit(revision, &self.run.fence)).await {
            Ok(()) => Ok(()),
            Err(Broken::Stop(stop)) => Err(stop.into()),
            Err(Broken::Error(error)) => {
                tracing::warn!(operation.id = %self.run.info.id, %error, "an older revision may still be marked as deployed");
                Ok(())
            }
        }
    }

    /// The connection as it was written by whoever ran this deploy before.
    fn report(&self, intent: Option<&ConnectionIntent>) -> ConnectionReport {
        let Some(intent) = intent else {
            return ConnectionReport::not_configured();
        };
        let status = if intent.before.is_some() { ConnectionOutcome::Updated } else { ConnectionOutcome::Created };
        let url = self.request.invocations_url(&self.server);
        ConnectionReport { id: Some(intent.id.clone()), url: Some(url), status, error: None }
    }
}

fn interrupted() -> Failure {
    Failure::new(FailureCode::Interrupted, "the service process that ran this deploy ended in the middle; post the deployment again")
}
