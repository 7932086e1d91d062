//! The control plane, as the model works with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_adapters_helm::{NativeInstaller, ServerSettings};
use dbt_controller_adapters_k8s::{KubeCluster, KubeOperationStore, StoreSettings};
use dbt_controller_adapters_memory::{AirflowLink, Call, Fault, MemoryWorld, WorldOptions};
use dbt_controller_domain::Ports;
use dbt_controller_domain::model::{OperationRecord, ReleaseKey, ReleaseSummary, RevisionNumber, ServerKey};
use dbt_controller_domain::naming::ConnectionId;
use dbt_controller_domain::ports::{ChartInstaller as _, Clock, Cluster as _, OperationStore as _};
use dbt_controller_kube_access::Barrier;
use dbt_controller_port_contracts::model::{FaultKind, Human, Links, Pace, Row, Seen, SeenConnection, SeenServer, Sight, Who, World};
use dbt_controller_tests::{Account, ApiServer, Link, Mode, Namespace, shipped_rules, until, without};
use flate2::read::GzDecoder;
use kube::Client;
use serde_json::Value;

use crate::client::{WallClock, client};
use crate::humans::Humans;

/// Until what was made of an adapter has read everything once. While the cluster is away it never has.
const FIRST_READING: Duration = Duration::from_secs(10);
/// The kinds of which a deployment has objects, and where their lists are.
const KINDS: [(&str, &str); 6] = [
    ("StatefulSet", "apis/apps/v1/{}/statefulsets"),
    ("Service", "api/v1/{}/services"),
    ("ConfigMap", "api/v1/{}/configmaps"),
    ("Secret", "api/v1/{}/secrets"),
    ("ServiceAccount", "api/v1/{}/serviceaccounts"),
    ("Ingress", "apis/networking.k8s.io/v1/{}/ingresses"),
];
/// The label of every object of ours that a human edits: nothing selects by it.
pub(crate) const EDITED_LABEL: &str = "dbt-project";

/// Two namespaces of the control plane, and what an Airflow in memory knows.
pub(crate) struct Real {
    namespaces: [Namespace; 2],
    humans: Humans,
    api: ApiServer,
    /// Connections, and what is at random.
    memory: MemoryWorld,
    link: Link,
    /// The service's way to the API server, by the link and with the rights of the shipped Role, but for Leases: every replica does the
    /// background work.
    client: Client,
    /// Adapters with every right and no link.
    observer: Adapters,
    // Holds the service's rights.
    _account: Account,
}

/// The adapters of one process.
#[derive(Clone)]
struct Adapters {
    installer: Arc<NativeInstaller>,
    cluster: Arc<KubeCluster>,
    operations: Arc<KubeOperationStore>,
}

/// An object of a release.
struct Object {
    title: String,
    label: Value,
}

// === impl Adapters ===

impl Adapters {
    fn start(client: &Client, pace: &Pace) -> Self {
        let settings = &pace.settings;
        let clock: Arc<dyn Clock> = Arc::new(WallClock);
        let cluster = Arc::new(KubeCluster::start(client.clone(), &settings.namespaces, Arc::clone(&clock)));
        let barrier = Arc::clone(&cluster) as Arc<dyn Barrier>;
        let installer = NativeInstaller::start(client.clone(), &settings.namespaces, ServerSettings::default(), barrier, clock);
        let store = StoreSettings::new(settings.lock_stale_after);
        let operations = KubeOperationStore::start(client.clone(), settings.home(), store);
        Self { installer: Arc::new(installer), cluster, operations: Arc::new(operations) }
    }

    fn have_read(&self) -> bool {
        self.cluster.synced().is_ok() && self.installer.synced().is_ok() && self.operations.synced().is_ok()
    }
}

// === impl Real ===

impl Real {
    /// One in which nothing is.
    pub(crate) async fn new() -> Self {
        let pace = Pace::real_time();
        let names = &pace.settings.namespaces;
        let namespaces = [Namespace::create_as(names[0].as_str()).await, Namespace::create_as(names[1].as_str()).await];
        // A replica stands still by its calls alone. What its adapters do by themselves goes on, and so would its hold on the Lease; the
        // observer, which does no background work, would hold it too.
        let rules = without(&shipped_rules(&namespaces[0]).await, "leases");
        let account = Account::create(&namespaces[0], "controller", &rules).await;
        account.allow(&namespaces[0], &namespaces[1], &rules).await;
        let admin = namespaces[0].plane().kubeconfig();
        let link = Link::to(admin.address());
        let observer = Adapters::start(&client(admin.clone()).await, &pace);
        until("the observer has read everything", async || observer.have_read().then_some(())).await;
        Self {
            humans: Humans::new(&namespaces),
            api: ApiServer::of(&admin),
            memory: MemoryWorld::new(WorldOptions { namespaces: names.clone(), ..WorldOptions::default() }),
            client: client(link.kubeconfig(account.kubeconfig())).await,
            link,
            observer,
            namespaces,
            _account: account,
        }
    }

