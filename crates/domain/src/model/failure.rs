//! Why something did not work, in a stable code and a sentence that a person can act on.

use super::{Autopsy, Phase};
use crate::words;

words! {
    /// Every way in which a call of the domain can fail. The codes are part of the API; http-api's table gives each its HTTP status.
    pub enum FailureCode {
        /// No deployment of that name.
        NotFound = "not_found",
        /// The name fits several deployments.
        AmbiguousName = "ambiguous_name",
        /// The identity is deployed in another namespace.
        DeployedElsewhere = "deployed_elsewhere",
        /// All names of the identity belong to others.
        NameTaken = "name_taken",
        /// Somebody else's connection holds the id.
        ConnectionTaken = "connection_taken",
        /// A delete stopped the operation.
        Cancelled = "cancelled",
        /// An unpaused DAG uses the server.
        DagsActive = "dags_active",
        /// Somebody else changed the release in the middle.
        ReleaseChanged = "release_changed",
        /// Somebody else's Helm operation is in the middle.
        ReleasePending = "release_pending",
        /// The release's record cannot be read.
        ReleaseUnreadable = "release_unreadable",
        /// The release's record would be larger than a Secret may be.
        ReleaseTooLarge = "release_too_large",
        /// An object of that name belongs to somebody else.
        ForeignObject = "foreign_object",
        /// A claim cannot become smaller.
        ClaimCannotShrink = "claim_cannot_shrink",
        /// The storage class does not grow claims.
        ClaimCannotGrow = "claim_cannot_grow",
        /// Somebody scaled the server to 0 during the wait.
        PutToSleep = "put_to_sleep",
        /// Too many operations wait.
        TooManyOperations = "too_many_operations",
        /// The service is stopping.
        ShuttingDown = "shutting_down",
        /// The cluster does not answer.
        ClusterUnavailable = "cluster_unavailable",
        /// Airflow does not answer.
        AirflowUnavailable = "airflow_unavailable",
        /// Airflow refuses our credentials or role.
        AirflowRefused = "airflow_refused",
        /// Airflow does not take the connection's content.
        ConnectionRejected = "connection_rejected",
        /// The service lacks a right in the cluster.
        Forbidden = "cluster_forbidden",
        /// The namespace does not exist or is being deleted.
        NamespaceMissing = "namespace_missing",
        /// The Secret with the warehouse's credentials is missing.
        WarehouseSecretMissing = "warehouse_secret_missing",
        /// The image cannot be pulled.
        ImagePullFailed = "image_pull_failed",
        /// The container ends again and again.
        CrashLoop = "crash_loop",
        /// The container cannot be made: a Secret, a key or a ConfigMap is missing, or its configuration is invalid.
        ContainerConfig = "container_config_invalid",
        /// A quota refuses the pod.
        QuotaExceeded = "quota_exceeded",
        /// Admission refuses an object or the pod.
        AdmissionRefused = "admission_refused",
        /// A volume cannot be mounted.
        VolumeFailed = "volume_failed",
        /// The server was not ready in time.
        DeployTimeout = "deploy_timeout",
        /// A claim could not be deleted.
        ClaimsNotDeleted = "claims_not_deleted",
        /// The pods did not go away in time.
        PodsNotGone = "pods_not_gone",
        /// The undo itself failed.
        RollbackFailed = "rollback_failed",
        /// The holder died; another took over and undid the operation.
        Interrupted = "interrupted",
        /// Something that no code describes.
        Internal = "internal",
    }
}

words! {
    /// How the undo of a failed operation ended.
    pub enum UndoOutcome {
        /// Nothing had been changed.
        NothingToUndo = "nothing_to_undo",
        /// Everything is as it was before.
        Undone = "undone",
        /// The undo failed; the message says what is left.
        Failed = "failed",
        /// Left as it is on purpose (a delete follows, somebody else took over the release).
        LeftAsIs = "left_as_is",
    }
}

/// A failure of a call or an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Its stable code.
    pub code: FailureCode,
    /// Cause and remedy, in a sentence for a person; no secrets.
    pub message: String,
    /// The step that failed, for operations.
    pub phase: Option<Phase>,
    /// How the undo ended, for operations.
    pub undo: UndoOutcome,
    /// What the server looked like.
    pub autopsy: Option<Box<Autopsy>>,
    /// Names a caller may want next (`details.available_releases` of a 404).
    pub available: Vec<String>,
}

impl Failure {
    /// A failure before anything was changed.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), phase: None, undo: UndoOutcome::NothingToUndo, autopsy: None, available: Vec::new() }
    }

    /// The same failure, of this step.
    #[must_use]
    pub fn at(mut self, phase: Phase) -> Self {
        self.phase = Some(phase);
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Failure {}
