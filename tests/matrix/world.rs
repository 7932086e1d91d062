//! What there is in a namespace, and whether it agrees.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_tests::ApiServer;
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::airflow::{Airflow, Connection};
use crate::scenario::Expected;
use crate::site::Names;

/// The lists of the kinds of which a deployment has objects.
const LISTS: [(&str, &str); 8] = [
    ("/apis/apps/v1", "statefulsets"),
    ("/api/v1", "pods"),
    ("/api/v1", "services"),
    ("/api/v1", "configmaps"),
    ("/api/v1", "secrets"),
    ("/api/v1", "serviceaccounts"),
    ("/apis/networking.k8s.io/v1", "ingresses"),
    ("/api/v1", "persistentvolumeclaims"),
];
/// What every namespace has.
const BARE: [&str; 2] = ["configmaps/kube-root-ca.crt", "serviceaccounts/default"];
/// What the names of Helm's records begin with, and those of the service's own.
const RECORD: &str = "sh.helm.release.v1.";
const OPERATIONS: &str = "dbt-controller-op.";

/// A namespace at a moment.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Helm's records, oldest first.
    records: Vec<Record>,
    /// Everything else of a deployment, as `kind/name`.
    pub(crate) objects: BTreeSet<String>,
    /// The server as its StatefulSet shows it: the tag, and whether it is ready.
    server: Option<(String, bool)>,
    /// The running and the waiting operations.
    operations: Vec<String>,
    /// User and password of the server, by its Secret.
    pub(crate) login: Option<(String, String)>,
    /// The connection, if it is there; none without an Airflow.
    connection: Option<Option<Connection>>,
}

/// A record of Helm.
#[derive(Debug, Clone)]
struct Record {
    revision: u64,
    /// By its label, and by its payload.
    status: (String, String),
    /// Whether its manifest has this tag.
    manifest: String,
}

impl World {
    /// Looks at all of it.
    pub(crate) async fn observe(api: &ApiServer, airflow: Option<&Airflow>, names: &Names) -> Result<Self, String> {
        let mut world =
            Self { records: Vec::new(), objects: BTreeSet::new(), server: None, operations: Vec::new(), login: None, connection: None };
        for (group, plural) in LISTS {
            let path = format!("{group}/namespaces/{}/{plural}", names.namespace);
            for object in api.list(&path).await.map_err(|error| error.to_string())? {
                world.take_in(plural, &object, names)?;
            }
        }
        if let Some(airflow) = airflow {
            world.connection = Some(airflow.connection(&names.connection()).await?);
        }
        world.records.sort_by_key(|record| record.revision);
        Ok(world)
    }

