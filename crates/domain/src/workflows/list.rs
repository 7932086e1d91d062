//! Reads over releases: the list of deployments, the lookup of one by name, the names of an identity. All answered from memory.

use std::sync::Arc;
use std::time::Duration;

use super::{Workflows, faults, server_of};
use crate::allocation::{deployment_of, holder_of, under_way, unreadable};
use crate::model::{
    DeploymentFilter, Failure, FailureCode, NameCandidate, NamesReport, Namespace, OperationInfo, OperationKind, ReleaseKey,
    ReleaseSummary, Target,
};
use crate::naming::{Identity, ReleaseName};
use crate::operations::Operations;

/// What a name means.
pub(crate) struct Found {
    pub(crate) key: ReleaseKey,
    /// The release; none while its first deploy has not recorded it.
    pub(crate) release: Option<Arc<ReleaseSummary>>,
}

impl Workflows {
    /// Every release that can be read, by namespace and name.
    pub(crate) async fn releases(&self) -> Result<Vec<Arc<ReleaseSummary>>, Failure> {
        self.ports.installer.list().await.map_err(|error| faults::of_installer(&error))
    }

    /// The deployments that a filter matches.
    pub(crate) async fn deployments(&self, filter: &DeploymentFilter) -> Result<Vec<Arc<ReleaseSummary>>, Failure> {
        let mut releases = self.releases().await?;
        releases.retain(|release| is_deployment(release) && matches(filter, release));
        Ok(releases)
    }

    /// The release that a name means: exactly that release; else, only if the name does not begin with `dbt-server-`, the one with
    /// that prefix; else, if it does, the rest, and only for an adopted release. Never two steps, so that a repeated DELETE cannot
    /// hit a namesake. A deployment whose first deploy is under way is found too. None means that there is none: what memory does not know
    /// while it may be out of date is an error.
    pub(crate) async fn find(&self, operations: &Operations, target: &Target) -> Result<Option<Found>, Failure> {
        // Asked before the look: it may be read anew meanwhile.
        let behind = self.behind();
        let releases = self.releases().await?;
        let prefix = ReleaseName::PREFIX;
        let (second, adopted_only) = match target.name.strip_prefix(prefix) {
            Some(rest) => (rest.to_owned(), true),
            None => (format!("{prefix}{}", target.name), false),
        };
        for (name, adopted_only) in [(target.name.clone(), false), (second, adopted_only)] {
            let Ok(name) = name.parse::<ReleaseName>() else { continue };
            let fits = |release: &&Arc<ReleaseSummary>| {
                release.key.name == name
                    && is_deployment(release)
                    && target.namespace.as_ref().is_none_or(|namespace| release.key.namespace == *namespace)
                    && (!adopted_only || release.deployment.as_ref().is_some_and(|facts| !facts.ours))
            };
            let matching: Vec<_> = releases.iter().filter(fits).collect();
            match matching.as_slice() {
                [release] => return Ok(Some(Found { key: release.key.clone(), release: Some(Arc::clone(release)) })),
                [] => {}
                several => return Err(ambiguous(&target.name, several)),
            }
            if let Some(record) = operations.unfinished(&name).await.filter(|_| !adopted_only) {
                let in_namespace =
                    |info: &&OperationInfo| target.namespace.as_ref().is_none_or(|namespace| info.key.namespace == *namespace);
                let meant = || record.unfinished().map(|(info, _)| info).filter(in_namespace);
                // What is being made is meant before what is removed elsewhere.
                if let Some(info) = meant().find(|info| info.kind == OperationKind::Deploy).or_else(|| meant().next()) {
                    return Ok(Some(Found { key: info.key.clone(), release: None }));
                }
            }
        }
        match behind {
            None => Ok(None),
            Some(_) => Err(Failure::new(
                FailureCode::ClusterUnavailable,
                format!(
                    "the cluster does not answer, so it cannot be told whether there is a deployment {}; try again when it is back",
                    target.name
                ),
            )),
        }
    }