    fn namespace(&self, key: &ReleaseKey) -> &Namespace {
        self.namespaces.iter().find(|namespace| namespace.name() == key.namespace.as_str()).unwrap()
    }

    async fn see(&self, summary: &Arc<ReleaseSummary>) -> Seen {
        let installer = &self.observer.installer;
        let key = &summary.key;
        let mut history = Vec::new();
        for revision in self.revisions(key).await {
            // A record may go at any moment, by a human or by the limit of the history.
            let Ok(Some(release)) = installer.get(key, Some(revision)).await else { continue };
            let facts = release.summary.deployment.as_ref();
            let operation = facts.and_then(|facts| facts.operation.clone());
            history.push(Row { revision, status: release.summary.status, operation });
        }
        let deployed = summary.standing.deployed;
        let in_force = match deployed {
            Some(revision) => installer.get(key, Some(revision)).await.ok().flatten(),
            None => None,
        };
        let missing = match deployed {
            Some(revision) => self.missing(key, revision).await,
            None => Vec::new(),
        };
        Seen { summary: Arc::clone(summary), in_force, missing, history }
    }

    /// The revisions on record, oldest first.
    async fn revisions(&self, key: &ReleaseKey) -> Vec<RevisionNumber> {
        let path = format!("/api/v1/namespaces/{}/secrets?labelSelector=owner%3Dhelm%2Cname%3D{}", key.namespace, key.name);
        let version = |record: &Value| record["metadata"]["labels"]["version"].as_str()?.parse().ok().map(RevisionNumber);
        let mut revisions: Vec<_> = self.api.list(&path).await.unwrap().iter().filter_map(version).collect();
        revisions.sort();
        revisions
    }

    /// What of a revision's manifest is not there as it was applied.
    async fn missing(&self, key: &ReleaseKey, revision: RevisionNumber) -> Vec<String> {
        let path = format!("/api/v1/namespaces/{}/secrets/sh.helm.release.v1.{}.v{revision}", key.namespace, key.name);
        let Some(record) = self.api.get(&path).await.unwrap() else { return Vec::new() };
        // kubectl reads YAML, so nobody else has to.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), manifest(&record)).unwrap();
        let arguments = ["create", "--dry-run=client", "--output", "json", "--filename", file.path().to_str().unwrap()];
        let wanted = self.namespace(key).run(&arguments).await.unwrap();
        // One after the other, not a list.
        let wanted = serde_json::Deserializer::from_str(&wanted).into_iter::<Value>().map(|object| {
            let object = object.unwrap();
            Object::of(object["kind"].as_str().unwrap(), &object)
        });
        let there = self.objects(key).await;
        let is_there = |wanted: &Object| there.iter().any(|object| object.title == wanted.title && object.label == wanted.label);
        wanted.filter(|wanted| !is_there(wanted)).map(|wanted| wanted.title).collect()
    }

    /// The objects whose annotations name the release.
    async fn objects(&self, key: &ReleaseKey) -> Vec<Object> {
        let mut found = Vec::new();
        for (kind, list) in KINDS {
            let path = format!("/{}", list.replace("{}", &format!("namespaces/{}", key.namespace)));
            for object in self.api.list(&path).await.unwrap() {
                let annotations = &object["metadata"]["annotations"];
                if annotations["meta.helm.sh/release-name"] == key.name.as_str()
                    && annotations["meta.helm.sh/release-namespace"] == key.namespace.as_str()
                {
                    found.push(Object::of(kind, &object));
                }
            }
        }
        found
    }

    fn connections(&self) -> BTreeMap<ConnectionId, SeenConnection> {
        let airflow = self.memory.airflow();
        let ids = Who::all().into_iter().flat_map(|who| who.identity().connection_ids());
        let seen = |id| Some((airflow.get(&id)?, airflow.login(&id)?));
        ids.filter_map(seen).map(|(stored, login)| (stored.id.clone(), SeenConnection { stored, login })).collect()
    }

    async fn server(&self, key: &ServerKey) -> Option<SeenServer> {
        let state = self.observer.cluster.server(key).await.unwrap();
        let (set, pods) = (state.stateful_set.as_ref(), state.pods.len());
        let ready = set.is_some_and(|set| {
            set.ready_replicas == set.replicas && set.updated_replicas == set.replicas && set.observed_generation >= set.generation
        });
        (set.is_some() || pods > 0).then(|| SeenServer { replicas: set.map(|set| set.replicas), ready, pods })
    }
}

#[async_trait]
impl World for Real {
    fn pace(&self) -> Pace {
        Pace::real_time()
    }

