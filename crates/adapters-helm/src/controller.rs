//! What a release's values tell beside its objects: `controller`.

use dbt_controller_domain::Identity;
use dbt_controller_domain::model::{ManifestHash, Namespace, OperationId, RequestHash, RevisionNumber};
use dbt_controller_domain::naming::ConnectionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::json;
use crate::manifest::Manifest;

/// The key of all this in the values.
const KEY: &str = "controller";
/// The key of the operation in it.
const OPERATION: &str = "operation";
/// The key of the moment in it at which we had the helm program begin to remove the release.
const REMOVAL: &str = "removal";

/// Whose server a release is, and what it was written for. `helm upgrade --reuse-values` and `helm rollback` keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Controller {
    /// Whose server it is.
    pub(crate) identity: Identity,
    /// The connection it is registered as.
    pub(crate) connection_id: Option<ConnectionId>,
    /// What Airflow tasks call.
    pub(crate) url: String,
    /// The request that the objects were made from.
    pub(crate) request_hash: RequestHash,
    /// The manifest as we wrote it. Somebody may have changed it with helm since.
    pub(crate) manifest_hash: ManifestHash,
    /// The own namespace of the service that wrote it.
    pub(crate) home: Option<Namespace>,
}

/// The operation that wrote a revision. Helm copies values from revision to revision, so it counts in its own revision only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The operation.
    pub(crate) id: OperationId,
    /// The revision that it wrote.
    pub(crate) revision: RevisionNumber,
}

/// The stored form of [`Controller`]. Fields that it does not know are those of a later version of this service.
#[derive(Serialize, Deserialize)]
struct Stored {
    project: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection_id: Option<String>,
    url: String,
    request_hash: String,
    manifest_hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<String>,
}

/// The values of a release of ours: what its record calls `config`.
pub(crate) fn values(manifest: &Manifest, controller: &Controller, operation: &Operation) -> Value {
    let mut values = json!({ "manifests": manifest.to_values(), KEY: controller.stored() });
    operation.write(&mut values);
    values
}

// === impl Controller ===

impl Controller {
    /// What a release's values tell; none when they are not ours, or somebody made them senseless.
    pub(crate) fn read(values: &Value) -> Option<Self> {
        let Stored { project, branch, connection_id, url, request_hash, manifest_hash, home } =
            Stored::deserialize(values.get(KEY)?).ok()?;
        Some(Self {
            identity: Identity::parse(&project, branch.as_deref()).ok()?,
            connection_id: connection_id.map(|id| id.parse()).transpose().ok()?,
            url,
            request_hash: RequestHash::from_recorded(request_hash),
            manifest_hash: ManifestHash(manifest_hash),
            home: home.and_then(|home| home.parse().ok()),
        })
    }

    fn stored(&self) -> Stored {
        let Self { identity, connection_id, url, request_hash, manifest_hash, home } = self;
        Stored {
            project: identity.project().to_string(),
            branch: identity.branch().map(ToString::to_string),
            connection_id: connection_id.as_ref().map(ToString::to_string),
            url: url.clone(),
            request_hash: request_hash.as_str().to_owned(),
            manifest_hash: manifest_hash.0.clone(),
            home: home.as_ref().map(ToString::to_string),
        }
    }
}

// === impl Operation ===

impl Operation {
    /// The operation of ours that wrote this revision; none when somebody else's Helm did, also when it copied the values of ours.
    pub(crate) fn read(values: &Value, revision: RevisionNumber) -> Option<OperationId> {
        let stored = json::at(values, &[KEY, OPERATION])?;
        // Helm's Go holds every number as a floating-point one.
        let is_of_revision = stored.get("revision")?.as_f64() == Some(f64::from(revision.0));
        is_of_revision.then(|| json::text_at(stored, &["id"])?.parse().ok()).flatten()
    }

    /// Says in a revision's values who wrote it. Values of other makers get it too: a rollback of ours to their revision copies them.
    pub(crate) fn write(&self, values: &mut Value) {
        // What is about the revision that they come from is not about this one.
        erase_marks(values);
        of_ours(values)[OPERATION] = json!({ "id": self.id.as_str(), "revision": self.revision.0 });
    }
}

/// Says in the values of a release that we have the helm program remove it. Helm's own words are the same whoever has it done, but it
/// keeps the values.
pub(crate) fn write_removal(values: &mut Value, at: Timestamp) {
    of_ours(values)[REMOVAL] = json!(at);
}

