//! What tests see of servers and claims, and do to them.

use std::sync::Arc;

use dbt_controller_domain::model::{Claim, Namespace, ServerKey, ServerState, Warehouse};

use super::{Hindrance, StoredClaim};
use crate::world::{Inner, Scene, State};

/// Looks at a world's servers, and makes trouble for them.
#[derive(Debug, Clone)]
pub struct Servers(pub(crate) Arc<Inner>);

impl Servers {
    /// A server as it is now.
    pub fn get(&self, key: &ServerKey) -> ServerState {
        self.0.scene().look(key).0
    }

    /// How many StatefulSets there are.
    pub fn count(&self) -> usize {
        self.0.scene().state.servers.values().filter(|server| server.stateful_set.is_some()).count()
    }

    /// How many pods there are, those included that are being deleted.
    pub fn pods(&self) -> usize {
        let mut scene = self.0.scene();
        scene.settle_all();
        scene.state.servers.values().map(|server| server.pods.len()).sum()
    }

    /// `kubectl scale`: sets the replicas; false without a StatefulSet.
    pub fn scale(&self, key: &ServerKey, replicas: u32) -> bool {
        self.0.scene().scale(key, replicas)
    }

    /// `kubectl delete pod`: deletes every pod of the server.
    pub fn delete_pods(&self, key: &ServerKey) {
        let mut scene = self.0.scene();
        let (world, now) = (scene.world, scene.now);
        scene.server(key).into_iter().for_each(|server| server.pods.iter_mut().for_each(|pod| pod.terminate(&world.pace, now)));
        scene.announce(key);
    }

    /// Keeps the server's pods that are made from now on from starting (also before the server exists), or with none lets them, and
    /// those that were kept, start.
    pub fn hinder(&self, key: &ServerKey, hindrance: Option<Hindrance>) {
        let mut scene = self.0.scene();
        scene.server_entry(key).hindrance = hindrance;
        scene.let_pods_start(key);
    }

    /// Ends the watches of a server, as a broken connection does: their senders go away.
    pub fn break_watches(&self, key: &ServerKey) {
        self.0.scene().server(key).into_iter().for_each(|server| server.break_watches());
    }

    /// Removes the Secret with a warehouse's credentials. Pods that are made from then on cannot mount it.
    pub fn remove_warehouse_secret(&self, namespace: &Namespace, warehouse: Warehouse) {
        self.0.scene().state.removed_secrets.insert((namespace.clone(), warehouse));
    }

    /// Brings it back. Pods that waited for it start.
    pub fn restore_warehouse_secret(&self, namespace: &Namespace, warehouse: Warehouse) {
        let mut scene = self.0.scene();
        scene.state.removed_secrets.remove(&(namespace.clone(), warehouse));
        let keys: Vec<_> = scene.state.servers.keys().filter(|key| key.namespace == *namespace).cloned().collect();
        for key in keys {
            scene.let_pods_start(&key);
        }
    }
}

/// Looks at a world's claims, and plants them.
#[derive(Debug, Clone)]
pub struct Claims(pub(crate) Arc<Inner>);

impl Claims {
    /// How many there are.
    pub fn count(&self) -> usize {
        let mut scene = self.0.scene();
        scene.settle_all();
        scene.state.servers.values().map(|server| server.claims.len()).sum()
    }

    /// The claims under a server's name.
    pub fn of(&self, key: &ServerKey) -> Vec<Claim> {
        self.0.scene().server(key).map(|server| server.list_claims()).unwrap_or_default()
    }

    /// Leaves a claim under a server's name, for example another identity's. A pod of that name takes it as it is.
    pub fn plant(&self, key: &ServerKey, claim: Claim) {
        let Claim { name, identity, size, phase: _, terminating: _ } = claim;
        self.0.scene().server_entry(key).claims.insert(name, StoredClaim::new(identity, size));
    }

    /// `kubectl delete pvc`: as with the real one, a claim that a pod uses stays until that pod is gone.
    pub fn delete(&self, key: &ServerKey, names: &[String]) {
        let mut scene = self.0.scene();
        scene.server(key).into_iter().for_each(|server| server.delete_claims(names));
        scene.announce(key);
    }

    /// Whether the storage class grows the claims of a server (also before it exists). At first it does.
    pub fn can_grow(&self, key: &ServerKey, can_grow: bool) {
        let mut scene = self.0.scene();
        scene.server_entry(key).rigid_claims = !can_grow;
        scene.announce(key);
    }

    /// Whether watches show the claims of a server (also before it exists), as they do at first. A watch whose connection died without a word
    /// does not.
    pub fn are_seen(&self, key: &ServerKey, are_seen: bool) {
        self.0.scene().server_entry(key).unseen_claims = !are_seen;
    }
}

impl Scene<'_> {
    fn let_pods_start(&mut self, key: &ServerKey) {
        let now = self.now;
        self.server_entry(key);
        let State { servers, removed_secrets, .. } = &mut *self.state;
        let has_secret = |warehouse| !removed_secrets.contains(&(key.namespace.clone(), warehouse));
        servers.get_mut(key).into_iter().for_each(|server| server.unhinder(&has_secret, now));
        self.announce(key);
    }
}
