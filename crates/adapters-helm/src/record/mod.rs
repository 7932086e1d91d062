//! Helm's release records: one Secret per revision.
//!
//! ```text
//! Secret `sh.helm.release.v1.<name>.v<revision>`, type `helm.sh/release.v1`
//!   labels: name, owner=helm, status, version, createdAt or modifiedAt, and the release's own
//!   data.release: base64 ── gzip ── JSON { name, namespace, version, info { status, … }, chart, config, manifest, hooks, … }
//! ```
//!
//! The fields of the JSON are kept as the text that was read and only looked into where needed. So whoever's record is rewritten
//! for a new status keeps everything else exactly: hooks, fields of later Helms, numbers and times as they were spelled.

mod codec;
mod key;
mod unproved;

use std::collections::BTreeMap;
use std::fmt;

use dbt_controller_domain::model::{ReleaseKey, ReleaseStatus, RevisionNumber};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(crate) use self::codec::{MAX_SECRET_BYTES, Unreadable};
use self::codec::{pack, unpack};
pub(crate) use self::key::{RecordKey, Slot};
pub(crate) use self::unproved::unproved;

/// What marks a Secret as a record of Helm.
pub(crate) const OWNER_SELECTOR: &str = "owner=helm";
/// The type of the Secrets that we read and write.
pub(crate) const SECRET_TYPE: &str = "helm.sh/release.v1";
/// What the types of all formats begin with.
const TYPE_PREFIX: &str = "helm.sh/release.";
/// The key of the payload in the Secret.
const DATA_KEY: &str = "release";
/// The labels that Helm writes anew each time; all others are the release's own and are carried on.
const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// JSON fields, each as its text.
type Fields = BTreeMap<String, Box<RawValue>>;

/// One revision, as Helm keeps it.
#[derive(Clone)]
pub(crate) struct Record {
    key: RecordKey,
    /// All fields but `info`.
    fields: Fields,
    info: Fields,
    /// The release's own labels.
    labels: BTreeMap<String, String>,
}

/// What a new revision holds.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) key: RecordKey,
    pub(crate) status: ReleaseStatus,
    pub(crate) description: &'a str,
    pub(crate) first_deployed: Timestamp,
    pub(crate) last_deployed: Timestamp,
    pub(crate) chart: &'a Value,
    pub(crate) config: &'a Value,
    pub(crate) manifest: &'a str,
}

/// The record would not fit into a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge(pub(crate) usize);

/// Why a record is written: Helm labels it with the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    Created,
    Modified,
}

// === impl Record ===

impl Record {
    /// A new revision whose objects are applied by the server.
    pub(crate) fn new(draft: &Draft<'_>, labels: &BTreeMap<String, String>) -> Self {
        let Draft { key, status, description, first_deployed, last_deployed, chart, config, manifest } = draft;
        let fields = [
            ("name", raw(key.release.name.as_str())),
            ("namespace", raw(key.release.namespace.as_str())),
            ("version", raw(&key.revision.0)),
            ("chart", raw(chart)),
            ("config", raw(config)),
            ("manifest", raw(manifest)),
            ("apply_method", raw("ssa")),
        ];
        let info = [
            ("first_deployed", raw(&first_deployed.to_string())),
            ("last_deployed", raw(&last_deployed.to_string())),
            ("status", raw(status.as_str())),
            ("description", raw(description)),
        ];
        Self { key: key.clone(), fields: named(fields), info: named(info), labels: own_labels(Some(labels)) }
    }

    /// The revision that takes the content of this one back, as Helm's rollback makes it.
    ///
    /// <https://github.com/helm/helm/blob/v4.3.1/pkg/action/rollback.go>
    pub(crate) fn rollback(
        &self,
        revision: RevisionNumber,
        first_deployed: Timestamp,
        now: Timestamp,
        stamp: impl FnOnce(&mut Value),
    ) -> Result<Self, Unreadable> {
        let mut fields = self.fields.clone();
        fields.extend(named([("version", raw(&revision.0)), ("apply_method", raw("ssa")), ("config", self.stamped(stamp)?)]));
        let mut info = named([
            ("first_deployed", raw(&first_deployed.to_string())),
            ("last_deployed", raw(&now.to_string())),
            ("status", raw(ReleaseStatus::PendingRollback.as_str())),
            ("description", raw(&format!("Rollback to {}", self.key.revision))),
            ("rollback_revision", raw(&self.key.revision.0)),
        ]);
        info.extend(self.info.get_key_value("notes").map(|(name, notes)| (name.clone(), notes.clone())));
        let key = RecordKey::new(&self.key.release, revision);
        Ok(Self { key, fields, info, labels: self.labels.clone() })
    }

