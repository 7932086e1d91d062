//! The port to the operation records: one Secret per release in the home namespace.

mod codec;
mod lease;
mod secrets;
mod server_clock;
mod watches;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dbt_controller_domain::ReleaseName;
use dbt_controller_domain::model::{HolderId, Namespace, OperationId, OperationRecord};
use dbt_controller_domain::ports::{OperationStore, RefusalKind, StoreError, StoredRecord, Version};
use dbt_controller_kube_access::{CHECK_LIMIT, Cache, Changed, Fault, ObjectKey, Source};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use kube::runtime::watcher;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use self::codec::{BY_HAND, Stored};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::codec::{decode, encode};
use self::lease::{Home, Leadership};
use self::secrets::{DATA_KEY, Secrets, TYPE};
use self::server_clock::ServerClock;
use self::watches::Watches;

/// The most bytes of a record: a Secret may have 1 MiB.
const SIZE_LIMIT: usize = 900 * 1024;
/// How many records are kept beside the cache. One that is forgotten too early costs a request.
const RECENT: usize = 64;

/// How the store works.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// How long a single call may take, the wait for its effect included: S/3.
    pub call_limit: Duration,
    /// What this replica is called in the Lease; no other process may have this name at the same time.
    pub instance: String,
}

impl StoreSettings {
    /// Settings for a lock that is stale after this time (`LOCK_STALE_AFTER`), and a name of chance.
    pub fn new(lock_stale_after: Duration) -> Self {
        Self { call_limit: lock_stale_after / 3, instance: Uuid::now_v7().to_string() }
    }
}

/// Operation records in Secrets of a cluster.
///
/// Reads and writes go to the API server one request each; lists and watches are answered from what a watch has shown. A write returns
/// when the watch has shown it. All tasks end when this is dropped.
///
/// Records are dated by the API server's clock: whoever changes `running` writes what that clock shows, as far as its answers tell.
/// Writers date late and readers read the clock early, so a lock never looks older than it is.
pub struct KubeOperationStore {
    namespace: Namespace,
    limit: Duration,
    clock: Arc<ServerClock>,
    secrets: Secrets,
    cache: Cache<Content>,
    /// What was read since the cache has last seen it.
    recent: Arc<Mutex<HashMap<ReleaseName, Arc<Kept>>>>,
    watches: Arc<Watches>,
    leadership: Leadership,
}

/// A record in the store.
#[derive(Debug)]
struct Kept {
    version: String,
    stored: Stored,
}

/// What an object of the store holds; the reason where it cannot be read.
type Content = Result<Arc<Kept>, String>;

