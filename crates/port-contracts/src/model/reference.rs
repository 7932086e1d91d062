//! The reference model: what the outcomes of the operations promise about the world.
//!
//! It keeps for every release key what was seen at the last rest, folds the outcomes since then over it, and compares the result with
//! what is seen now. Outcomes are taken from the operation records, so one whose caller hung up counts like any other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dbt_controller_domain::model::{DeployRequest, FinishedOperation, OperationId, OperationRecord, ReleaseKey, RequestHash};
use dbt_controller_domain::naming::{ConnectionId, Identity};
use secrecy::ExposeSecret as _;

use super::invariants::{self, Part};
use super::promise::{Promise, Shown, fold, story};
use super::sight::{Seen, SeenConnection, Sight};
use super::step::{Form, Human, Request, Who};

#[derive(Default)]
pub(super) struct Reference {
    /// What was seen at the last rest.
    pub(super) before: Sight,
    excuses: BTreeMap<ReleaseKey, BTreeSet<Part>>,
    /// What humans did since the last rest.
    touched: BTreeMap<ReleaseKey, BTreeSet<Part>>,
    counted: BTreeSet<OperationId>,
    /// Every deploy that was asked for.
    asked: HashMap<RequestHash, DeployRequest>,
    /// Those that ended since the last rest, in order. A record keeps [`OperationRecord::MAX_FINISHED`] of them only.
    ended: BTreeMap<ReleaseKey, Vec<Arc<FinishedOperation>>>,
    strangers: BTreeMap<ConnectionId, SeenConnection>,
    /// Where a human deleted the claims. They go when no pod uses them any more, and come back with the next pod.
    doomed: BTreeSet<ReleaseKey>,
}

/// What makes a deployment this one and no other. The number of its revision does not: an undo writes a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Essence {
    identity: Option<Identity>,
    request: Option<RequestHash>,
    image: Option<String>,
    login: Option<(String, String)>,
    connection: Option<ConnectionId>,
    replicas: Option<u32>,
}

impl Reference {
    /// Somebody has asked for something.
    pub(super) fn asked(&mut self, request: &Request) {
        self.asked.extend(request.deploy().map(|wished| (wished.hash(), wished)));
    }

    /// A human is going to act. What they change need not be in order until an operation succeeds.
    pub(super) fn human(&mut self, human: &Human, sight: &Sight) {
        let who = human.who();
        let parts: &[Part] = match human {
            Human::RollBack(..) | Human::Upgrade(_) => &[Part::Record, Part::Server, Part::Objects, Part::Connection],
            Human::LeavePending(_) => &[Part::Record],
            Human::LeaveUninstalling(_) | Human::Uninstall(..) => &Part::ALL,
            // With a StatefulSet goes its server.
            Human::RemoveObject(..) => &[Part::Objects, Part::Server],
            Human::EditObject(..) => &[Part::Objects],
            Human::DeleteClaim(_) => &[Part::Claims, Part::Server],
            Human::DeletePods(_) | Human::Scale(..) => &[Part::Server],
            Human::TakeConnection(..) | Human::LeaveConnection(..) | Human::DeleteConnection(_) => &[Part::Connection],
        };
        let mut keys: BTreeSet<ReleaseKey> = BTreeSet::new();
        match human {
            // Whoever has that id, or is about to take it.
            Human::TakeConnection(_, form) | Human::LeaveConnection(_, form) => {
                let id = who.connection_id(*form);
                let may_use = |other: &Who| other.identity().connection_ids().contains(&id);
                for other in Who::all().into_iter().filter(may_use) {
                    let names = other.identity().release_names();
                    keys.extend(Sight::keys().into_iter().filter(|key| names.contains(&key.name)));
                }
            }
            // The deployment, and the one that is about to be made.
            _ => {
                let names = who.identity().release_names();
                keys.extend(Sight::keys().into_iter().filter(|key| names.contains(&key.name)));
                keys.extend(sight.deployment_of(&who.identity()).cloned());
            }
        }
        if let Human::DeleteClaim(_) = human {
            self.doomed.extend(sight.deployment_of(&who.identity()).cloned());
        }
        for key in keys {
            self.touched.entry(key).or_default().extend(parts);
        }
    }