    /// For how long what is read from memory may have been out of date, because the cluster does not answer; none while it is current.
    pub(crate) fn behind(&self) -> Option<Duration> {
        self.ports.installer.behind().max(self.ports.cluster.behind()).max(self.ports.operations.behind())
    }

    /// The failure of an unknown name, in the words that pipelines match on. For them it means that all is removed, so it is not said of a
    /// release whose record cannot be read.
    pub(crate) async fn not_found(&self, target: &Target) -> Failure {
        let releases = self.releases().await.unwrap_or_default();
        let mut meant = releases.iter().filter(|release| release.is_present() && is_meant(target, &release.key));
        if let Some(failure) = meant.find_map(|release| unreadable(release)) {
            return failure;
        }
        let namespace = target.namespace.as_ref().unwrap_or_else(|| self.settings.home());
        let deployments = self.deployments(&DeploymentFilter::default()).await.unwrap_or_default();
        let message = format!("Deployment {} not found in namespace {namespace}", target.name);
        let available = deployments.iter().map(|release| release.key.name.to_string()).collect();
        Failure { available, ..Failure::new(FailureCode::NotFound, message) }
    }

    /// A release key under which traces of a deployment without a record are left: a connection, objects, claims.
    pub(crate) async fn find_leftovers(&self, target: &Target) -> Result<Option<ReleaseKey>, Failure> {
        let keys = self.leftover_keys(target).await?;
        // Only the connection tells a release of ours from one of the replaced service: their servers can have one name.
        let connections = match &self.ports.connections {
            Some(store) => store.list_ours().await.map_err(|error| faults::of_connections(&error, None)),
            None => Ok(Vec::new()),
        };
        let owners = || connections.iter().flatten().filter_map(|connection| connection.owner.as_ref());
        if let Some(owner) = owners().find(|owner| keys.contains(owner)) {
            return Ok(Some(owner.clone()));
        }
        // Under any other name they would be somebody else's, who has a right to what `helm uninstall` keeps.
        for key in keys.into_iter().filter(|key| key.name.as_str().starts_with(ReleaseName::PREFIX)) {
            let objects = self.ports.installer.objects(&key).await.map_err(|error| faults::of_installer(&error))?;
            let claims = self.own_claims(&key, &server_of(&key, None)).await.map_err(|error| faults::of_cluster(&error))?;
            if !objects.is_empty() || !claims.is_empty() {
                return Ok(Some(key));
            }
        }
        connections.map(|_| None)
    }