    /// The values with `controller` changed; the others keep their text.
    fn stamped(&self, stamp: impl FnOnce(&mut Value)) -> Result<Box<RawValue>, Unreadable> {
        let mut config: Fields = self.field("config")?.unwrap_or_default();
        let mut changed = Value::Object(serde_json::Map::new());
        if let Some(controller) = config.get("controller") {
            changed["controller"] = serde_json::from_str(controller.get())?;
        }
        stamp(&mut changed);
        if let Value::Object(changed) = changed {
            config.extend(changed.iter().map(|(name, value)| (name.clone(), raw(value))));
        }
        Ok(raw(&config))
    }

    /// Changes `controller` in the values.
    pub(crate) fn stamp(&mut self, stamp: impl FnOnce(&mut Value)) -> Result<(), Unreadable> {
        let config = self.stamped(stamp)?;
        self.fields.insert("config".to_owned(), config);
        Ok(())
    }

    /// Reads a Secret.
    pub(crate) fn decode(key: RecordKey, secret: &Secret) -> Result<Self, Unreadable> {
        if let Some(other) = secret.type_.as_deref().filter(|other| other.starts_with(TYPE_PREFIX) && *other != SECRET_TYPE) {
            return Err(Unreadable::Format(other.to_owned()));
        }
        if let Some(format) = key.unknown_format() {
            return Err(Unreadable::FormatNumber(format));
        }
        let data = secret.data.as_ref().and_then(|data| data.get(DATA_KEY)).ok_or(Unreadable::Empty)?;
        let mut fields: Fields = serde_json::from_str(&unpack(&data.0)?)?;
        let info = fields.remove("info").ok_or(Unreadable::Field("info"))?;
        let info = serde_json::from_str(info.get()).map_err(|_| Unreadable::Field("info"))?;
        let record = Self { key, fields, info, labels: own_labels(secret.metadata.labels.as_ref()) };
        let name: Option<String> = record.field("name")?;
        let version: Option<u32> = record.field("version")?;
        if name.as_deref() != Some(record.key.release.name.as_str()) || version != Some(record.key.revision.0) {
            return Err(Unreadable::OtherRevision);
        }
        Ok(record)
    }

