//! The face of the domain: what http-api and other tools call.

mod background;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::allocation::{deployed_elsewhere, deployment_of, under_way, unreadable_among};
use crate::decide::is_adoptable;
use crate::model::*;
use crate::naming::{Identity, ReleaseName};
use crate::operations::{Limits, Operations, Submission, Submitted, store_failure};
use crate::ports::{ChartInstaller, Clock, Cluster, ConnectionStore, EventRecorder, OperationStore, Random};
use crate::workflows::inspect::inspect;
use crate::workflows::{Workflows, faults, list::Found};

/// The adapters a controller works with.
#[derive(Clone)]
pub struct Ports {
    /// Helm releases.
    pub installer: Arc<dyn ChartInstaller>,
    /// Servers, pods, claims.
    pub cluster: Arc<dyn Cluster>,
    /// Airflow; none runs the service without it.
    pub connections: Option<Arc<dyn ConnectionStore>>,
    /// Who tells how operations ended; none tells it in the log only.
    pub events: Option<Arc<dyn EventRecorder>>,
    /// Operation records.
    pub operations: Arc<dyn OperationStore>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Ids and passwords.
    pub random: Arc<dyn Random>,
}

/// Owns the servers: every call of the API ends here.
pub struct Controller {
    workflows: Arc<Workflows>,
    operations: Arc<Operations>,
    health: tokio::sync::Mutex<Option<(Instant, ControllerHealth)>>,
}

impl Controller {
    /// A controller over these adapters. It does nothing by itself until [`Controller::run_background`] is awaited in a task.
    pub fn new(ports: Ports, settings: Settings) -> Arc<Self> {
        let limits = Limits {
            max_concurrent: settings.max_concurrent,
            max_queued: settings.max_queued,
            retention: settings.operation_retention,
            lock_stale_after: settings.lock_stale_after,
        };
        let (store, clock, random) = (Arc::clone(&ports.operations), Arc::clone(&ports.clock), Arc::clone(&ports.random));
        let workflows = Arc::new(Workflows::new(ports, settings));
        let operations = Operations::new(store, clock, random, Arc::clone(&workflows) as _, limits);
        Arc::new(Self { workflows, operations, health: tokio::sync::Mutex::default() })
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.workflows.settings
    }

