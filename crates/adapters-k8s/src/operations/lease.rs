//! Which replica does the background work: the one that holds the Lease.
//!
//! Leadership is no lock (everything that a leader does is safe when two do it); it only saves double work. As in client-go, a holder
//! counts as gone when its Lease did not change for as long as the Lease says, by the own monotonic clock of whoever looks, so the
//! clocks of the replicas need not agree.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::Namespace;
use dbt_controller_kube_access::{Fault, call};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::secrets::Secrets;

/// The name of the Lease.
const NAME: &str = "dbt-api-service-controller";
/// How long a holder that shows no life keeps it.
const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed, or looked at.
const PERIOD: Duration = Duration::from_secs(5);
/// A holder that could not renew it for so long leads no more, since others may take it after [`DURATION`].
const RENEWAL_LIMIT: Duration = Duration::from_secs(10);
/// How long one request may take, and the pause after one that failed.
const CALL_LIMIT: Duration = Duration::from_secs(3);
const FAULT_PAUSE: Duration = Duration::from_secs(1);
/// How many tries there are to give it up while somebody else changes it.
const GIVE_UP_TRIES: u32 = 3;
/// How often it is tried again while our account may not use Leases.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

// Whoever loses touch has noticed before anybody else begins, as long as only one call of a step hangs. A step has up to three; then two replicas
// may lead for some seconds, which does no harm.
const _: () = assert!(RENEWAL_LIMIT.as_secs() + CALL_LIMIT.as_secs() + FAULT_PAUSE.as_secs() < DURATION.as_secs());

/// Stands for election until it is dropped.
pub(super) struct Leadership {
    candidate: Arc<Mutex<Candidate>>,
    leads: Arc<watch::Sender<bool>>,
    home: Arc<watch::Sender<Home>>,
    task: AbortHandle,
}

/// What the API server said of the home namespace when it was last asked for the Lease in it.
#[derive(Debug, Clone)]
pub(super) enum Home {
    /// It has not answered yet.
    Unknown,
    /// It is there. Also said where our account may not use Leases, when nobody knows.
    There,
    /// It is missing, in the API server's words.
    Missing(String),
}