    /// The keys without a deployment that a name can mean by the lookup rule, other people's releases left out.
    async fn leftover_keys(&self, target: &Target) -> Result<Vec<ReleaseKey>, Failure> {
        let releases = self.releases().await?;
        let second = match target.name.strip_prefix(ReleaseName::PREFIX) {
            Some(rest) => rest.to_owned(),
            None => format!("{}{}", ReleaseName::PREFIX, target.name),
        };
        let names: Vec<ReleaseName> = [&target.name, &second].into_iter().filter_map(|name| name.parse().ok()).collect();
        let is_meant = |namespace: &&Namespace| target.namespace.as_ref().is_none_or(|wanted| wanted == *namespace);
        let is_taken = |release: &ReleaseSummary| is_deployment(release) || is_somebody_elses(release);
        let mut keys = Vec::new();
        for name in &names {
            for namespace in self.settings.namespaces.iter().filter(is_meant) {
                let key = ReleaseKey { namespace: namespace.clone(), name: name.clone() };
                if !releases.iter().any(|release| release.key == key && is_taken(release)) {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }

    /// What an identity is or would be called.
    pub(crate) async fn names(&self, operations: &Operations, identity: &Identity) -> Result<NamesReport, Failure> {
        let releases = self.releases().await?;
        let deployed = deployment_of(identity, &releases);
        let mut candidates = Vec::new();
        let mut under_way_as = None;
        for release_name in identity.release_names() {
            let record = operations.unfinished(&release_name).await;
            if let Some(key) = record.as_deref().and_then(|record| under_way(identity, record)) {
                under_way_as.get_or_insert(key.name);
            }
            let held_by = self.holder(&release_name, identity, self.settings.home(), &releases, record.as_deref()).await?;
            candidates.push(NameCandidate { release_name, held_by });
        }
        let free = candidates.iter().find(|candidate| candidate.held_by.is_none()).map(|candidate| candidate.release_name.clone());
        let recorded = deployed.and_then(|release| release.deployment.as_ref()).and_then(|facts| facts.connection_id.clone());
        let is_others = |id: &crate::naming::ConnectionId| {
            releases.iter().any(|release| {
                release.identity() != Some(identity)
                    && release.deployment.as_ref().is_some_and(|facts| facts.connection_id.as_ref() == Some(id))
            })
        };
        Ok(NamesReport {
            identity: identity.clone(),
            deployed: deployed.map(|release| release.key.clone()),
            release_name: deployed.map(|release| release.key.name.clone()).or(under_way_as).or(free),
            connection_id: recorded.or_else(|| identity.connection_ids().into_iter().find(|id| !is_others(id))),
            candidates,
        })
    }

    /// Who else holds a name.
    pub(crate) async fn holder(
        &self,
        name: &ReleaseName,
        identity: &Identity,
        namespace: &Namespace,
        releases: &[Arc<ReleaseSummary>],
        record: Option<&crate::model::OperationRecord>,
    ) -> Result<Option<String>, Failure> {
        let key = ReleaseKey { namespace: namespace.clone(), name: name.clone() };
        let claims = self.ports.cluster.claims(&server_of(&key, None)).await.map_err(|error| faults::of_cluster(&error))?;
        Ok(holder_of(name, identity, releases, &claims, record))
    }
}

/// Whether a release of this key can be what is meant.
fn is_meant(target: &Target, key: &ReleaseKey) -> bool {
    let name = key.name.as_str();
    let fits = name == target.name || name.strip_prefix(ReleaseName::PREFIX) == Some(&target.name);
    fits && target.namespace.as_ref().is_none_or(|namespace| key.namespace == *namespace)
}

pub(super) fn is_deployment(release: &ReleaseSummary) -> bool {
    release.deployment.is_some() && release.is_present()
}

/// Whether a release is no deployment. One that cannot be read is taken for ours when it has a name of ours.
pub(super) fn is_somebody_elses(release: &ReleaseSummary) -> bool {
    let may_be_ours = release.unreadable.is_some() && release.key.name.as_str().starts_with(ReleaseName::PREFIX);
    release.is_present() && release.deployment.is_none() && !may_be_ours
}

fn matches(filter: &DeploymentFilter, release: &ReleaseSummary) -> bool {
    let DeploymentFilter { project_name, git_branch, namespace, status } = filter;
    let project = release.identity().map(|identity| identity.project().as_str());
    let branch = release.identity().map(|identity| identity.branch().map_or("", |branch| branch.as_str()));
    project_name.as_deref().is_none_or(|wanted| project == Some(wanted))
        && git_branch.as_deref().is_none_or(|wanted| branch == Some(wanted))
        && namespace.as_deref().is_none_or(|wanted| release.key.namespace.as_str() == wanted)
        && status.as_deref().is_none_or(|wanted| release.status.as_str() == wanted)
}

fn ambiguous(name: &str, releases: &[&Arc<ReleaseSummary>]) -> Failure {
    let namespaces: Vec<_> = releases.iter().map(|release| format!("`{}`", release.key.namespace)).collect();
    let message = format!("deployment `{name}` exists in several namespaces: {}; say which with `?namespace=`", namespaces.join(", "));
    Failure::new(FailureCode::AmbiguousName, message)
}
