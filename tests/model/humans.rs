//! What humans do, with Helm and kubectl.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_domain::model::{ReleaseKey, RevisionNumber};
use dbt_controller_domain::ports::Clock as _;
use dbt_controller_port_contracts::model::Human;
use dbt_controller_tests::{Helm, HelmVersion, Namespace};
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::client::WallClock;
use crate::real::EDITED_LABEL;

/// The Helms of two namespaces.
pub(crate) struct Humans {
    helms: Vec<(String, [Helm; 2])>,
}

impl Humans {
    pub(crate) fn new(namespaces: &[Namespace; 2]) -> Self {
        let helms = |namespace: &Namespace| (namespace.name().to_owned(), HelmVersion::ALL.map(|version| Helm::new(version, namespace)));
        Self { helms: namespaces.iter().map(helms).collect() }
    }

    /// Removes an object, such as `Service/x`, or changes a field of it; whether there was one.
    pub(crate) async fn touch(&self, namespace: &Namespace, object: &str, removes: bool) -> bool {
        let edit = format!("{EDITED_LABEL}=edited");
        let arguments: &[&str] = if removes { &["delete", object] } else { &["label", "--overwrite", object, &edit] };
        namespace.run(arguments).await.is_ok()
    }

    /// Does something to a release or its server; whether it was done.
    pub(crate) async fn act(&self, namespace: &Namespace, human: &Human, key: &ReleaseKey, revisions: &[RevisionNumber]) -> bool {
        let (name, pods) = (key.name.as_str(), format!("{}-0", key.name));
        let (_, helms) = self.helms.iter().find(|(of, _)| of == namespace.name()).unwrap();
        // Either of them, by turns.
        let helm = &helms[revisions.len() % helms.len()];
        match human {
            Human::RollBack(_, nth) => {
                let Some(to) = revisions.get(usize::from(*nth) % revisions.len().max(1)) else { return false };
                helm.try_run(&["rollback", name, &to.to_string()]).await.is_ok()
            }
            Human::Upgrade(_) => {
                let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/dbt-server");
                helm.try_run(&["upgrade", name, chart.to_str().unwrap(), "--reuse-values"]).await.is_ok()
            }
            Human::LeavePending(_) => leave_pending(namespace, name, revisions).await,
            Human::LeaveUninstalling(_) => leave_uninstalling(namespace, name, revisions).await,
            Human::Uninstall(_, keeps) => {
                let keeps = format!("--keep-history={keeps}");
                helm.try_run(&["uninstall", name, &keeps]).await.is_ok()
            }
            Human::DeleteClaim(_) => {
                namespace.run(&["delete", "persistentvolumeclaim", &format!("{name}-{pods}"), "--wait=false"]).await.is_ok()
            }
            Human::DeletePods(_) => namespace.run(&["delete", "pod", &pods, "--wait=false"]).await.is_ok(),
            Human::Scale(_, awake) => {
                let replicas = format!("--replicas={}", u8::from(*awake));
                namespace.run(&["scale", "statefulset", name, &replicas]).await.is_ok()
            }
            Human::RemoveObject(..)
            | Human::EditObject(..)
            | Human::TakeConnection(..)
            | Human::LeaveConnection(..)
            | Human::DeleteConnection(_) => false,
        }
    }
}

/// Leaves what a `helm upgrade` leaves that is killed before it has applied anything: a pending revision with the content of the newest.
async fn leave_pending(namespace: &Namespace, name: &str, revisions: &[RevisionNumber]) -> bool {
    let Some(newest) = revisions.last() else { return false };
    let Some(secret) = namespace.find("secret", &record(name, newest.0)).await else { return false };
    let next = newest.0 + 1;
    let mut made = rewritten(&secret, "pending-upgrade", |payload| {
        payload["version"] = json!(next);
        payload["info"]["description"] = json!("Preparing upgrade");
    });
    let mut labels = made["metadata"]["labels"].take();
    labels["version"] = json!(next.to_string());
    made["metadata"] = json!({"name": record(name, next), "labels": labels});
    namespace.try_apply(&made).await.is_ok()
}

/// Leaves what a `helm uninstall` leaves that is killed before it has removed anything.
async fn leave_uninstalling(namespace: &Namespace, name: &str, revisions: &[RevisionNumber]) -> bool {
    let Some(newest) = revisions.last() else { return false };
    let Some(secret) = namespace.find("secret", &record(name, newest.0)).await else { return false };
    let now = WallClock.now().to_string();
    let left = rewritten(&secret, "uninstalling", |payload| {
        payload["info"]["description"] = json!("Deletion in progress (or silently failed)");
        payload["info"]["deleted"] = json!(now);
    });
    // Of the version that was read: somebody may have been faster.
    let (version, labels) = (&left["metadata"]["resourceVersion"], &left["metadata"]["labels"]);
    let patch = json!({"metadata": {"resourceVersion": version, "labels": labels}, "data": left["data"]});
    namespace.try_patch("secret", &record(name, newest.0), &patch).await.is_ok()
}

/// The name of the Secret that holds a revision.
fn record(name: &str, revision: u32) -> String {
    format!("sh.helm.release.v1.{name}.v{revision}")
}

/// A record with another status in its payload and its labels, and other changes of its payload.
fn rewritten(secret: &Value, status: &str, change: impl FnOnce(&mut Value)) -> Value {
    let packed = BASE64.decode(BASE64.decode(secret["data"]["release"].as_str().unwrap()).unwrap()).unwrap();
    let mut payload: Value = serde_json::from_reader(GzDecoder::new(packed.as_slice())).unwrap();
    payload["info"]["status"] = json!(status);
    change(&mut payload);
    let mut pack = GzEncoder::new(Vec::new(), flate2::Compression::default());
    serde_json::to_writer(&mut pack, &payload).unwrap();
    let mut rewritten = secret.clone();
    rewritten["data"]["release"] = json!(BASE64.encode(BASE64.encode(pack.finish().unwrap())));
    rewritten["metadata"]["labels"]["status"] = json!(status);
    rewritten
}