impl Home {
    /// Of what is not known yet it is assumed that it is there. Whether that changes it.
    fn is_taken_for_there(&mut self) -> bool {
        let is_unknown = matches!(self, Self::Unknown);
        if is_unknown {
            *self = Self::There;
        }
        is_unknown
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Leadership {
    /// Begins to stand for election under a name that no other replica has.
    pub(super) fn start(client: Client, home: &Namespace, instance: String, secrets: Secrets) -> Self {
        let api = Api::namespaced(client, home.as_str());
        let candidate = Arc::new(Mutex::new(Candidate { api, instance, secrets, known: None, renewed: None }));
        let leads = Arc::new(watch::Sender::new(false));
        let home = Arc::new(watch::Sender::new(Home::Unknown));
        let task = tokio::spawn(stand(Arc::clone(&candidate), Arc::clone(&leads), Arc::clone(&home))).abort_handle();
        Self { candidate, leads, home, task }
    }

    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    /// What is known of the home namespace.
    pub(super) fn home(&self) -> Home {
        self.home.borrow().clone()
    }

    /// Gives the Lease up, so that another replica need not wait until it is stale.
    pub(super) async fn resign(&self) {
        self.task.abort();
        if let Err(fault) = self.candidate.lock().await.give_up().await {
            tracing::warn!(error = %fault, "the Lease could not be given up; another replica leads when it is stale");
        }
        show(&self.leads, false);
    }
}

async fn stand(candidate: Arc<Mutex<Candidate>>, leads: Arc<watch::Sender<bool>>, home: Arc<watch::Sender<Home>>) {
    let mut may_lead = true;
    loop {
        let mut candidate = candidate.lock().await;
        let step = candidate.step().await;
        match &step {
            Err(Fault::NamespaceMissing(reason)) => drop(home.send_replace(Home::Missing(reason.clone()))),
            // Says nothing of it. What is needed for deploys is another matter than the Lease, so it is not waited for.
            Err(Fault::Unavailable(_)) => {
                home.send_if_modified(Home::is_taken_for_there);
            }
            Ok(_) | Err(_) => drop(home.send_replace(Home::There)),
        }
        let (is_leader, pause) = match step {
            Ok(is_leader) => (is_leader, PERIOD),
            Err(Fault::Forbidden(reason)) => {
                if std::mem::take(&mut may_lead) {
                    tracing::info!(reason, "Leases cannot be used: every replica does the background work");
                }
                (true, FORBIDDEN_PAUSE)
            }
            Err(fault) => {
                tracing::warn!(error = %fault, "the Lease could not be used; it is tried again");
                (candidate.is_fresh(), FAULT_PAUSE)
            }
        };
        drop(candidate);
        show(&leads, is_leader);
        tokio::time::sleep(pause).await;
    }
}

fn show(leads: &watch::Sender<bool>, is_leader: bool) {
    let changed = leads.send_if_modified(|leads| std::mem::replace(leads, is_leader) != is_leader);
    if changed {
        tracing::info!(is_leader, "the replica that does the background work has changed");
    }
}

/// One replica's view of the Lease.
struct Candidate {
    api: Api<Lease>,
    instance: String,
    /// They know the time.
    secrets: Secrets,
    /// The Lease as last read or written, and since when it has been so.
    known: Option<(Lease, Instant)>,
    /// When the last renewal was sent that went through.
    renewed: Option<Instant>,
}

impl Candidate {
    /// Renews the Lease, takes it where it is free, or looks who has it: one request, two where it changes hands, and one a minute for
    /// the time where nobody else asks. Whether we hold it.
    async fn step(&mut self) -> Result<bool, Fault> {
        let now = self.secrets.time(CALL_LIMIT).await?.latest;
        let holds = self.known.as_ref().is_some_and(|(lease, _)| self.is_holder(lease));
        if !holds {
            self.look().await?;
        }
        let lease = match &self.known {
            Some((lease, since)) if !self.may_take(lease, since.elapsed()) => return Ok(false),
            known => self.claim(known.as_ref().map(|(lease, _)| lease), MicroTime(now)),
        };
        let sent = Instant::now();
        let written = match &lease.metadata.resource_version {
            Some(_) => call(CALL_LIMIT, self.api.replace(NAME, &PostParams::default(), &lease)).await,
            None => call(CALL_LIMIT, self.api.create(&PostParams::default(), &lease)).await,
        };
        match written {
            Ok(lease) => {
                self.known = Some((lease, sent));
                self.renewed = Some(sent);
                Ok(true)
            }
            // Somebody else was faster, or removed it. The next step looks again.
            Err(Fault::Conflict(_) | Fault::AlreadyExists(_) | Fault::NotFound(_)) => {
                self.known = None;
                self.renewed = None;
                Ok(false)
            }
            Err(fault) => {
                if holds {
                    // The renewal may have been written all the same; then the version that we know of is old.
                    self.known = None;
                }
                Err(fault)
            }
        }
    }

    async fn look(&mut self) -> Result<(), Fault> {
        let looked = Instant::now();
        let found = call(CALL_LIMIT, self.api.get_opt(NAME)).await?;
        self.known = found.map(|lease| match self.known.take() {
            Some((known, since)) if known.metadata.resource_version == lease.metadata.resource_version => (lease, since),
            _ => (lease, looked),
        });
        Ok(())
    }

    fn is_holder(&self, lease: &Lease) -> bool {
        holder(lease) == Some(&self.instance)
    }

    /// Whether it is ours, nobody's, or its holder has shown no life for too long.
    fn may_take(&self, lease: &Lease, unchanged: Duration) -> bool {
        let told = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
        let duration = told.map_or(DURATION, Duration::from_secs);
        holder(lease).is_none() || self.is_holder(lease) || unchanged >= duration
    }

    /// The Lease with us as its holder.
    fn claim(&self, known: Option<&Lease>, now: MicroTime) -> Lease {
        let before = known.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let is_renewal = known.is_some_and(|lease| self.is_holder(lease));
        let transitions = before.lease_transitions.unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: Some(self.instance.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(now.clone()),
            acquire_time: if is_renewal { before.acquire_time.clone() } else { Some(now) },
            lease_transitions: Some(if is_renewal { transitions } else { transitions.saturating_add(1) }),
            ..before
        };
        let metadata =
            known.map_or_else(|| ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() }, |lease| lease.metadata.clone());
        Lease { metadata, spec: Some(spec) }
    }

    /// Whether the last renewal is young enough to lead on.
    fn is_fresh(&self) -> bool {
        self.renewed.is_some_and(|renewed| renewed.elapsed() < RENEWAL_LIMIT)
    }

    async fn give_up(&mut self) -> Result<(), Fault> {
        for _ in 0..GIVE_UP_TRIES {
            // It may be ours by a write whose answer nobody has waited for.
            if self.known.is_none() {
                match self.look().await {
                    Err(Fault::Forbidden(_)) => return Ok(()),
                    other => other?,
                }
            }
            let Some((mut lease, _)) = self.known.take().filter(|(lease, _)| self.is_holder(lease)) else { return Ok(()) };
            lease.spec.get_or_insert_default().holder_identity = None;
            match call(CALL_LIMIT, self.api.replace(NAME, &PostParams::default(), &lease)).await {
                Ok(_) | Err(Fault::NotFound(_)) => return Ok(()),
                Err(Fault::Conflict(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Conflict("it was changed each time".to_owned()))
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref().filter(|holder| !holder.is_empty())
}