    /// Somebody's own connection, as it has to stay.
    pub(super) fn stranger(&mut self, id: ConnectionId, connection: Option<SeenConnection>) {
        match connection {
            Some(connection) => self.strangers.insert(id, connection),
            None => self.strangers.remove(&id),
        };
    }

    /// Whether a connection id is a stranger's.
    pub(super) fn is_strangers(&self, id: &ConnectionId) -> bool {
        self.strangers.contains_key(id)
    }

    /// Whether nothing about any of an identity's names needs an excuse.
    pub(super) fn is_clean(&self, who: Who) -> bool {
        let names = who.identity().release_names();
        !self.excuses.iter().any(|(key, parts)| names.contains(&key.name) && !parts.is_empty())
    }

    /// What has to hold also while something is down.
    pub(super) fn judge_unrest(&self, sight: &Sight) -> Vec<String> {
        let mut wrong = invariants::owned_once(sight);
        wrong.extend(self.strangers_kept(sight));
        wrong
    }

    /// What is wrong with a world at rest. What is seen is the beginning of what comes next.
    pub(super) fn judge(&mut self, sight: Sight, records: &[Arc<OperationRecord>]) -> Vec<String> {
        let mut wrong = self.judge_unrest(&sight);
        wrong.extend(records.iter().filter_map(|record| invariants::of_record(record)));
        self.count(records);
        let touched = std::mem::take(&mut self.touched);
        for key in Sight::keys() {
            let ended = self.ended.remove(&key).unwrap_or_default();
            let human = touched.get(&key);
            let (promise, trouble) = fold(&ended, self.before.present(&key).is_some());
            let mut excuses = self.excuses.remove(&key).unwrap_or_default();
            if promise.shown != Shown::Unknown && promise.shown != Shown::Same {
                excuses.clear();
            }
            if promise.shown == Shown::Nothing {
                self.doomed.remove(&key);
            }
            if self.doomed.contains(&key) {
                excuses.insert(Part::Claims);
            }
            excuses.extend(trouble);
            excuses.extend(human.into_iter().flatten());
            // An operation that stops because a human took the release over leaves everything as it is.
            if human.is_some() && ended.iter().any(|operation| operation.outcome.is_err()) {
                excuses.extend(Part::ALL);
            }
            if human.is_none() && excuses.is_empty() {
                wrong.extend(self.broken_promise(&sight, &key, &promise).map(|what| format!("{what}\n    after {}", story(&ended))));
            }
            let mut kept = BTreeSet::new();
            for (part, what) in invariants::of_key(&sight, &key) {
                if excuses.contains(&part) {
                    kept.insert(part);
                } else {
                    wrong.push(format!("{what}\n    after {}", story(&ended)));
                }
            }
            // Nobody knows what a server is worth that sleeps.
            let sleeps = sight.servers.get(&Sight::server_of(&key)).is_some_and(|server| server.replicas == Some(0));
            if sleeps && excuses.contains(&Part::Server) {
                kept.insert(Part::Server);
            }
            // Records that are not in order make the rest hard to tell.
            if kept.contains(&Part::Record) || kept.contains(&Part::Claims) {
                kept = excuses;
            }
            if !kept.is_empty() {
                self.excuses.insert(key, kept);
            }
        }
        self.before = sight;
        wrong
    }

    /// A stranger's connection is never overwritten and never deleted (design, "Airflow").
    fn strangers_kept(&self, sight: &Sight) -> Vec<String> {
        let changed = self.strangers.iter().filter(|(id, connection)| sight.connections.get(*id) != Some(*connection));
        changed.map(|(id, _)| format!("somebody else's connection `{id}` is {:?}", sight.connections.get(id))).collect()
    }

