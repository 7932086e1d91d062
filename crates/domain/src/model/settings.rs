//! Settings of the workflows. Their names, defaults and ranges are checked where they are read (crates/bin).

use std::time::Duration;

use super::Namespace;

/// What the workflows need to know from configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where operations live and deployments go by default (`KUBERNETES_NAMESPACE`), then the further allowed ones.
    pub namespaces: Vec<Namespace>,
    /// How long a deploy may take in all (`DEPLOY_TIMEOUT`).
    pub deploy_timeout: Duration,
    /// How long an undo waits for the old server (`UNDO_TIMEOUT`).
    pub undo_timeout: Duration,
    /// Deploys and resumes that run side by side on this replica (`MAX_CONCURRENT_DEPLOYMENTS`).
    pub max_concurrent: usize,
    /// Operations of this replica that may wait for a slot or their turn (`MAX_QUEUED_OPERATIONS`).
    pub max_queued: usize,
    /// How long an ended operation stays readable (`OPERATION_RETENTION`, at least [`Settings::SHORTEST_RETENTION`]).
    pub operation_retention: Duration,
    /// A lock that was not renewed for this long is stale (`LOCK_STALE_AFTER`, at least 6 s).
    pub lock_stale_after: Duration,
    /// When a wait for a server is hopeless.
    pub patience: Patience,
    /// Whether servers sleep while all DAGs of their release are paused (`SLEEP_WITH_DAGS`).
    pub sleep_with_dags: bool,
    /// How often their DAGs are looked at.
    pub dags_interval: Duration,
}

/// The windows after which a broken pod ends the wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// How long an image may fail to be pulled (`PULL_ERROR_WINDOW`).
    pub pull_error_window: Duration,
    /// Restarts that make a crash loop (`CRASH_LOOP_RESTARTS`).
    pub crash_loop_restarts: u32,
    /// How long there may be no pod before the cluster is asked why (`NO_POD_WINDOW`).
    pub no_pod_window: Duration,
}

impl Settings {
    /// For so long the end of an operation stays on record, unless later ones of its release push it out: whoever waits for it reads it from
    /// there, also on another replica.
    pub const SHORTEST_RETENTION: Duration = Duration::from_secs(60);

    /// The defaults, for deployments in this namespace only.
    pub fn new(home: Namespace) -> Self {
        Self {
            namespaces: vec![home],
            deploy_timeout: Duration::from_secs(30 * 60),
            undo_timeout: Duration::from_secs(5 * 60),
            max_concurrent: 20,
            max_queued: 200,
            operation_retention: Duration::from_secs(60 * 60),
            lock_stale_after: Duration::from_secs(30),
            patience: Patience::default(),
            sleep_with_dags: false,
            dags_interval: Duration::from_secs(60),
        }
    }

    /// The namespace of the service: the first of the allowed ones.
    pub fn home(&self) -> &Namespace {
        &self.namespaces[0]
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self { pull_error_window: Duration::from_secs(60), crash_loop_restarts: 3, no_pod_window: Duration::from_secs(10) }
    }
}
