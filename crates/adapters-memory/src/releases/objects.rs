//! The objects in the cluster, by name and by the release that their annotations tell.

use std::collections::{BTreeMap, BTreeSet};

use dbt_controller_domain::model::{Namespace, ReleaseKey};
use dbt_controller_domain::naming::ReleaseName;

/// Kinds in the order in which Helm makes them (`InstallOrder` in Helm's `pkg/releaseutil/kind_sorter.go`); unlisted ones come last.
const HELM_ORDER: [&str; 8] =
    ["ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim", "Service", "Deployment", "StatefulSet", "Ingress"];

#[derive(Debug, Default)]
pub(crate) struct ObjectTable {
    objects: BTreeMap<(Namespace, String), Object>,
    by_release: BTreeMap<ReleaseKey, BTreeSet<String>>,
}

#[derive(Debug)]
struct Object {
    /// The release in its annotations.
    owner: Option<ReleaseName>,
    /// Whether somebody changed fields that its release wrote.
    disturbed: bool,
}

impl ObjectTable {
    /// In words whose an object is, if it exists and is not of this release.
    pub(crate) fn other_owner(&self, key: &ReleaseKey, object: &str) -> Option<String> {
        match &self.find(&key.namespace, object)?.owner {
            Some(owner) if *owner == key.name => None,
            Some(owner) => Some(format!("release {owner}")),
            None => Some("no Helm release".to_owned()),
        }
    }

    /// Whether an object of this release exists with the fields that were applied.
    pub(crate) fn is_intact(&self, key: &ReleaseKey, object: &str) -> bool {
        self.find(&key.namespace, object).is_some_and(|found| found.owner.as_ref() == Some(&key.name) && !found.disturbed)
    }

    /// Writes an object of a release.
    pub(crate) fn put(&mut self, key: &ReleaseKey, object: &str) {
        let owned = Object { owner: Some(key.name.clone()), disturbed: false };
        self.objects.insert((key.namespace.clone(), object.to_owned()), owned);
        self.by_release.entry(key.clone()).or_default().insert(object.to_owned());
    }

    /// Makes an object that Helm knows nothing of.
    pub(crate) fn put_unowned(&mut self, namespace: &Namespace, object: &str) {
        self.objects.insert((namespace.clone(), object.to_owned()), Object { owner: None, disturbed: false });
    }

    /// Changes fields of an object behind its release's back; false if it does not exist.
    pub(crate) fn disturb(&mut self, namespace: &Namespace, object: &str) -> bool {
        let found = self.objects.get_mut(&(namespace.clone(), object.to_owned()));
        found.map(|found| found.disturbed = true).is_some()
    }

    /// Removes an object, whosever it is.
    pub(crate) fn remove(&mut self, namespace: &Namespace, object: &str) {
        let Some(Object { owner: Some(owner), .. }) = self.objects.remove(&(namespace.clone(), object.to_owned())) else { return };
        let key = ReleaseKey { namespace: namespace.clone(), name: owner };
        if let Some(owned) = self.by_release.get_mut(&key) {
            owned.remove(object);
            if owned.is_empty() {
                self.by_release.remove(&key);
            }
        }
    }

    /// The objects of a release, in Helm's order.
    pub(crate) fn of(&self, key: &ReleaseKey) -> Vec<String> {
        let mut objects: Vec<_> = self.by_release.get(key).into_iter().flatten().cloned().collect();
        objects.sort_by_key(|object| helm_position(object));
        objects
    }

    /// Every object that is of a release.
    pub(crate) fn owned_by_any(&self) -> impl Iterator<Item = (&ReleaseKey, &String)> {
        self.by_release.iter().flat_map(|(key, objects)| objects.iter().map(move |object| (key, object)))
    }

    fn find(&self, namespace: &Namespace, object: &str) -> Option<&Object> {
        self.objects.get(&(namespace.clone(), object.to_owned()))
    }
}

fn helm_position(object: &str) -> usize {
    let kind = object.split('/').next().unwrap_or_default();
    HELM_ORDER.iter().position(|known| *known == kind).unwrap_or(HELM_ORDER.len())
}
