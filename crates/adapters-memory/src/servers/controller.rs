//! The StatefulSet controller and the kubelet, as far as servers depend on them.
//!
//! Pod management is `OrderedReady`, so one pod that is not ready stops everything else: no further pod is made, none is deleted,
//! and a corrected template does not replace it (kubernetes#67250). `UpdateStatefulSet` in
//! `pkg/controller/statefulset/stateful_set_control.go` is the model.

use std::sync::Arc;

use dbt_controller_domain::model::{ServerKey, Warehouse};

use super::{Hindrance, Observed, Pace, Pod, Selector, Server, Spec, StoredClaim};
use crate::clock::Moment;

/// What the controller does next.
enum Action {
    Create {
        ordinal: u32,
    },
    Delete {
        ordinal: u32,
    },
    /// Wait for a pod, or nothing to do.
    Rest,
}

impl Server {
    /// Plays the server up to `now`. `has_secret` tells whether a warehouse's Secret is in the namespace.
    pub(crate) fn settle(&mut self, key: &ServerKey, pace: &Pace, has_secret: &dyn Fn(Warehouse) -> bool, now: Moment) {
        while let Some(moment) = self.next_event(pace).filter(|moment| *moment <= now) {
            self.kubelet_works(pace, moment);
            self.controller_works(key, pace, has_secret, moment);
        }
    }

    /// The next moment after `now` (up to which the server was played) at which it shows something else.
    pub(crate) fn next_change(&self, pace: &Pace, now: Moment) -> Option<Moment> {
        let shown = self.pods.iter().filter_map(|pod| pod.next_change(pace, now)).min();
        self.next_event(pace).into_iter().chain(shown).min()
    }

    /// When somebody will have to act next. Each event is gone once it was acted upon, so playing ends.
    fn next_event(&self, pace: &Pace) -> Option<Moment> {
        let observed = self.stateful_set.as_ref().and_then(|set| set.observed_at);
        let gone = self.pods.iter().filter_map(|pod| pod.gone_at).min();
        let ready = self.pods.iter().filter(|pod| !pod.seen_ready).filter_map(|pod| pod.ready_at(pace)).min();
        [observed, gone, ready].into_iter().flatten().min()
    }

    fn kubelet_works(&mut self, pace: &Pace, now: Moment) {
        self.pods.retain(|pod| pod.gone_at.is_none_or(|gone_at| gone_at > now));
        self.drop_deleted_claims();
        for pod in &mut self.pods {
            pod.seen_ready = pod.is_ready(pace, now);
        }
    }

    fn controller_works(&mut self, key: &ServerKey, pace: &Pace, has_secret: &dyn Fn(Warehouse) -> bool, now: Moment) {
        let Some(set) = &mut self.stateful_set else { return };
        if set.observed_at.is_some_and(|observed_at| observed_at <= now) {
            set.observed_at = None;
            let current_revision = match set.observed.take() {
                Some(observed) => observed.current_revision,
                None => set.spec.template.revision.clone(),
            };
            set.observed = Some(Observed { spec: set.spec.clone(), generation: set.generation, current_revision });
        }
        let selector = set.fixed.selector;
        let Some(spec) = set.observed.as_ref().map(|observed| observed.spec.clone()) else { return };
        loop {
            match self.next_action(&spec, selector) {
                Action::Create { ordinal } => self.create_pod(key, ordinal, &spec, pace, has_secret, now),
                Action::Delete { ordinal } => {
                    self.pods.iter_mut().filter(|pod| pod.ordinal == ordinal).for_each(|pod| pod.terminate(pace, now));
                }
                Action::Rest => break,
            }
        }
        self.complete_rollout(&spec);
    }

    fn next_action(&self, spec: &Spec, selector: Selector) -> Action {
        for ordinal in 0..spec.replicas {
            match self.pods.iter().find(|pod| pod.ordinal == ordinal) {
                None if matches!(self.hindrance, Some(Hindrance::Refused(_))) => return Action::Rest,
                None => return Action::Create { ordinal },
                // An orphan of another selector holds the name, or the pod has to become ready or to go first.
                Some(pod) if pod.selector != selector || pod.is_terminating() || !pod.seen_ready => return Action::Rest,
                Some(_) => {}
            }
        }
        let own = || self.pods.iter().filter(|pod| pod.selector == selector);
        let surplus = own().filter(|pod| pod.ordinal >= spec.replicas).max_by_key(|pod| pod.ordinal);
        let outdated = || own().filter(|pod| pod.template.revision != spec.template.revision).max_by_key(|pod| pod.ordinal);
        match surplus.or_else(outdated) {
            Some(pod) if !pod.is_terminating() => Action::Delete { ordinal: pod.ordinal },
            _ => Action::Rest,
        }
    }

    fn create_pod(&mut self, key: &ServerKey, ordinal: u32, spec: &Spec, pace: &Pace, has_secret: &dyn Fn(Warehouse) -> bool, now: Moment) {
        let Some(set) = &self.stateful_set else { return };
        // `<template>-<StatefulSet>-<ordinal>`; the claim template has the StatefulSet's name. A claim that is there is taken,
        // whoever's it was.
        let claim = format!("{0}-{0}-{ordinal}", key.name);
        let stored = self.claims.entry(claim).or_insert_with(|| StoredClaim::new(set.fixed.identity.clone(), set.fixed.storage.clone()));
        stored.ordinal = Some(ordinal);

        let missing_secret = spec.template.warehouse.filter(|warehouse| !has_secret(*warehouse)).map(missing_secret);
        let started = self.hindrance.clone().or(missing_secret).map_or(Ok(now), Err);
        let pod = Pod {
            ordinal,
            uid: pace.uid(),
            template: Arc::clone(&spec.template),
            selector: set.fixed.selector,
            created: now,
            seen_ready: false,
            started,
            gone_at: None,
        };
        let position = self.pods.partition_point(|pod| pod.ordinal < ordinal);
        self.pods.insert(position, pod);
    }

    /// `completeRollingUpdate`: the update revision becomes the current one once every pod has it and is ready.
    fn complete_rollout(&mut self, spec: &Spec) {
        let Some(set) = &mut self.stateful_set else { return };
        let own: Vec<_> = self.pods.iter().filter(|pod| pod.selector == set.fixed.selector).collect();
        let done = own.iter().all(|pod| pod.seen_ready && !pod.is_terminating() && pod.template.revision == spec.template.revision);
        if let Some(observed) = set.observed.as_mut().filter(|_| done && own.len() == spec.replicas as usize) {
            observed.current_revision.clone_from(&spec.template.revision);
        }
    }

    /// Lets pods start that a hindrance kept from it.
    pub(crate) fn unhinder(&mut self, has_secret: &dyn Fn(Warehouse) -> bool, now: Moment) {
        let hindrance = self.hindrance.clone();
        for pod in &mut self.pods {
            if pod.started.is_err() {
                let missing_secret = pod.template.warehouse.filter(|warehouse| !has_secret(*warehouse)).map(missing_secret);
                pod.started = hindrance.clone().or(missing_secret).map_or(Ok(now), Err);
            }
        }
        // The controller tries again to make what was refused.
        if let Some(set) = &mut self.stateful_set {
            set.observed_at.get_or_insert(now);
        }
    }
}

fn missing_secret(warehouse: Warehouse) -> Hindrance {
    let secret = warehouse.secret_name();
    Hindrance::VolumeFailure(format!("MountVolume.SetUp failed for volume \"warehouse\" : secret \"{secret}\" not found"))
}