    /// Submits a deploy: settles the release name, takes the lock or a place in the queue, or joins an equal deploy.
    ///
    /// # Errors
    /// `deployed_elsewhere`, `name_taken`, `release_unreadable`, `too_many_operations`, `shutting_down`, `cluster_unavailable`.
    pub async fn deploy(self: &Arc<Self>, request: DeployRequest, caller: Caller) -> Result<Ticket, Failure> {
        // A name that is free now may be taken a moment later; each round sees what the last one lost to.
        for _ in 0..MAX_ROUNDS {
            let (key, rivals) = self.choose_name(&request).await?;
            let submission = Submission {
                key,
                identity: Some(request.identity.clone()),
                task: Task::Deploy(Box::new(request.clone())),
                caller: caller.clone(),
                rivals,
            };
            match self.operations.submit(submission).await? {
                Submitted::Accepted(ticket) => {
                    self.workflows.readings.forget(&ticket.key);
                    return Ok(ticket);
                }
                Submitted::Held => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Err(Failure::new(FailureCode::NameTaken, "the names of this deployment change hands too often right now; post again"))
    }

    /// Submits a delete. A running deploy of the release is stopped at its next step.
    ///
    /// # Errors
    /// `not_found`, `ambiguous_name`, `shutting_down`, `cluster_unavailable`, `airflow_unavailable`; `namespace_missing`, `cluster_forbidden`,
    /// `quota_exceeded`, `admission_refused` when its record cannot be written.
    pub async fn delete(self: &Arc<Self>, target: &Target, caller: Caller) -> Result<Ticket, Failure> {
        let found = match self.workflows.find(&self.operations, target).await? {
            Some(found) => found,
            None => match self.workflows.find_leftovers(target).await? {
                Some(key) => Found { key, release: None },
                None => return Err(self.workflows.not_found(target).await),
            },
        };
        self.submit(found, Task::Delete, caller).await
    }

    /// Submits a suspend.
    ///
    /// # Errors
    /// As [`Controller::delete`], and `too_many_operations`.
    pub async fn suspend(self: &Arc<Self>, target: &Target, force: bool, caller: Caller) -> Result<Ticket, Failure> {
        let found = self.locate(target).await?;
        self.submit(found, Task::Suspend { force }, caller).await
    }

    /// Submits a resume.
    ///
    /// # Errors
    /// As [`Controller::delete`], and `too_many_operations`.
    pub async fn resume(self: &Arc<Self>, target: &Target, caller: Caller) -> Result<Ticket, Failure> {
        let found = self.locate(target).await?;
        self.submit(found, Task::Resume, caller).await
    }

    /// Waits for the end of an operation, whichever replica runs it.
    ///
    /// # Errors
    /// `shutting_down` when the service stopped before the end.
    pub async fn wait(&self, ticket: &Ticket) -> Result<Arc<FinishedOperation>, Failure> {
        self.operations.wait(ticket).await
    }

    /// The deployments that a filter matches, by namespace and name.
    ///
    /// # Errors
    /// `cluster_unavailable`.
    pub async fn list(&self, filter: &DeploymentFilter) -> Result<Vec<Arc<ReleaseSummary>>, Failure> {
        self.workflows.deployments(filter).await
    }

    /// One deployment, whole.
    ///
    /// # Errors
    /// `not_found`, `ambiguous_name`, `cluster_unavailable`.
    pub async fn inspect(self: &Arc<Self>, target: &Target) -> Result<Deployment, Failure> {
        let found = self.locate(target).await?;
        let operation = self.operations.current(&found.key).await;
        match inspect(&self.workflows, found, operation).await? {
            Some(deployment) => Ok(deployment),
            None => Err(self.workflows.not_found(target).await),
        }
    }

    /// Every Helm release that can be read, by namespace and name.
    ///
    /// # Errors
    /// `cluster_unavailable`.
    pub async fn releases(&self) -> Result<Vec<Arc<ReleaseSummary>>, Failure> {
        self.workflows.releases().await
    }

    /// A revision of a release with its values; none when it is gone by now.
    ///
    /// # Errors
    /// `cluster_unavailable`, `release_unreadable`.
    pub async fn release(&self, key: &ReleaseKey, revision: RevisionNumber) -> Result<Option<Release>, Failure> {
        self.workflows.ports.installer.get(key, Some(revision)).await.map_err(|error| faults::of_installer(&error))
    }

    /// The release that a name means by the lookup rule.
    ///
    /// # Errors
    /// `not_found`, `ambiguous_name`, `cluster_unavailable`.
    pub async fn find(&self, target: &Target) -> Result<Arc<ReleaseSummary>, Failure> {
        match self.locate(target).await?.release {
            Some(release) => Ok(release),
            None => Err(self.workflows.not_found(target).await),
        }
    }

    /// What an identity is or would be called.
    ///
    /// # Errors
    /// `cluster_unavailable`.
    pub async fn names(&self, identity: &Identity) -> Result<NamesReport, Failure> {
        self.workflows.names(&self.operations, identity).await
    }

    /// Every operation that is readable, oldest submission first.
    ///
    /// # Errors
    /// `cluster_unavailable`; `namespace_missing`, `cluster_forbidden` when the records cannot be read.
    pub async fn operations(&self) -> Result<Vec<Arc<OperationView>>, Failure> {
        self.operations.views().await.map_err(|error| store_failure(&error))
    }

    /// One operation.
    ///
    /// # Errors
    /// `cluster_unavailable`; `namespace_missing`, `cluster_forbidden` when the records cannot be read.
    pub async fn operation(&self, id: &OperationId) -> Result<Option<Arc<OperationView>>, Failure> {
        self.operations.view(id).await.map_err(|error| store_failure(&error))
    }

    /// Follows one operation: its present view, then each change. The sender goes away after the view that shows its end.
    ///
    /// # Errors
    /// `cluster_unavailable`; `namespace_missing`, `cluster_forbidden` when the records cannot be read.
    pub async fn follow(&self, id: &OperationId) -> Result<Option<watch::Receiver<Arc<OperationView>>>, Failure> {
        self.operations.follow(id).await.map_err(|error| store_failure(&error))
    }

    /// For how long what is read from memory may have been out of date, because the cluster does not answer; none while it is current.
    pub fn behind(&self) -> Option<Duration> {
        self.workflows.behind()
    }

    /// What the probes ask. The far sides are asked at most once a second: probes need no token, and must cost nobody anything.
    pub async fn health(&self) -> ControllerHealth {
        let mut last = self.health.lock().await;
        let health = match &*last {
            Some((read_at, health)) if read_at.elapsed() < HEALTH_IS_FRESH => health.clone(),
            _ => {
                let health = self.read_health().await;
                *last = Some((Instant::now(), health.clone()));
                health
            }
        };
        ControllerHealth { shutting_down: self.operations.is_closing(), ..health }
    }

    async fn read_health(&self) -> ControllerHealth {
        let ports = &self.workflows.ports;
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let (cluster, releases, operations) = tokio::join!(ports.cluster.check(), ports.installer.check(), ports.operations.check());
        ControllerHealth {
            shutting_down: self.operations.is_closing(),
            cluster: cluster.map_err(|error| words(&error)),
            releases: releases.map_err(|error| words(&error)),
            operations: operations.map_err(|error| words(&error)),
        }
    }

    /// Deployments in our namespaces that a service with another own namespace wrote, each with that namespace. Two services have operation
    /// records of their own, so neither knows of the other's locks: they must not share a namespace.
    ///
    /// # Errors
    /// `cluster_unavailable` as long as the releases are not known.
    pub async fn written_by_other_services(&self) -> Result<Vec<(ReleaseKey, Namespace)>, Failure> {
        let home = self.settings().home();
        let releases = self.workflows.releases().await?;
        let others = releases.iter().filter_map(|release| {
            let writer = release.deployment.as_ref()?.home.as_ref()?;
            (writer != home).then(|| (release.key.clone(), writer.clone()))
        });
        Ok(others.collect())
    }

    /// Stops: no new operations from now on, what has begun gets `grace`. The others, and later those too, are given up (their lock is
    /// released, so that another replica or the next start finishes them) and their callers get `shutting_down`.
    pub async fn shut_down(&self, grace: Duration) {
        self.operations.shut_down(grace).await;
    }

    /// The release key of an identity: where it is deployed or under way, else its first free name. With the other names beside it.
    async fn choose_name(&self, request: &DeployRequest) -> Result<(ReleaseKey, Vec<ReleaseName>), Failure> {
        let identity = &request.identity;
        let releases = self.workflows.releases().await?;
        if let Some(release) = deployment_of(identity, &releases) {
            if release.key.namespace != request.namespace {
                return Err(deployed_elsewhere(identity, &release.key));
            }
            return Ok((release.key.clone(), Vec::new()));
        }
        let names = identity.release_names();
        let all_names: Vec<_> = names.iter().cloned().chain(identity.replaced_release_name()).collect();
        if let Some(failure) = unreadable_among(&all_names, &releases) {
            return Err(failure);
        }
        let mut adoptable = releases.iter().filter(|release| is_adoptable(release, identity));
        if let Some(release) = adoptable.clone().find(|release| release.key.namespace == request.namespace) {
            return Ok((release.key.clone(), names));
        }
        if let Some(release) = adoptable.next() {
            return Err(deployed_elsewhere(identity, &release.key));
        }
        let mut holders = Vec::new();
        let mut free = None;
        for name in &names {
            let record = self.operations.unfinished(name).await;
            if let Some(key) = record.as_deref().and_then(|record| under_way(identity, record)) {
                if key.namespace != request.namespace {
                    return Err(deployed_elsewhere(identity, &key));
                }
                free = Some(key);
                break;
            }
            match self.workflows.holder(name, identity, &request.namespace, &releases, record.as_deref()).await? {
                Some(holder) => holders.push(format!("`{name}`: {holder}")),
                None => {
                    free.get_or_insert_with(|| ReleaseKey { namespace: request.namespace.clone(), name: name.clone() });
                }
            }
        }
        let Some(key) = free else {
            let message =
                format!("every name of {identity} is somebody else's ({}); delete one of them or rename the project", holders.join("; "));
            return Err(Failure::new(FailureCode::NameTaken, message));
        };
        let rivals = names.into_iter().filter(|name| *name != key.name).collect();
        Ok((key, rivals))
    }

    async fn locate(&self, target: &Target) -> Result<Found, Failure> {
        match self.workflows.find(&self.operations, target).await? {
            Some(found) => Ok(found),
            None => Err(self.workflows.not_found(target).await),
        }
    }

    async fn submit(&self, found: Found, task: Task, caller: Caller) -> Result<Ticket, Failure> {
        let identity = match &found.release {
            Some(release) => release.identity().cloned(),
            None => None,
        };
        self.workflows.readings.forget(&found.key);
        let submission = Submission { key: found.key, identity, task, caller, rivals: Vec::new() };
        match self.operations.submit(submission).await? {
            Submitted::Accepted(ticket) => Ok(ticket),
            Submitted::Held => Err(Failure::new(FailureCode::NameTaken, "the name was just taken by another deployment; look it up again")),
        }
    }
}

/// How often a deploy looks for a name before it gives up.
const MAX_ROUNDS: u32 = 10;
/// For how long an answer to a probe holds.
const HEALTH_IS_FRESH: Duration = Duration::from_secs(1);