    async fn ports(&self) -> Ports {
        let adapters = Adapters::start(&self.client, &self.pace());
        let _ = tokio::time::timeout(FIRST_READING, async {
            while !adapters.have_read() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let Adapters { installer, cluster, operations } = adapters;
        let (connections, random) = (self.memory.connections(), self.memory.random());
        Ports { installer, cluster, connections: Some(connections), events: None, operations, clock: Arc::new(WallClock), random }
    }

    async fn look(&self) -> Sight {
        let mut sight = Sight { connections: self.connections(), ..Sight::default() };
        for summary in self.observer.installer.list().await.unwrap() {
            sight.releases.insert(summary.key.clone(), self.see(&summary).await);
        }
        for key in Sight::keys() {
            let objects: Vec<_> = self.objects(&key).await.into_iter().map(|object| object.title).collect();
            if !objects.is_empty() {
                sight.objects.insert(key.clone(), objects);
            }
            let server = Sight::server_of(&key);
            let claims = self.observer.cluster.claims(&server).await.unwrap();
            if !claims.is_empty() {
                sight.claims.insert(server.clone(), claims);
            }
            if let Some(seen) = self.server(&server).await {
                sight.servers.insert(server, seen);
            }
        }
        sight
    }

    async fn records(&self) -> Vec<Arc<OperationRecord>> {
        self.observer.operations.list().await.unwrap().into_iter().map(|stored| stored.record).collect()
    }

    async fn interfere(&self, human: &Human, key: Option<&ReleaseKey>) -> bool {
        let airflow = self.memory.airflow();
        match (human, key) {
            (Human::TakeConnection(who, form), _) => {
                airflow.plant(dbt_controller_adapters_memory::ForeignConnection::new(who.connection_id(*form)));
                true
            }
            (Human::LeaveConnection(who, form), _) => {
                airflow.delete(&who.connection_id(*form));
                true
            }
            (_, None) => false,
            (Human::DeleteConnection(_), Some(key)) => {
                let own: Vec<_> = self.connections().into_values().filter(|seen| seen.stored.owner.as_ref() == Some(key)).collect();
                own.iter().for_each(|seen| airflow.delete(&seen.stored.id));
                !own.is_empty()
            }
            (Human::RemoveObject(_, nth) | Human::EditObject(_, nth), Some(key)) => {
                let objects = self.objects(key).await;
                let Some(object) = objects.get(usize::from(*nth) % objects.len().max(1)) else { return false };
                self.humans.touch(self.namespace(key), &object.title, matches!(human, Human::RemoveObject(..))).await
            }
            (human, Some(key)) => {
                let before = self.revisions(key).await;
                let done = self.humans.act(self.namespace(key), human, key, &before).await;
                // What Helm refuses can leave a revision too.
                let changed = done || self.revisions(key).await != before;
                self.catch_up(key).await;
                changed
            }
        }
    }

    fn set_links(&self, links: Links) {
        self.link.set(if links.cluster { Mode::Answers } else { Mode::Down });
        self.memory.set_airflow_link(if links.airflow { AirflowLink::Up } else { AirflowLink::Down });
    }

    /// Only the connections' port is one on which calls can be made to fail.
    fn plan(&self, method: &'static str, nth: u8, kind: FaultKind, times: u8) {
        if !method.starts_with("connections.") {
            return;
        }
        let kind = match kind {
            FaultKind::Fail => dbt_controller_adapters_memory::FaultKind::Fail,
            FaultKind::Hang => dbt_controller_adapters_memory::FaultKind::Hang,
            FaultKind::LoseAnswer => dbt_controller_adapters_memory::FaultKind::LoseAnswer,
            FaultKind::Forbid => dbt_controller_adapters_memory::FaultKind::Forbid,
        };
        let method: Call = method.parse().unwrap();
        self.memory.faults().plan(Fault::new(method, u32::from(nth), kind).times(u32::from(times)));
    }

    fn clear_plans(&self) {
        self.memory.faults().clear();
    }
}

impl Real {
    /// Waits until the observer has seen what a human did to a release: as many revisions as there are.
    async fn catch_up(&self, key: &ReleaseKey) {
        for _ in 0..200 {
            let newest = self.revisions(key).await.pop();
            let seen = self.observer.installer.summary(key).await.unwrap();
            if seen.map(|summary| summary.revision) == newest {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the observer does not see what a human did to {key}");
    }
}

impl Object {
    fn of(kind: &str, object: &Value) -> Self {
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        Self { title: format!("{kind}/{name}"), label: metadata["labels"][EDITED_LABEL].clone() }
    }
}

/// The text of a record's manifest.
fn manifest(record: &Value) -> String {
    let packed = BASE64.decode(BASE64.decode(record["data"]["release"].as_str().unwrap()).unwrap()).unwrap();
    let payload: Value = serde_json::from_reader(GzDecoder::new(packed.as_slice())).unwrap();
    payload["manifest"].as_str().unwrap().to_owned()
}