/// When we last had the helm program begin to remove a release, if we did.
pub(crate) fn removal(values: &Value) -> Option<Timestamp> {
    json::text_at(values, &[KEY, REMOVAL])?.parse().ok()
}

/// Takes out of values that are shown what is about one revision: two with the same content then show the same.
pub(crate) fn erase_marks(values: &mut Value) {
    if let Some(controller) = values.get_mut(KEY).and_then(Value::as_object_mut) {
        controller.remove(OPERATION);
        controller.remove(REMOVAL);
    }
}

/// Our part of the values, a map. Those of other makers get one.
fn of_ours(values: &mut Value) -> &mut Value {
    if !values.is_object() {
        *values = json!({});
    }
    let controller = &mut values[KEY];
    if !controller.is_object() {
        *controller = json!({});
    }
    controller
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(branch: Option<&str>) -> Controller {
        Controller {
            identity: Identity::parse("Проект \"A\"", branch).unwrap(),
            connection_id: Some("project_a".parse().unwrap()),
            url: "http://dbt-server-a.dbt-server.svc.cluster.local/invocations".to_owned(),
            request_hash: RequestHash::from_recorded("ab"),
            manifest_hash: ManifestHash("cd".to_owned()),
            home: Some("dbt-server".parse().unwrap()),
        }
    }

    fn operation(revision: u32) -> Operation {
        Operation { id: "op-1".parse().unwrap(), revision: RevisionNumber(revision) }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for written in [controller(Some("feature/x")), controller(None), Controller { connection_id: None, home: None, ..controller(None) }]
        {
            let values = values(&Manifest::default(), &written, &operation(3));
            assert_eq!(Controller::read(&values), Some(written));
            assert_eq!(Operation::read(&values, RevisionNumber(3)), Some(operation(3).id));
        }
    }

    #[test]
    fn an_operation_counts_in_its_own_revision_only() {
        let mut values = values(&Manifest::default(), &controller(None), &operation(3));
        assert_eq!(Operation::read(&values, RevisionNumber(4)), None);
        values[KEY][OPERATION]["revision"] = json!(3.0);
        assert_eq!(Operation::read(&values, RevisionNumber(3)), Some(operation(3).id));
        for bad in [json!(null), json!("3"), json!(3.5), json!({})] {
            values[KEY][OPERATION]["revision"] = bad;
            assert_eq!(Operation::read(&values, RevisionNumber(3)), None);
        }
    }

    #[test]
    fn a_rollback_to_somebody_elses_revision_remembers_its_operation() {
        for mut values in [json!({ "image": "x" }), json!({ KEY: "theirs" }), json!(null)] {
            operation(2).write(&mut values);
            assert_eq!(Operation::read(&values, RevisionNumber(2)), Some(operation(2).id));
            assert_eq!(Controller::read(&values), None);
        }
    }

    #[test]
    fn a_removal_is_of_one_revision_and_not_shown() {
        let written = controller(None);
        let plain = values(&Manifest::default(), &written, &operation(3));
        let at: Timestamp = "2026-11-27T21:00:00.123456789Z".parse().unwrap();
        let mut marked = plain.clone();
        assert_eq!(removal(&marked), None);
        write_removal(&mut marked, at);
        assert_eq!(removal(&marked), Some(at));
        assert_eq!(Controller::read(&marked), Some(written));
        assert_eq!(Operation::read(&marked, RevisionNumber(3)), Some(operation(3).id));

        let mut next = marked.clone();
        operation(4).write(&mut next);
        assert_eq!(removal(&next), None);

        let mut shown = [plain, marked];
        shown.iter_mut().for_each(erase_marks);
        assert_eq!(shown[0], shown[1]);
    }

    #[test]
    fn senseless_values_are_nobodys() {
        let good = values(&Manifest::default(), &controller(None), &operation(1));
        for (field, bad) in [("project", json!("")), ("project", json!(null)), ("connection_id", json!("a/b")), ("url", json!(1))] {
            let mut values = good.clone();
            values[KEY][field] = bad;
            assert_eq!(Controller::read(&values), None, "{field}");
        }
        for values in [json!(null), json!([]), json!({}), json!({ KEY: null }), json!({ KEY: [] })] {
            assert_eq!(Controller::read(&values), None);
            assert_eq!(Operation::read(&values, RevisionNumber(1)), None);
        }
    }
}
