//! The records in the cluster: read fresh or from the watch, created, rewritten, deleted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::{ReleaseKey, ReleaseStatus, ReleaseSummary, RevisionNumber, Standing};
use dbt_controller_domain::ports::{Clock, InstallerError};
use dbt_controller_kube_access::{Cache, Denied, Fault, ObjectKey, READ_LIMIT, Source};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::leave::{Leave, failed};
use super::recent::Recent;
use super::revision::{Entry, Revision};
use super::table::Table;
use super::unread;
use crate::manifest::Manifest;
use crate::record::{OWNER_SELECTOR, Record, RecordKey, Slot, Stamp, TooLarge, status_of};

/// Who writes records, for their managed fields.
const FIELD_MANAGER: &str = "dbt-controller";

/// The records of all namespaces.
pub(super) struct Records {
    client: Client,
    cache: Cache<Entry>,
    table: Arc<Table>,
    recent: Arc<Recent>,
    clock: Arc<dyn Clock>,
    _reader: unread::Reader,
}

/// The records of a release as the API server has them now, without their content. Oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct History(pub(super) Vec<Head>);

/// One record, without its content.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) key: RecordKey,
    /// As the label tells.
    pub(super) status: ReleaseStatus,
    pub(super) version: String,
    uid: Option<String>,
}

/// What became of a rewrite.
#[derive(Debug)]
pub(super) enum Rewrite {
    Done,
    /// The record was changed or deleted since it was read.
    Outdated,
}

/// What became of a create.
#[derive(Debug)]
pub(super) enum Creation {
    Done,
    /// There is such a record.
    Exists,
}

// === impl Records ===

impl Records {
    /// Starts to watch.
    pub(super) fn start(client: &Client, namespaces: &[String], clock: Arc<dyn Clock>) -> Self {
        let (table, recent) = (Arc::new(Table::default()), Arc::new(Recent::default()));
        let (unread, reader) = mpsc::unbounded_channel();
        let apis = namespaces.iter().map(|namespace| (namespace.clone(), Api::<Secret>::namespaced(client.clone(), namespace))).collect();
        let source = Source::new("release records", apis, watcher::Config::default().labels(OWNER_SELECTOR));
        let fold = |secret: Secret| RecordKey::of(&secret.metadata).map(|key| Entry::of(key, &secret));
        let (shown, known) = (Arc::clone(&table), Arc::clone(&recent));
        let cache = Cache::start(source, fold, move |changed| {
            let Some(key) = RecordKey::parse(&changed.key.namespace, &changed.key.name) else { return };
            if let Some(wanted) = shown.set(&key, changed.value) {
                // The reader ends with the watch.
                let _ = unread.send(wanted);
            }
            if changed.value.is_none() {
                known.forget_above(&key.release, shown.newest(&key.release).map(|(newest, _)| newest.revision.0));
            }
        });
        let reader = unread::Reader::start(client.clone(), reader, Arc::clone(&table));
        Self { client: client.clone(), cache, table, recent, clock, _reader: reader }
    }

    /// Why the list cannot be answered from memory, if so.
    pub(super) fn synced(&self) -> Result<(), Fault> {
        self.cache.synced()
    }

    /// Waits until everything was read and the watches stand.
    pub(super) async fn current(&self, deadline: Instant) -> Result<(), Fault> {
        self.cache.current(deadline).await
    }

    /// Since when the watch is broken, and why.
    pub(super) fn behind(&self) -> Option<(Duration, String)> {
        self.cache.behind()
    }

    pub(super) fn list(&self) -> Vec<Arc<ReleaseSummary>> {
        self.table.list()
    }

    pub(super) fn summary(&self, key: &ReleaseKey) -> Option<Arc<ReleaseSummary>> {
        self.table.summary(key)
    }

    /// The revisions that the watch shows, oldest first.
    pub(super) fn shown(&self, key: &ReleaseKey) -> Vec<(Slot, Arc<Entry>)> {
        self.table.revisions(key)
    }

    /// Whether nobody has seen a record of this release so far.
    pub(super) fn is_unheard_of(&self, key: &ReleaseKey) -> bool {
        self.table.newest(key).is_none() && self.recent.newest(key).is_none()
    }

    /// The records of a release as they are now.
    pub(super) async fn history(&self, key: &ReleaseKey, leave: Leave<'_>) -> Result<History, InstallerError> {
        let params = ListParams::default().labels(&format!("{OWNER_SELECTOR},name={}", key.name));
        let listed = leave.call(self.api(key).list_metadata(&params)).await;
        let listed = listed.map_err(|denied| failed(&format!("records of release {key}"), denied))?;
        let heads = listed.items.iter().filter_map(|item| Head::of(item, key)).collect();
        let history = History::sorted(heads);
        self.recent.forget_above(key, history.newest().map(|newest| newest.key.revision.0));
        Ok(history)
    }

