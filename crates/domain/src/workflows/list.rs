//! Reads over releases: the list of deployments, the lookup of one by name, the names of an identity. All answered from memory.

use std::sync::Arc;

use super::{Workflows, faults, server_of};
use crate::allocation::{deployment_of, holder_of, under_way};
use crate::model::{DeploymentFilter, Failure, FailureCode, NameCandidate, NamesReport, Namespace, ReleaseKey, ReleaseSummary, Target};
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
    /// hit a namesake. A deployment whose first deploy is under way is found too.
    pub(crate) async fn find(&self, operations: &Operations, target: &Target) -> Result<Option<Found>, Failure> {
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
                let in_namespace = target.namespace.as_ref().is_none_or(|namespace| record.key.namespace == *namespace);
                if in_namespace {
                    return Ok(Some(Found { key: record.key.clone(), release: None }));
                }
            }
        }
        Ok(None)
    }

    /// The failure of an unknown name, in the words that pipelines match on.
    pub(crate) async fn not_found(&self, target: &Target) -> Failure {
        let namespace = target.namespace.as_ref().unwrap_or_else(|| self.settings.home());
        let deployments = self.deployments(&DeploymentFilter::default()).await.unwrap_or_default();
        let message = format!("Deployment {} not found in namespace {namespace}", target.name);
        let available = deployments.iter().map(|release| release.key.name.to_string()).collect();
        Failure { available, ..Failure::new(FailureCode::NotFound, message) }
    }

    /// A release key under which traces of a deployment without a record are left: objects, claims, a connection.
    pub(crate) async fn find_leftovers(&self, target: &Target) -> Result<Option<ReleaseKey>, Failure> {
        let mut names = vec![target.name.clone()];
        if !target.name.starts_with(ReleaseName::PREFIX) {
            names.push(format!("{}{}", ReleaseName::PREFIX, target.name));
        }
        let namespaces: Vec<&Namespace> = match &target.namespace {
            Some(namespace) => self.settings.namespaces.iter().filter(|allowed| *allowed == namespace).collect(),
            None => self.settings.namespaces.iter().collect(),
        };
        let names: Vec<ReleaseName> = names.iter().filter_map(|name| name.parse().ok()).collect();
        for name in &names {
            for namespace in &namespaces {
                let key = ReleaseKey { namespace: (*namespace).clone(), name: name.clone() };
                let objects = self.ports.installer.objects(&key).await.map_err(|error| faults::of_installer(&error))?;
                let claims = self.ports.cluster.claims(&server_of(&key, None)).await.map_err(|error| faults::of_cluster(&error))?;
                if !objects.is_empty() || !claims.is_empty() {
                    return Ok(Some(key));
                }
            }
        }
        let Some(store) = &self.ports.connections else { return Ok(None) };
        let ours = store.list_ours().await.map_err(|error| faults::of_connections(&error, None))?;
        let owner = |key: &ReleaseKey| names.contains(&key.name) && namespaces.contains(&&key.namespace);
        Ok(ours.into_iter().filter_map(|connection| connection.owner).find(owner))
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

fn is_deployment(release: &ReleaseSummary) -> bool {
    release.deployment.is_some() && release.is_present()
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
