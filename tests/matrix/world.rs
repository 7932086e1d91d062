//! What there is in a namespace, and whether it agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_tests::{ApiServer, replaced};
use serde_json::Value;

use crate::airflow::{Airflow, Connection};
use crate::fields;
use crate::names::Names;
use crate::record::Record;
use crate::scenario::{Expected, HISTORY, Naming, REPLACED, Server};

/// The kinds of which a deployment has objects, and where they are listed.
const KINDS: [(&str, &str, &str); 8] = [
    ("StatefulSet", "apps/v1", "statefulsets"),
    ("Pod", "v1", "pods"),
    ("Service", "v1", "services"),
    ("ConfigMap", "v1", "configmaps"),
    ("Secret", "v1", "secrets"),
    ("ServiceAccount", "v1", "serviceaccounts"),
    ("Ingress", "networking.k8s.io/v1", "ingresses"),
    ("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
];
/// The chart of our releases.
const CHART: &str = "dbt-server";
/// What every namespace has.
const BARE: [&str; 2] = ["ConfigMap/kube-root-ca.crt", "ServiceAccount/default"];
/// What the names of Helm's records begin with, and those of the service's own.
const RECORD: &str = "sh.helm.release.v1.";
pub(crate) const OPERATIONS: &str = "dbt-controller-op.";
/// The type of the Secrets that these are.
const OPERATIONS_TYPE: &str = "dbt-controller/operation.v1";

/// What is not over yet, by the records of operations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unfinished {
    /// The running and the waiting operations.
    operations: Vec<String>,
    /// What ended operations have left to do.
    debts: Vec<String>,
}

/// A namespace at a moment.
#[derive(Debug, Clone)]
pub(crate) struct World {
    names: Names,
    /// Helm's records, oldest first.
    records: Vec<Record>,
    /// Everything else of a deployment, by `kind/name`.
    objects: BTreeMap<String, Value>,
    unfinished: Unfinished,
    /// The connections by their ids; none without an Airflow.
    connections: Option<BTreeMap<String, Connection>>,
}

impl World {
    /// Looks at all of it.
    pub(crate) async fn observe(api: &ApiServer, airflow: Option<&Airflow>, names: &Names) -> Result<Self, String> {
        let mut world = Self {
            names: names.clone(),
            records: Vec::new(),
            objects: BTreeMap::new(),
            unfinished: Unfinished::default(),
            connections: None,
        };
        for (kind, version, plural) in KINDS {
            let root = if version.contains('/') { "apis" } else { "api" };
            let path = format!("/{root}/{version}/namespaces/{}/{plural}", names.namespace);
            for mut object in api.list(&path).await.map_err(|error| error.to_string())? {
                // A list leaves them out of its items.
                (object["apiVersion"], object["kind"]) = (version.into(), kind.into());
                world.take_in(kind, object)?;
            }
        }
        if let Some(airflow) = airflow {
            world.connections = Some(airflow.connections(names.own_part()).await);
        }
        world.records.sort_by_key(|record| record.revision);
        Ok(world)
    }