    /// A record, whole; none when it was deleted in the meantime.
    pub(super) async fn load(&self, head: &Head, leave: Leave<'_>) -> Result<Option<Arc<Revision>>, InstallerError> {
        match self.recent.get(&head.key, &head.version) {
            Some(known) => Ok(Some(known)),
            None => self.fetch(&head.key, leave).await,
        }
    }

    /// As [`Self::load`], by its number: from memory as far as the watch tells that nothing changed.
    pub(super) async fn load_shown(&self, key: &RecordKey, leave: Leave<'_>) -> Result<Option<Arc<Revision>>, InstallerError> {
        let known = self.table.get(key).and_then(|entry| self.recent.get(key, &entry.version));
        match known {
            Some(known) => Ok(Some(known)),
            None => self.fetch(key, leave).await,
        }
    }

    /// The newest revision of a release, for what the next one takes over from it. After a fresh read of the release no request.
    pub(super) async fn newest_known(&self, key: &ReleaseKey, leave: Leave<'_>) -> Result<Option<Arc<Revision>>, InstallerError> {
        let shown = self.table.newest(key).map(|(slot, _)| slot);
        match (self.recent.newest(key), shown) {
            (Some(recent), shown) if Some(recent.key().slot()) >= shown => Ok(Some(recent)),
            (_, Some(shown)) => self.load_shown(&RecordKey::at(key, shown), leave).await,
            (_, None) => Ok(None),
        }
    }

    async fn fetch(&self, key: &RecordKey, leave: Leave<'_>) -> Result<Option<Arc<Revision>>, InstallerError> {
        let found = leave.call(self.api(&key.release).get(&key.secret_name())).await;
        let secret = match found {
            Ok(secret) => secret,
            Err(Denied::Fault(Fault::NotFound(_))) => return Ok(None),
            Err(denied) => return Err(failed(&title(key), denied)),
        };
        // It is rendered and parsed text of some 50 KB: about a millisecond.
        let revision = Revision::decode(key.clone(), &secret).map_err(|why| unreadable(key, &why.to_string()))?;
        let revision = Arc::new(revision);
        self.recent.keep(&revision);
        Ok(Some(revision))
    }

    /// Writes a new record, and waits until the list shows it.
    pub(super) async fn create(
        &self,
        record: Record,
        values: Value,
        manifest: Manifest,
        leave: Leave<'_>,
    ) -> Result<Creation, InstallerError> {
        let secret = self.encode(&record, Stamp::Created)?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match leave.call(self.api(record.release()).create(&params, &secret)).await {
            Ok(made) => {
                self.written(Revision::with(record, &made.metadata, values, manifest)).await?;
                Ok(Creation::Done)
            }
            Err(Denied::Fault(Fault::AlreadyExists(_))) => Ok(Creation::Exists),
            Err(denied) => Err(failed(&title(record.key()), denied)),
        }
    }

    /// Writes what was changed in a record, unless somebody else changed it since it was read, and waits until the list shows it.
    ///
    /// It is a merge patch at the version that was read: unlike an update it keeps what others put on the Secret, and unlike an apply
    /// it never brings a deleted record back.
    pub(super) async fn rewrite(
        &self,
        revision: &Revision,
        change: impl FnOnce(&mut Record),
        leave: Leave<'_>,
    ) -> Result<Rewrite, InstallerError> {
        let mut record = revision.record.clone();
        change(&mut record);
        let secret = self.encode(&record, Stamp::Modified)?;
        let patch = json!({
            "metadata": { "resourceVersion": revision.version, "labels": secret.metadata.labels },
            "data": secret.data,
        });
        match self.patch(record.key(), &patch, leave).await {
            Ok(made) => {
                self.written(Revision::with(record, &made.metadata, revision.values.clone(), revision.manifest.clone())).await?;
                Ok(Rewrite::Done)
            }
            Err(Denied::Fault(Fault::Conflict(_) | Fault::NotFound(_))) => Ok(Rewrite::Outdated),
            Err(denied) => Err(failed(&title(record.key()), denied)),
        }
    }

    /// Changes the status of a record that cannot be read: its label is all that can be changed.
    pub(super) async fn relabel(&self, head: &Head, status: ReleaseStatus, leave: Leave<'_>) -> Result<(), InstallerError> {
        let patch = json!({ "metadata": { "resourceVersion": head.version, "labels": { "status": status.as_str() } } });
        match self.patch(&head.key, &patch, leave).await {
            Ok(made) => self.wait(&head.key, &made.metadata.resource_version.unwrap_or_default()).await,
            Err(Denied::Fault(Fault::Conflict(_) | Fault::NotFound(_))) => Ok(()),
            Err(denied) => Err(failed(&title(&head.key), denied)),
        }
    }