    /// Takes in which operations ended. To be told after each step, whether the world is at rest or not.
    pub(super) fn count(&mut self, records: &[Arc<OperationRecord>]) {
        for finished in records.iter().flat_map(|record| &record.finished) {
            if self.counted.insert(finished.info.id.clone()) {
                self.ended.entry(finished.info.key.clone()).or_default().push(Arc::clone(finished));
            }
        }
    }

    /// Whether what a request asks for is in force.
    fn is_there(&self, sight: &Sight, key: &ReleaseKey, request: &RequestHash) -> bool {
        let wished = self.asked.get(request);
        sight.present(key).is_some_and(|seen| wished.is_some_and(|wished| seen.is_as_wished(wished)))
    }

    fn broken_promise(&self, sight: &Sight, key: &ReleaseKey, promise: &Promise) -> Option<String> {
        let now = essence(sight, key);
        let before = essence(&self.before, key);
        let what = match &promise.shown {
            Shown::Unknown => return None,
            Shown::Nothing if now.is_some() => format!("it was deleted, but there is {now:?}"),
            Shown::Request(hash) if now.as_ref().and_then(|now| now.request.as_ref()) != Some(hash) => {
                format!("the request {hash:?} is deployed, but there is {now:?}")
            }
            Shown::Equal(hash) if !self.is_there(sight, key, hash) => format!("what {hash:?} asks for is deployed, but there is {now:?}"),
            Shown::Same if now.clone().map(Essence::asleep) != before.clone().map(Essence::asleep) => {
                format!("nothing was to change, but {before:?} became {now:?}")
            }
            Shown::Nothing | Shown::Request(_) | Shown::Equal(_) | Shown::Same => {
                let replicas = now.as_ref().and_then(|now| now.replicas);
                match promise.replicas.or(before.and_then(|before| before.replicas)) {
                    Some(wanted) if now.is_some() && replicas != Some(wanted) => format!("it has {replicas:?} replicas, not {wanted}"),
                    _ => return None,
                }
            }
        };
        Some(format!("{key}: {what}"))
    }
}

fn essence(sight: &Sight, key: &ReleaseKey) -> Option<Essence> {
    let seen = sight.present(key)?;
    let facts = seen.in_force.as_ref().and_then(|release| release.summary.deployment.as_ref());
    Some(Essence {
        identity: seen.summary.identity().cloned(),
        request: facts.and_then(|facts| facts.request_hash.clone()),
        image: facts.map(|facts| facts.image.clone()),
        login: login(seen),
        connection: facts.and_then(|facts| facts.connection_id.clone()),
        replicas: sight.servers.get(&Sight::server_of(key)).and_then(|server| server.replicas),
    })
}

fn login(seen: &Seen) -> Option<(String, String)> {
    seen.credentials().map(|login| (login.user.clone(), login.password.expose_secret().to_owned()))
}

impl Essence {
    /// Without the replicas, which are promised on their own.
    fn asleep(self) -> Self {
        Self { replicas: None, ..self }
    }
}

/// The form that a first deploy of an identity takes: the first name that nobody else holds, by a release anywhere or by a claim that
/// was left where it is going to be.
pub(super) fn first_form(sight: &Sight, who: Who, namespace: &str) -> Option<Form> {
    let identity = who.identity();
    let is_free = |form: &Form| {
        let name = who.release_name(*form);
        let by_release = sight.all_present().any(|(key, seen)| key.name == name && seen.summary.identity() != Some(&identity));
        let by_claim = sight.claims.iter().any(|(server, claims)| {
            server.namespace.as_str() == namespace
                && server.name.as_str() == name.as_str()
                && claims.iter().any(|claim| claim.identity.as_ref() != Some(&identity))
        });
        !by_release && !by_claim
    };
    (0..3).map(Form).find(is_free)
}