    fn take_in(&mut self, kind: &str, object: Value) -> Result<(), String> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let unreadable = || format!("{name} cannot be read");
        if kind == "Secret" && name.starts_with(RECORD) {
            self.records.push(Record::read(&object).ok_or_else(unreadable)?);
        } else if kind == "Secret" && name.starts_with(OPERATIONS) {
            self.unfinished.take_in(&object).ok_or_else(unreadable)?;
        } else {
            let title = self.title(kind, name);
            if !BARE.contains(&title.as_str()) {
                self.objects.insert(title, object);
            }
        }
        Ok(())
    }

    fn title(&self, kind: &str, name: &str) -> String {
        format!("{kind}/{}", self.names.told(name))
    }

    fn object(&self, kind: &str, name: &str) -> &Value {
        self.objects.get(&self.title(kind, name)).unwrap_or(&Value::Null)
    }

    /// The objects that the newest revision says there are.
    pub(crate) fn manifest(&self) -> &[Value] {
        self.records.last().map(|record| record.manifest.as_slice()).unwrap_or_default()
    }

    /// Whether all of it is as expected; else what is not.
    pub(crate) fn agrees_with(&self, expected: Expected) -> Result<(), String> {
        self.unfinished.is_at_rest()?;
        match expected {
            Expected::Nothing if self.records.is_empty() && self.objects.is_empty() => self.has_no_connection(),
            Expected::Nothing => Err("something is left".to_owned()),
            Expected::Server(server) => {
                self.is_whole(server)?;
                self.is_of_chart(CHART)?;
                self.is_connected(server, &[self.description(server.naming)])
            }
            Expected::Replaced => {
                self.is_whole(REPLACED)?;
                self.is_of_chart(replaced::CHART)?;
                // An undo brings back what is called and with which login, and leaves our description.
                let before = replaced::description(&self.names.invocations(REPLACED.naming, REPLACED.https));
                self.is_connected(REPLACED, &[before, self.description(REPLACED.naming)])
            }
        }
    }

    fn is_whole(&self, server: Server) -> Result<(), String> {
        self.history_is_well(server.naming)?;
        self.runs(server)?;
        self.has_what_is_recorded(server)?;
        self.claim_fits(server.naming)
    }

    /// By the chart a release is known as ours, or as one that was not adopted.
    fn is_of_chart(&self, wanted: &str) -> Result<(), String> {
        let chart = self.records.last().map(|record| record.chart.as_str()).unwrap_or_default();
        if chart == wanted { Ok(()) } else { Err(format!("the newest revision is of the chart {chart}, not {wanted}")) }
    }

    /// The server is the one that was asked for, and ready, or asleep.
    fn runs(&self, server: Server) -> Result<(), String> {
        let Server { tag, size, login, https, asleep, naming } = server;
        let set = self.object("StatefulSet", &self.names.server(naming));
        let found = (image_tag(set), template_size(set), self.objects.keys().any(|title| title.starts_with("Ingress/")));
        if found != (tag, size, https) {
            return Err(format!("the server is not of this tag, size and way in: {found:?}"));
        }
        if login.is_some_and(|(user, password)| self.login() != Some((user.to_owned(), password.to_owned()))) {
            return Err(format!("the server's user is {:?}", self.login().map(|(user, _)| user)));
        }
        let is_settled = if asleep { is_asleep(set) } else { is_ready(set) };
        if is_settled { Ok(()) } else { Err(format!("the server is not {}", if asleep { "asleep" } else { "ready" })) }
    }

    /// There are the objects of the newest revision, and what Kubernetes makes of them; and each is as that revision says.
    fn has_what_is_recorded(&self, server: Server) -> Result<(), String> {
        let name = self.names.server(server.naming);
        let set = self.object("StatefulSet", &name);
        let mut whole: BTreeSet<_> =
            self.manifest().iter().map(|wanted| self.title(text(wanted, "/kind"), text(wanted, "/metadata/name"))).collect();
        whole.extend((!server.asleep).then(|| self.title("Pod", &format!("{name}-0"))));
        let templates = set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
        whole.extend(templates.map(|claim| self.title("PersistentVolumeClaim", &format!("{}-{name}-0", text(claim, "/metadata/name")))));
        let odd: Vec<_> = self
            .objects
            .keys()
            .filter(|title| !whole.contains(*title))
            .chain(whole.iter().filter(|title| !self.objects.contains_key(*title)))
            .cloned()
            .collect();
        if !odd.is_empty() {
            return Err(format!("more or less than the newest revision has: {}", odd.join(", ")));
        }
        for wanted in self.manifest() {
            let (kind, name) = (text(wanted, "/kind"), text(wanted, "/metadata/name"));
            if let Some(field) = fields::odd(wanted, self.object(kind, name)) {
                return Err(format!("{} is not as the newest revision says: {field}", self.title(kind, name)));
            }
        }
        Ok(())
    }

    /// A claim has the size of the template, or a larger one that a failed revision asked for: an undo leaves it.
    fn claim_fits(&self, naming: Naming) -> Result<(), String> {
        let wanted = template_size(self.object("StatefulSet", &self.names.server(naming)));
        let failed = self.records.iter().filter(|record| record.status.0 == "failed").flat_map(|record| &record.manifest);
        let allowed: BTreeSet<_> = failed.map(template_size).chain([wanted]).filter(|size| !size.is_empty()).collect();
        for (title, claim) in self.objects.iter().filter(|(title, _)| title.starts_with("PersistentVolumeClaim/")) {
            let sizes = ["/spec/resources/requests/storage", "/status/capacity/storage"].map(|pointer| text(claim, pointer));
            if let Some(odd) = sizes.into_iter().find(|size| !allowed.contains(size)) {
                return Err(format!("{title} has {odd}, the template {wanted}"));
            }
        }
        Ok(())
    }

    fn has_no_connection(&self) -> Result<(), String> {
        match self.connections.iter().flatten().next() {
            None => Ok(()),
            Some((id, left)) => Err(format!("a connection is left: {id}, {}", left.description)),
        }
    }

    /// What the service says of itself in the connection of a release of this name.
    fn description(&self, naming: Naming) -> String {
        format!("dbt-api-service-controller: release {} in namespace {}", self.names.release(naming), self.names.namespace)
    }

    /// There is one connection, the server's, with one of these descriptions.
    fn is_connected(&self, server: Server, descriptions: &[String]) -> Result<(), String> {
        let Some(connections) = &self.connections else { return Ok(()) };
        let (id, host) = (self.names.connection(server.naming), self.names.invocations(server.naming, server.https));
        let (user, password) = self.login().unwrap_or_default();
        let wanted = |description: &String| {
            let (host, user, password) = (host.clone(), user.clone(), password.clone());
            BTreeMap::from([(id.clone(), Connection { description: description.clone(), host, user, password })])
        };
        let allowed: Vec<_> = descriptions.iter().map(wanted).collect();
        if allowed.contains(connections) { Ok(()) } else { Err(format!("the connections are not one of {allowed:?}")) }
    }

    /// User and password of the server, by its Secret.
    pub(crate) fn login(&self) -> Option<(String, String)> {
        let decoded = |secret: &Value, key: &str| String::from_utf8(BASE64.decode(secret["data"][key].as_str()?).ok()?).ok();
        let secrets = self.objects.iter().filter(|(title, _)| title.starts_with("Secret/")).map(|(_, secret)| secret);
        secrets.into_iter().find_map(|secret| decoded(secret, "BASIC_AUTH_USER").zip(decoded(secret, "BASIC_AUTH_PASSWORD")))
    }

    /// The uid of its pod, if it has one.
    pub(crate) fn pod(&self) -> Option<String> {
        let (_, pod) = self.objects.iter().find(|(title, _)| title.starts_with("Pod/"))?;
        pod["metadata"]["uid"].as_str().map(str::to_owned)
    }

    /// How many revisions there are.
    pub(crate) fn revisions(&self) -> usize {
        self.records.len()
    }

    /// The newest revision is the deployed one, no other is, none is pending, and there are not too many: a cut that failed is left to the
    /// next revision.
    fn history_is_well(&self, naming: Naming) -> Result<(), String> {
        let Some((newest, older)) = self.records.split_last() else { return Err("no revision is recorded".to_owned()) };
        let release = self.names.release(naming);
        if let Some(odd) = self.records.iter().find(|record| record.release != release) {
            return Err(format!("a revision of {} is recorded, not of {release}", odd.release));
        }
        if let Some(Record { revision, status, .. }) = self.records.iter().find(|record| record.status.0 != record.status.1) {
            return Err(format!("revision {revision} is {} by its label and {} by its payload", status.0, status.1));
        }
        if newest.status.0 != "deployed" {
            return Err(format!("the newest revision is {}", newest.status.0));
        }
        if let Some(odd) = older.iter().find(|record| !["superseded", "failed"].contains(&record.status.0.as_str())) {
            return Err(format!("revision {} is {}", odd.revision, odd.status.0));
        }
        if self.records.len() > HISTORY + 1 {
            return Err(format!("the history has {} revisions", self.records.len()));
        }
        Ok(())
    }

    /// All of it, for who reads why a case failed.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for record in &self.records {
            let Record { release, revision, chart, status: (label, payload), manifest: _ } = record;
            let _ = writeln!(text, "  revision {revision} of {release}: {label} ({payload} in its payload), chart {chart}");
        }
        for set in Naming::ALL.map(|naming| self.object("StatefulSet", &self.names.server(naming))) {
            let _ = writeln!(text, "  server: {} {} of {}", image_tag(set), set["status"], set["spec"]["replicas"]);
        }
        let _ = writeln!(text, "  operations: {:?}, debts: {:?}", self.unfinished.operations, self.unfinished.debts);
        let _ = writeln!(text, "  user: {:?}", self.login().map(|(user, _)| user));
        let _ = writeln!(text, "  connections: {:?}", self.connections);
        let _ = write!(text, "  objects: {:?}", self.objects.keys());
        text
    }
}