    fn take_in(&mut self, plural: &str, object: &Value, names: &Names) -> Result<(), String> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if plural == "secrets" && name.starts_with(RECORD) {
            self.records.push(Record::read(object).ok_or_else(|| format!("{name} cannot be read"))?);
            return Ok(());
        }
        if plural == "secrets" && name.starts_with(OPERATIONS) {
            self.operations = unfinished(object).ok_or_else(|| format!("{name} cannot be read"))?;
            return Ok(());
        }
        if plural == "secrets" {
            let text = |key: &str| String::from_utf8(BASE64.decode(object["data"][key].as_str()?).ok()?).ok();
            self.login = text("BASIC_AUTH_USER").zip(text("BASIC_AUTH_PASSWORD")).or(self.login.take());
        }
        if plural == "statefulsets" && name == names.release() {
            self.server = Some((tag(&object["spec"]["template"]["spec"]), is_ready(object)));
        }
        let title = format!("{plural}/{}", names.told(name));
        if !BARE.contains(&title.as_str()) {
            self.objects.insert(title);
        }
        Ok(())
    }

    /// Whether an operation is on record that has not ended.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.operations.is_empty()
    }

    /// Whether nothing is under way and all of it is as expected; else what is not. `whole` is what a server consists of.
    pub(crate) fn agrees_with(&self, expected: Expected, whole: &BTreeSet<String>) -> Result<(), String> {
        if !self.operations.is_empty() {
            return Err(format!("under way: {}", self.operations.join(", ")));
        }
        self.connection_agrees(expected)?;
        match expected {
            Expected::Nothing if self.records.is_empty() && self.objects.is_empty() => Ok(()),
            Expected::Nothing => Err("something is left".to_owned()),
            Expected::Server(tag) => {
                if self.server != Some((tag.to_owned(), true)) {
                    return Err(format!("the server of tag {tag} does not run"));
                }
                if self.objects != *whole {
                    let odd: Vec<_> = self.objects.symmetric_difference(whole).cloned().collect();
                    return Err(format!("more or less than a server has: {}", odd.join(", ")));
                }
                self.history_says(tag)
            }
        }
    }

    fn connection_agrees(&self, expected: Expected) -> Result<(), String> {
        match (&self.connection, expected) {
            (None, _) | (Some(None), Expected::Nothing) => Ok(()),
            (Some(None), Expected::Server(_)) => Err("there is no connection".to_owned()),
            (Some(Some(left)), Expected::Nothing) => Err(format!("a connection is left: {}", left.description)),
            (Some(Some(found)), Expected::Server(_)) => match &self.login {
                Some((user, _)) if found.user == *user => Ok(()),
                login => Err(format!("the connection's user is {}, the server's {:?}", found.user, login.as_ref().map(|(user, _)| user))),
            },
        }
    }

    /// The newest revision is the deployed one, no other is, and none is pending.
    fn history_says(&self, tag: &str) -> Result<(), String> {
        let Some((newest, older)) = self.records.split_last() else { return Err("no revision is recorded".to_owned()) };
        for record in &self.records {
            if record.status.0 != record.status.1 {
                return Err(format!(
                    "revision {} is {} by its label and {} by its payload",
                    record.revision, record.status.0, record.status.1
                ));
            }
        }
        if newest.status.0 != "deployed" {
            return Err(format!("the newest revision is {}", newest.status.0));
        }
        if let Some(odd) = older.iter().find(|record| !["superseded", "failed"].contains(&record.status.0.as_str())) {
            return Err(format!("revision {} is {}", odd.revision, odd.status.0));
        }
        if !newest.manifest.contains(&format!(":{tag}")) {
            return Err(format!("the deployed revision is not of tag {tag}"));
        }
        Ok(())
    }

    /// All of it, for who reads why a case failed.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for record in &self.records {
            let _ = writeln!(text, "  revision {}: {} ({} in its payload)", record.revision, record.status.0, record.status.1);
        }
        let _ = writeln!(text, "  server: {:?}", self.server);
        let _ = writeln!(text, "  operations: {:?}", self.operations);
        let _ = writeln!(text, "  user: {:?}", self.login.as_ref().map(|(user, _)| user));
        let _ = writeln!(text, "  connection: {:?}", self.connection);
        let _ = write!(text, "  objects: {:?}", self.objects);
        text
    }
}

impl Record {
    fn read(secret: &Value) -> Option<Self> {
        let labels = &secret["metadata"]["labels"];
        let packed = BASE64.decode(BASE64.decode(secret["data"]["release"].as_str()?).ok()?).ok()?;
        let mut text = String::new();
        GzDecoder::new(packed.as_slice()).read_to_string(&mut text).ok()?;
        let payload: Value = serde_json::from_str(&text).ok()?;
        let status = (labels["status"].as_str()?.to_owned(), payload["info"]["status"].as_str()?.to_owned());
        Some(Self { revision: labels["version"].as_str()?.parse().ok()?, status, manifest: payload["manifest"].as_str()?.to_owned() })
    }
}

/// What a record of operations says is under way.
fn unfinished(secret: &Value) -> Option<Vec<String>> {
    let stored: Value = serde_json::from_slice(&BASE64.decode(secret["data"]["record"].as_str()?).ok()?).ok()?;
    let record = &stored["record"];
    let running = Some(&record["running"]).filter(|running| !running.is_null());
    let waiting = record["waiting"].as_array()?.iter();
    Some(running.into_iter().chain(waiting).map(|operation| format!("{} {}", operation["info"]["kind"], operation["phase"])).collect())
}

fn tag(pod: &Value) -> String {
    let containers = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let server = containers.iter().find(|container| container["name"] == "dbt-server");
    let image = server.and_then(|server| server["image"].as_str()).unwrap_or_default();
    image.rsplit(':').next().unwrap_or_default().to_owned()
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