    /// The Secret that holds it. Helm's own labels and the payload are written anew.
    pub(crate) fn encode(&self, stamp: Stamp, now: Timestamp) -> Result<Secret, TooLarge> {
        let mut fields: BTreeMap<&str, &RawValue> = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_ref())).collect();
        let info = raw(&self.info);
        fields.insert("info", &info);
        let payload = pack(raw(&fields).get().as_bytes());
        if payload.len() > MAX_SECRET_BYTES {
            return Err(TooLarge(payload.len()));
        }
        let stamp = match stamp {
            Stamp::Created => "createdAt",
            Stamp::Modified => "modifiedAt",
        };
        let mut labels = self.labels.clone();
        labels.extend(
            [
                ("name", self.key.release.name.to_string()),
                ("owner", "helm".to_owned()),
                ("status", self.status_text().unwrap_or_default()),
                ("version", self.key.revision.to_string()),
                (stamp, now.as_second().to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let metadata = ObjectMeta {
            name: Some(self.key.secret_name()),
            namespace: Some(self.key.release.namespace.to_string()),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        Ok(Secret {
            metadata,
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some(BTreeMap::from([(DATA_KEY.to_owned(), ByteString(payload))])),
            ..Secret::default()
        })
    }

    pub(crate) fn key(&self) -> &RecordKey {
        &self.key
    }

    pub(crate) fn release(&self) -> &ReleaseKey {
        &self.key.release
    }

    /// The release's own labels, which later revisions carry on.
    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// The status in the payload, which `helm history` shows.
    pub(crate) fn status(&self) -> ReleaseStatus {
        self.status_text().and_then(|text| text.parse().ok()).unwrap_or(ReleaseStatus::Unknown)
    }

    fn status_text(&self) -> Option<String> {
        self.info("status")
    }

    pub(crate) fn set_status(&mut self, status: ReleaseStatus) {
        self.info.insert("status".to_owned(), raw(status.as_str()));
    }

    pub(crate) fn set_description(&mut self, description: &str) {
        self.info.insert("description".to_owned(), raw(description));
    }

    pub(crate) fn set_deleted(&mut self, at: Timestamp) {
        self.info.insert("deleted".to_owned(), raw(&at.to_string()));
    }

    pub(crate) fn description(&self) -> String {
        self.info("description").unwrap_or_default()
    }

    /// When the first revision was made; none when it is not told (Go's zero time).
    pub(crate) fn first_deployed(&self) -> Option<Timestamp> {
        self.time("first_deployed")
    }

    /// When its release began to be removed.
    pub(crate) fn deleted(&self) -> Option<Timestamp> {
        self.time("deleted")
    }

    /// When this revision was made.
    pub(crate) fn last_deployed(&self) -> Option<Timestamp> {
        self.time("last_deployed")
    }

    /// The revision whose content this one took back. Only Helm 4 and we tell.
    pub(crate) fn rollback_revision(&self) -> Option<RevisionNumber> {
        self.info("rollback_revision").map(RevisionNumber)
    }

    /// What the user gave the chart; an empty map when nothing.
    pub(crate) fn values(&self) -> Result<Value, Unreadable> {
        Ok(self.field("config")?.unwrap_or_else(|| Value::Object(serde_json::Map::new())))
    }

    /// The manifest's text.
    pub(crate) fn manifest(&self) -> Result<String, Unreadable> {
        Ok(self.field("manifest")?.unwrap_or_default())
    }

    /// The chart, of which only `metadata` is read.
    pub(crate) fn chart(&self) -> Value {
        let chart: Option<Fields> = self.field("chart").ok().flatten();
        let metadata: Option<Value> = chart.and_then(|chart| serde_json::from_str(chart.get("metadata")?.get()).ok());
        json!({ "metadata": metadata })
    }

    /// About as much memory as it takes.
    pub(crate) fn size(&self) -> usize {
        self.fields.values().chain(self.info.values()).map(|value| value.get().len()).sum()
    }

    /// A field of the payload; none when it is absent or null.
    fn field<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, Unreadable> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        serde_json::from_str(value.get()).map_err(|_| Unreadable::Field(name))
    }

    /// A field of `info`; none when it is absent or something else.
    fn info<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.info.get(name)?.get()).ok()
    }

    /// Helm 3 writes an absent time as `""`, Go as the first moment of the year 1.
    fn time(&self, name: &str) -> Option<Timestamp> {
        let text: String = self.info(name)?;
        text.parse().ok().filter(|time| *time > Timestamp::UNIX_EPOCH)
    }
}

/// The status that the label tells; it is that of the payload unless somebody broke off between two writes.
pub(crate) fn status_of(meta: &ObjectMeta) -> ReleaseStatus {
    let label = meta.labels.as_ref().and_then(|labels| labels.get("status"));
    label.and_then(|text| text.parse().ok()).unwrap_or(ReleaseStatus::Unknown)
}

fn own_labels(labels: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let own = labels.into_iter().flatten().filter(|(name, _)| !SYSTEM_LABELS.contains(&name.as_str()));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn named<const N: usize>(fields: [(&str, Box<RawValue>); N]) -> Fields {
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The JSON of what is known to have one.
fn raw(value: &(impl Serialize + ?Sized)) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("texts, numbers, times and maps with text keys have a JSON form")
}

/// The payload that holds these bytes.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn pack_for_fuzzing(json: &[u8]) -> Vec<u8> {
    pack(json)
}

/// Without the content, which holds secrets.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("key", &self.key).field("status", &self.status()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