    /// Deletes a record, if it is still there. Does not wait.
    pub(super) async fn delete(&self, head: &Head, leave: Leave<'_>) -> Result<(), InstallerError> {
        let preconditions = Preconditions { uid: head.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match leave.call(self.api(&head.key.release).delete(&head.key.secret_name(), &params)).await {
            // Another record that has taken its name is not the one to delete.
            Ok(_) | Err(Denied::Fault(Fault::NotFound(_) | Fault::OtherUid(_))) => Ok(()),
            Err(denied) => Err(failed(&title(&head.key), denied)),
        }
    }

    /// Deletes a record, if nobody has written it since it was listed. Does not wait.
    pub(super) async fn delete_unchanged(&self, head: &Head, leave: Leave<'_>) -> Result<Rewrite, InstallerError> {
        let preconditions = Preconditions { uid: head.uid.clone(), resource_version: Some(head.version.clone()) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match leave.call(self.api(&head.key.release).delete(&head.key.secret_name(), &params)).await {
            Ok(_) => Ok(Rewrite::Done),
            Err(Denied::Fault(Fault::NotFound(_) | Fault::Conflict(_) | Fault::OtherUid(_))) => Ok(Rewrite::Outdated),
            Err(denied) => Err(failed(&title(&head.key), denied)),
        }
    }

    /// Waits until the list shows that a record was deleted.
    pub(super) async fn gone(&self, head: &Head) -> Result<(), InstallerError> {
        let is_gone = || self.table.get(&head.key).is_none_or(|entry| entry.uid != head.uid);
        self.cache.until(READ_LIMIT, is_gone).await.map_err(|fault| fault.of_installer(&title(&head.key)))
    }

    /// Waits until the list shows a record at this version, or what became of it later.
    async fn wait(&self, key: &RecordKey, version: &str) -> Result<(), InstallerError> {
        let object = ObjectKey::new(key.release.namespace.as_str(), key.secret_name());
        // The cache tells the table before it says that it has seen something.
        self.cache.seen(&object, version, READ_LIMIT).await.map_err(|fault| fault.of_installer(&title(key)))
    }

    /// Waits until the list shows what was read.
    pub(super) async fn wait_for(&self, head: &Head) -> Result<(), InstallerError> {
        self.wait(&head.key, &head.version).await
    }

    /// As if the watch had shown it.
    #[cfg(test)]
    pub(super) fn show(&self, key: &RecordKey, entry: Entry) {
        self.table.set(key, Some(&Arc::new(entry)));
    }

    async fn written(&self, revision: Revision) -> Result<(), InstallerError> {
        let revision = Arc::new(revision);
        self.recent.keep(&revision);
        self.wait(revision.key(), &revision.version).await
    }

    fn encode(&self, record: &Record, stamp: Stamp) -> Result<Secret, InstallerError> {
        record.encode(stamp, self.clock.now()).map_err(|TooLarge(bytes)| InstallerError::TooLarge(bytes))
    }

    async fn patch(&self, key: &RecordKey, patch: &Value, leave: Leave<'_>) -> Result<PartialObjectMeta<Secret>, Denied> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        leave.call(self.api(&key.release).patch_metadata(&key.secret_name(), &params, &Patch::Merge(patch))).await
    }

    fn api(&self, key: &ReleaseKey) -> Api<Secret> {
        Api::namespaced(self.client.clone(), key.namespace.as_str())
    }
}

/// What a record is called in errors.
pub(super) fn title(key: &RecordKey) -> String {
    format!("Secret/{}", key.secret_name())
}

pub(super) fn unreadable(key: &RecordKey, why: &str) -> InstallerError {
    InstallerError::Unreadable(format!("revision {} of release {}: {why}", key.revision, key.release))
}

// === impl History ===

impl History {
    fn sorted(mut heads: Vec<Head>) -> Self {
        heads.sort_by_key(|head| head.key.slot());
        Self(heads)
    }

    pub(super) fn newest(&self) -> Option<&Head> {
        self.0.last()
    }

    pub(super) fn find(&self, number: RevisionNumber) -> Option<&Head> {
        self.0.iter().find(|head| head.key.revision == number)
    }

    /// What all revisions say together.
    pub(super) fn standing(&self) -> Standing {
        Standing::of(self.0.iter().map(|head| (head.key.revision, head.status)))
    }

    /// What has to go so that, with one more, no more than `limit` are left: the oldest, never one in force nor one to go back to.
    pub(super) fn to_cut(&self, limit: usize) -> Vec<&Head> {
        let surplus = (self.0.len() + 1).saturating_sub(limit);
        let needed = self.standing().to_go_back_to();
        let is_free = |head: &&Head| head.status != ReleaseStatus::Deployed && Some(head.key.revision) != needed;
        self.0.iter().filter(is_free).take(surplus).collect()
    }
}

impl Head {
    fn of(item: &PartialObjectMeta<Secret>, release: &ReleaseKey) -> Option<Self> {
        let meta = &item.metadata;
        // The selector is a label that anybody can write; the name is what counts.
        let key = RecordKey::of(meta).filter(|key| key.release == *release)?;
        Some(Self { key, status: status_of(meta), version: meta.resource_version.clone().unwrap_or_default(), uid: meta.uid.clone() })
    }
}

/// The release's own labels, which its next revision carries on.
pub(super) fn carried(newest: Option<&Revision>) -> BTreeMap<String, String> {
    newest.map(|revision| revision.record.labels().clone()).unwrap_or_default()
}