impl KubeOperationStore {
    /// Begins to watch the records of the home namespace and to stand for the background work. Makes no request itself.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(client: Client, home: &Namespace, settings: StoreSettings) -> Self {
        let StoreSettings { call_limit, instance } = settings;
        let clock = Arc::new(ServerClock::new());
        let secrets = Secrets::new(client.clone(), home.clone(), Arc::clone(&clock));
        let recent: Arc<Mutex<HashMap<ReleaseName, Arc<Kept>>>> = Arc::default();
        let watches = Arc::new(Watches::default());
        let apis = vec![(home.to_string(), Api::<Secret>::namespaced(client.clone(), home.as_str()))];
        let source = Source::new("operation records", apis, watcher::Config::default().fields(&format!("type={TYPE}")));
        let (shown, known) = (Arc::clone(&watches), Arc::clone(&recent));
        let on_change = move |changed: Changed<'_, Content>| {
            let Some(release) = release_of(&changed.key.name) else { return };
            let record = changed.value.and_then(|content| content.as_ref().as_ref().ok()).map(|kept| Arc::clone(&kept.stored.record));
            lock(&known).remove(&release);
            shown.show(&release, record);
        };
        let cache = Cache::start(source, |secret| Some(content(secret)), on_change);
        let leadership = Leadership::start(client, home, instance, secrets.clone());
        Self { namespace: home.clone(), limit: call_limit, clock, secrets, cache, recent, watches, leadership }
    }

    /// Whether everything was read once, from a namespace that is there: the watch of one that does not exist shows no record, as that of one
    /// in which none was written yet.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn synced(&self) -> Result<(), Fault> {
        self.cache.synced()?;
        match self.leadership.home() {
            Home::There => Ok(()),
            Home::Missing(reason) => Err(Fault::NamespaceMissing(reason)),
            Home::Unknown => Err(Fault::Unavailable("it is not known yet whether the service's own namespace is there".into())),
        }
    }

    /// Gives up the background work, so that another replica takes it at once and not only when the Lease is stale. For the end of the
    /// process: this replica does not stand again.
    pub async fn resign(&self) {
        self.leadership.resign().await;
    }

    fn key(&self, release: &ReleaseName) -> ObjectKey {
        ObjectKey::new(self.namespace.as_str(), release.operation_object_name())
    }

    fn stored(&self, kept: &Kept) -> StoredRecord {
        let Kept { version, stored: Stored { lock_at, record } } = kept;
        // Before the first answer nothing is known of the clock; a lock is then taken for young.
        let lock_age = lock_at.filter(|_| record.running.is_some()).and_then(|at| self.clock.age(at)).unwrap_or_default();
        StoredRecord { record: Arc::clone(record), version: Version(version.clone()), lock_age }
    }

    async fn get(&self, release: &ReleaseName, limit: Duration) -> Result<Option<Arc<Kept>>, StoreError> {
        let name = release.operation_object_name();
        let Some(secret) = self.secrets.get(&name, limit).await.map_err(store_error)? else { return Ok(None) };
        content(secret).map(Some).map_err(|reason| StoreError::Unreadable(format!("Secret `{name}`: {reason}")))
    }

    /// Keeps what was read until the watch has shown it. What was deleted meanwhile is never shown, so it has to go by itself.
    fn remember(&self, release: &ReleaseName, kept: &Arc<Kept>) {
        let mut recent = lock(&self.recent);
        if recent.len() >= RECENT {
            recent.clear();
        }
        recent.insert(release.clone(), Arc::clone(kept));
    }

    /// The record of this version: what it was is needed to tell whether the lock changes.
    async fn before(&self, release: &ReleaseName, version: &Version, limit: Duration) -> Result<Arc<Kept>, StoreError> {
        let cached = self.cache.get(&self.key(release)).and_then(|content| content.as_ref().as_ref().ok().cloned());
        let recent = lock(&self.recent).get(release).cloned();
        if let Some(known) = [cached, recent].into_iter().flatten().find(|kept| kept.version == version.0) {
            return Ok(known);
        }
        let present = self.get(release, limit).await?;
        present.filter(|kept| kept.version == version.0).ok_or(StoreError::Conflict)
    }

    /// When the lock of a record that is going to be written was taken or renewed.
    async fn lock_at(&self, record: &OperationRecord, before: Option<&Kept>, limit: Duration) -> Result<Option<Timestamp>, StoreError> {
        let Some(lock) = Lock::of(record) else { return Ok(None) };
        match before.filter(|before| Lock::of(&before.stored.record).as_ref() == Some(&lock)) {
            Some(before) => Ok(before.stored.lock_at),
            None => Ok(Some(self.secrets.time(limit).await.map_err(store_error)?.latest)),
        }
    }
}

#[async_trait]
impl OperationStore for KubeOperationStore {
    async fn read(&self, release: &ReleaseName) -> Result<Option<StoredRecord>, StoreError> {
        let Some(kept) = self.get(release, self.limit).await? else { return Ok(None) };
        self.remember(release, &kept);
        Ok(Some(self.stored(&kept)))
    }

    async fn compare_and_swap(
        &self,
        release: &ReleaseName,
        expected: Option<Version>,
        record: Arc<OperationRecord>,
    ) -> Result<Version, StoreError> {
        let deadline = Instant::now() + self.limit;
        let rest = || deadline.saturating_duration_since(Instant::now());
        let before = match &expected {
            Some(version) => Some(self.before(release, version, rest()).await?),
            None => None,
        };
        let lock_at = self.lock_at(&record, before.as_deref(), rest()).await?;
        let data = codec::encode(&Stored { lock_at, record }).map_err(|error| StoreError::Unexpected(error.into()))?;
        if data.len() > SIZE_LIMIT {
            return Err(StoreError::TooLarge(data.len()));
        }
        let size = data.len();
        let version = expected.as_ref().map(|version| version.0.as_str());
        let written = match self.secrets.put(&release.operation_object_name(), version, data, rest()).await {
            Ok(version) => version,
            Err(Fault::Conflict(_) | Fault::AlreadyExists(_) | Fault::NotFound(_)) => return Err(StoreError::Conflict),
            Err(Fault::TooLarge(_)) => return Err(StoreError::TooLarge(size)),
            Err(fault) => return Err(store_error(fault)),
        };
        // Where the watch is behind, it is "unknown whether it was written": whoever reads again finds it.
        self.cache.seen(&self.key(release), &written, rest()).await.map_err(store_error)?;
        Ok(Version(written))
    }

