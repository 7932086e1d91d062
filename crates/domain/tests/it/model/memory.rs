//! The in-memory world, as the model works with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use dbt_controller_adapters_memory::{AirflowLink, Call, ClusterLink, Fault, ForeignConnection, MemoryWorld};
use dbt_controller_domain::Ports;
use dbt_controller_domain::model::{OperationRecord, ReleaseKey, ReleaseSummary, RevisionNumber};
use dbt_controller_port_contracts::model::{FaultKind, Human, Links, Row, Seen, SeenConnection, SeenServer, Sight, Who, World};

pub(crate) struct Memory(pub(crate) MemoryWorld);

#[async_trait]
impl World for Memory {
    async fn ports(&self) -> Ports {
        let world = &self.0;
        Ports {
            installer: world.installer(),
            cluster: world.cluster(),
            connections: Some(world.connections()),
            events: None,
            operations: world.operations(),
            clock: world.clock(),
            random: world.random(),
        }
    }

    async fn look(&self) -> Sight {
        let mut sight = Sight::default();
        for summary in self.0.releases().list() {
            sight.releases.insert(summary.key.clone(), self.see(&summary));
        }
        for key in Sight::keys() {
            let objects = self.0.releases().objects(&key);
            if !objects.is_empty() {
                sight.objects.insert(key.clone(), objects);
            }
            let server = Sight::server_of(&key);
            let claims = self.0.claims().of(&server);
            if !claims.is_empty() {
                sight.claims.insert(server.clone(), claims);
            }
            let state = self.0.servers().get(&server);
            let (set, pods) = (state.stateful_set, state.pods);
            if set.is_some() || !pods.is_empty() {
                let ready = set.as_ref().is_some_and(|set| {
                    let all = set.ready_replicas == set.replicas && set.updated_replicas == set.replicas;
                    all && set.observed_generation >= set.generation
                });
                sight.servers.insert(server, SeenServer { replicas: set.map(|set| set.replicas), ready, pods: pods.len() });
            }
        }
        sight.connections = self.connections();
        sight
    }

    async fn records(&self) -> Vec<Arc<OperationRecord>> {
        self.0.operation_records().all()
    }

    async fn interfere(&self, human: &Human, key: Option<&ReleaseKey>) -> bool {
        match (human, key) {
            (Human::TakeConnection(who, form), _) => {
                self.0.airflow().plant(ForeignConnection::new(who.connection_id(*form)));
                true
            }
            (Human::LeaveConnection(who, form), _) => {
                self.0.airflow().delete(&who.connection_id(*form));
                true
            }
            (_, None) => false,
            (human, Some(key)) => self.act(human, key),
        }
    }

    fn set_links(&self, links: Links) {
        self.0.set_cluster_link(if links.cluster { ClusterLink::Up } else { ClusterLink::Lost });
        self.0.set_airflow_link(if links.airflow { AirflowLink::Up } else { AirflowLink::Down });
    }

    fn plan(&self, method: &'static str, nth: u8, kind: FaultKind, times: u8) {
        let kind = match kind {
            FaultKind::Fail => dbt_controller_adapters_memory::FaultKind::Fail,
            FaultKind::Hang => dbt_controller_adapters_memory::FaultKind::Hang,
            FaultKind::LoseAnswer => dbt_controller_adapters_memory::FaultKind::LoseAnswer,
            FaultKind::Forbid => dbt_controller_adapters_memory::FaultKind::Forbid,
        };
        let method: Call = method.parse().unwrap();
        self.0.faults().plan(Fault::new(method, u32::from(nth), kind).times(u32::from(times)));
    }

    fn clear_plans(&self) {
        self.0.faults().clear();
    }
}

impl Memory {
    fn see(&self, summary: &Arc<ReleaseSummary>) -> Seen {
        let (key, releases) = (&summary.key, self.0.releases());
        let row =
            |row: dbt_controller_adapters_memory::HistoryRow| Row { revision: row.revision, status: row.status, operation: row.operation };
        Seen {
            summary: Arc::clone(summary),
            in_force: summary.standing.deployed.and_then(|revision| releases.revision(key, revision)),
            missing: releases.missing_objects(key),
            history: releases.history(key).into_iter().map(row).collect(),
        }
    }

    fn connections(&self) -> BTreeMap<dbt_controller_domain::naming::ConnectionId, SeenConnection> {
        let airflow = self.0.airflow();
        let ids = Who::all().into_iter().flat_map(|who| who.identity().connection_ids());
        let seen = |id| Some((airflow.get(&id)?, airflow.login(&id)?));
        ids.filter_map(seen).map(|(stored, login)| (stored.id.clone(), SeenConnection { stored, login })).collect()
    }

    fn act(&self, human: &Human, key: &ReleaseKey) -> bool {
        let (releases, server) = (self.0.releases(), Sight::server_of(key));
        let nth_object = |nth: u8| {
            let objects = releases.objects(key);
            (!objects.is_empty()).then(|| objects[usize::from(nth) % objects.len()].clone())
        };
        match human {
            // One that the cluster refuses leaves a revision too.
            Human::RollBack(_, to) => {
                let history = releases.history(key);
                let to: Option<RevisionNumber> = history.get(usize::from(*to) % history.len().max(1)).map(|row| row.revision);
                to.is_some_and(|to| releases.roll_back(key, to).is_ok() || releases.history(key).last() != history.last())
            }
            Human::Upgrade(_) => {
                let history = releases.history(key);
                releases.upgrade(key).is_ok() || releases.history(key).last() != history.last()
            }
            Human::LeavePending(_) => releases.leave_pending(key).is_ok(),
            Human::LeaveUninstalling(_) => releases.leave_uninstalling(key),
            Human::Uninstall(_, keep_history) => releases.uninstall(key, *keep_history),
            Human::RemoveObject(_, nth) => nth_object(*nth).is_some_and(|object| {
                releases.remove_object(key, &object);
                true
            }),
            Human::EditObject(_, nth) => nth_object(*nth).is_some_and(|object| releases.disturb_object(key, &object)),
            Human::DeleteClaim(_) => {
                let names: Vec<_> = self.0.claims().of(&server).into_iter().map(|claim| claim.name).collect();
                self.0.claims().delete(&server, &names);
                !names.is_empty()
            }
            Human::DeletePods(_) => {
                self.0.servers().delete_pods(&server);
                true
            }
            Human::Scale(_, awake) => self.0.servers().scale(&server, u32::from(*awake)),
            Human::DeleteConnection(_) => {
                let own: Vec<_> = self.connections().into_values().filter(|seen| seen.stored.owner.as_ref() == Some(key)).collect();
                own.iter().for_each(|seen| self.0.airflow().delete(&seen.stored.id));
                !own.is_empty()
            }
            Human::TakeConnection(..) | Human::LeaveConnection(..) => false,
        }
    }
}
