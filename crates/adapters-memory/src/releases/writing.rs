//! Writes what a revision holds into the cluster, and removes it.

use dbt_controller_domain::model::{ReleaseKey, ServerKey, Uninstalled};
use dbt_controller_domain::ports::{InstallerError, RefusalKind};

use super::content::Content;
use crate::world::Scene;

/// What is done when a StatefulSet's claim size, which cannot change, would have to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fixed {
    /// Nothing: the cluster refuses the object.
    Refuse,
    /// The StatefulSet is made anew around its running pods. Its claims stay as large as they are.
    MakeAnew,
}

impl Scene<'_> {
    /// Writes the objects of a revision and removes those of its release that it does not have.
    pub(super) fn write_objects(&mut self, key: &ReleaseKey, content: &Content, fixed: Fixed) -> Result<(), InstallerError> {
        let wanted = content.objects(key);
        for object in &wanted {
            if let Some(owner) = self.state.objects.other_owner(key, object) {
                return Err(InstallerError::ForeignObject { object: object.clone(), owner });
            }
        }
        let server = content.stateful_set(key);
        for object in &wanted {
            if let (Some((server, spec)), true) = (&server, object.starts_with("StatefulSet/")) {
                let (world, now) = (self.world, self.now);
                let applied = self.server_entry(server).apply(spec, fixed == Fixed::MakeAnew, &world.pace, now);
                self.announce(server);
                // In the API server's words.
                applied.map_err(|_| InstallerError::Refused {
                    object: object.clone(),
                    kind: RefusalKind::Admission,
                    message: "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                              'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are \
                              forbidden"
                        .to_owned(),
                })?;
            }
            self.state.objects.put(key, object);
        }
        for object in self.state.objects.of(key).into_iter().rev().filter(|object| !wanted.contains(object)) {
            self.remove_object(key, &object);
        }
        Ok(())
    }

    /// What of a revision is not in the cluster as it was applied.
    pub(super) fn missing_objects(&self, key: &ReleaseKey, content: &Content) -> Vec<String> {
        content.objects(key).into_iter().filter(|object| !self.state.objects.is_intact(key, object)).collect()
    }

    /// Removes an object from the cluster, whosever it is; with a StatefulSet go its pods.
    pub(super) fn remove_object(&mut self, key: &ReleaseKey, object: &str) {
        let server = object.strip_prefix("StatefulSet/").and_then(|name| name.parse().ok());
        if let Some(name) = server {
            self.remove_stateful_set(&ServerKey { namespace: key.namespace.clone(), name }, false);
        }
        self.state.objects.remove(&key.namespace, object);
    }

    /// Removes the objects of a release in the reverse of Helm's order.
    pub(super) fn remove_objects(&mut self, key: &ReleaseKey) -> Vec<String> {
        let objects: Vec<_> = self.state.objects.of(key).into_iter().rev().collect();
        for object in &objects {
            self.remove_object(key, object);
        }
        objects
    }

    pub(super) fn uninstall(&mut self, key: &ReleaseKey) -> Uninstalled {
        let objects = self.remove_objects(key);
        Uninstalled { had_record: self.state.releases.remove(key), objects }
    }
}