impl Unfinished {
    /// Looks at the records of operations, and at nothing else.
    pub(crate) async fn observe(api: &ApiServer, names: &Names) -> Result<Self, String> {
        let path = format!("/api/v1/namespaces/{}/secrets?fieldSelector=type%3D{OPERATIONS_TYPE}", names.namespace);
        let mut unfinished = Self::default();
        for record in api.list(&path).await.map_err(|error| error.to_string())? {
            unfinished.take_in(&record).ok_or("a record of operations cannot be read")?;
        }
        Ok(unfinished)
    }

    fn take_in(&mut self, secret: &Value) -> Option<()> {
        let stored: Value = serde_json::from_slice(&BASE64.decode(secret["data"]["record"].as_str()?).ok()?).ok()?;
        let record = &stored["record"];
        let running = Some(&record["running"]).filter(|running| !running.is_null());
        let operations = running.into_iter().chain(record["waiting"].as_array()?);
        let debts = record["finished"].as_array()?.iter().flat_map(|finished| finished["debts"].as_array().into_iter().flatten());
        self.operations.extend(operations.map(|operation| format!("{} {}", operation["info"]["kind"], operation["phase"])));
        self.debts.extend(debts.map(Value::to_string));
        Some(())
    }

    /// Whether an operation has not ended.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.operations.is_empty()
    }

    /// Whether nothing is under way, and nothing is owed; else what is.
    pub(crate) fn is_at_rest(&self) -> Result<(), String> {
        match (self.operations.as_slice(), self.debts.as_slice()) {
            ([], []) => Ok(()),
            ([], debts) => Err(format!("owed: {}", debts.join(", "))),
            (operations, _) => Err(format!("under way: {}", operations.join(", "))),
        }
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn image_tag(set: &Value) -> &str {
    let mut containers = set["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let server = containers.find(|container| container["name"] == "dbt-server");
    server.and_then(|server| text(server, "/image").rsplit(':').next()).unwrap_or_default()
}

fn template_size(set: &Value) -> &str {
    text(set, "/spec/volumeClaimTemplates/0/spec/resources/requests/storage")
}

fn is_ready(set: &Value) -> bool {
    let (spec, status) = (&set["spec"], &set["status"]);
    let one_revision = status["currentRevision"] == status["updateRevision"];
    spec["replicas"] == 1
        && status["observedGeneration"] == set["metadata"]["generation"]
        && status["readyReplicas"] == 1
        && status["updatedReplicas"] == 1
        && one_revision
}

fn is_asleep(set: &Value) -> bool {
    set["spec"]["replicas"] == 0 && set["status"]["observedGeneration"] == set["metadata"]["generation"] && set["status"]["replicas"] == 0
}