    async fn remove(&self, release: &ReleaseName, expected: Version) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.limit;
        match self.secrets.delete(&release.operation_object_name(), &expected.0, self.limit).await {
            Ok(()) | Err(Fault::NotFound(_)) => {}
            Err(Fault::Conflict(_)) => return Err(StoreError::Conflict),
            Err(fault) => return Err(store_error(fault)),
        }
        let is_other = |content: &Content| content.as_ref().is_ok_and(|kept| kept.version != expected.0);
        let rest = deadline.saturating_duration_since(Instant::now());
        self.cache.gone(&self.key(release), is_other, rest).await.map_err(store_error)
    }

    async fn list(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.synced().map_err(store_error)?;
        // What cannot be read was told when it came in; it must not hide the others.
        let readable = self.cache.entries().into_iter().filter_map(|(_, content)| content.as_ref().as_ref().ok().cloned());
        Ok(readable.map(|kept| self.stored(&kept)).collect())
    }

    fn behind(&self) -> Option<Duration> {
        // What was never read is not current either.
        let unread = self.cache.synced().is_err().then_some(Duration::ZERO);
        self.cache.behind().map(|(since, _)| since).or(unread)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let current = self.cache.current(Instant::now() + CHECK_LIMIT).await;
        self.synced().and(current).map_err(store_error)
    }

    /// Before everything was read once, and for a record that cannot be read, a watch shows none. In the first case its sender is gone,
    /// so whoever watches comes back.
    async fn watch(&self, release: &ReleaseName) -> watch::Receiver<Option<Arc<OperationRecord>>> {
        if self.cache.until(self.limit, || self.cache.synced().is_ok()).await.is_err() {
            return watch::channel(None).1;
        }
        self.watches.watch(release, || {
            let content = self.cache.get(&self.key(release))?;
            content.as_ref().as_ref().ok().map(|kept| Arc::clone(&kept.stored.record))
        })
    }

    fn leadership(&self) -> watch::Receiver<bool> {
        self.leadership.watch()
    }
}

/// What makes a lock another or a renewed one.
#[derive(PartialEq)]
struct Lock<'a> {
    id: &'a OperationId,
    holder: &'a HolderId,
    renewal: u64,
}

impl<'a> Lock<'a> {
    fn of(record: &'a OperationRecord) -> Option<Self> {
        let running = record.running.as_ref()?;
        Some(Self { id: &running.info.id, holder: &running.holder, renewal: running.renewal })
    }
}

/// What a Secret of the store holds. What cannot be read is told here, once per version.
fn content(secret: Secret) -> Content {
    let name = secret.metadata.name.unwrap_or_default();
    let decoded = match secret.data.as_ref().and_then(|data| data.get(DATA_KEY)) {
        Some(data) => codec::decode(&data.0).map_err(|error| error.to_string()),
        None => Err(format!("it has no data `{DATA_KEY}`; {BY_HAND}")),
    };
    let stored = decoded.and_then(|stored| match release_of(&name) {
        Some(release) if release == stored.record.key.name => Ok(stored),
        _ => Err(format!("it holds the record of another release; {BY_HAND}")),
    });
    match stored {
        Ok(stored) => Ok(Arc::new(Kept { version: secret.metadata.resource_version.unwrap_or_default(), stored })),
        Err(reason) => {
            tracing::error!(secret = name, reason, "an operation record cannot be read; its release can be neither changed nor removed");
            Err(reason)
        }
    }
}

fn release_of(object: &str) -> Option<ReleaseName> {
    let (_, release) = object.split_once('.')?;
    let release: ReleaseName = release.parse().ok()?;
    (release.operation_object_name() == object).then_some(release)
}

fn store_error(fault: Fault) -> StoreError {
    match fault {
        Fault::Unavailable(source) => StoreError::Unavailable(source),
        // A conflict of a write is told apart before; a read has none of its own.
        Fault::Unauthorized(_) | Fault::Webhook(_) | Fault::Conflict(_) | Fault::OtherUid(_) => StoreError::Unavailable(fault.into()),
        Fault::Forbidden(message) => StoreError::Forbidden(message),
        Fault::NamespaceMissing(message) => StoreError::NamespaceMissing(message),
        Fault::Quota(message) => StoreError::Refused { kind: RefusalKind::Quota, message },
        Fault::Refused(message) => StoreError::Refused { kind: RefusalKind::Admission, message },
        Fault::NotFound(_) | Fault::AlreadyExists(_) | Fault::TooLarge(_) => StoreError::Unexpected(fault.into()),
        Fault::Unexpected(source) => StoreError::Unexpected(source),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map whose entries are replaced whole; a panic elsewhere cannot leave it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
