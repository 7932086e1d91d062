//! What a watch has shown of one kind.

mod feed;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use kube::Resource;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use self::feed::Feed;
use crate::Fault;

/// How long the API server holds a watch open. A connection that died without a word is noticed 5 s after that.
const WATCH_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an adapter's check for the readiness may take, and how far behind its watches may be meanwhile.
pub const CHECK_LIMIT: Duration = Duration::from_secs(2);

/// Names an object of a cache's kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of an object.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Where a cache gets its objects from: one watch per namespace.
pub struct Source<T> {
    /// What the kind is called in messages, in the plural.
    name: &'static str,
    watches: Vec<(String, Watch<T>)>,
}

/// Begins a watch.
type Watch<T> = Box<dyn Fn() -> BoxStream<'static, watcher::Result<Event<T>>> + Send + Sync>;

impl<K> Source<K>
where
    K: Resource + Clone + fmt::Debug + DeserializeOwned + Send + 'static,
{
    /// One API per namespace; the first is of the namespace that must be readable. `Api<PartialObjectMeta<K>>` reads metadata only.
    pub fn new(name: &'static str, apis: Vec<(String, Api<K>)>, config: watcher::Config) -> Self {
        let watch = |api: Api<K>| -> Watch<K> {
            let config = bounded(&config);
            Box::new(move || watcher::watcher(api.clone(), config.clone()).boxed())
        };
        Self { name, watches: apis.into_iter().map(|(namespace, api)| (namespace, watch(api))).collect() }
    }
}

fn bounded(config: &watcher::Config) -> watcher::Config {
    config.clone().timeout(u32::try_from(WATCH_TIMEOUT.as_secs()).unwrap_or(u32::MAX))
}

/// A change that a cache has taken in.
#[derive(Debug)]
pub struct Changed<'a, V> {
    /// Of which object.
    pub key: &'a ObjectKey,
    /// What is kept of it now; none when it is gone.
    pub value: Option<&'a Arc<V>>,
}

/// What a watch has shown of one kind, in all namespaces that are read. Cheap to clone; the watches end with the last clone.
pub struct Cache<V> {
    shared: Arc<Shared<V>>,
    _watches: Arc<Watches>,
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), _watches: Arc::clone(&self._watches) }
    }
}

struct Watches(Vec<AbortHandle>);

impl Drop for Watches {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

struct Shared<V> {
    name: &'static str,
    state: RwLock<State<V>>,
    /// Goes up with each change, so that waiting costs no polling.
    changes: watch::Sender<u64>,
}

struct State<V> {
    entries: HashMap<ObjectKey, Entry<V>>,
    links: Vec<Link>,
}

struct Entry<V> {
    version: String,
    value: Arc<V>,
}

/// An object as it was delivered, and what is kept of it.
struct Seen<V> {
    version: String,
    value: Option<Arc<V>>,
}

/// The state of the watch of one namespace.
struct Link {
    namespace: String,
    synced: bool,
    /// The latest version that was delivered, and that `on_change` was told of: whoever keeps something of its own there may rely on it
    /// once [`Cache::seen`] says so. The same holds for `synced`.
    latest: u64,
    broken: Option<Broken>,
}

struct Broken {
    since: Instant,
    reason: String,
    /// Since when our account is refused, if that is why.
    refused: Option<Instant>,
}

impl<V: Send + Sync + 'static> Cache<V> {
    /// Starts the watches. `fold` makes of an object what is kept of it, none to leave it out; it runs once per version of an object.
    /// `on_change` is called after each change, one at a time per namespace, and must not wait.
    pub fn start<T>(
        source: Source<T>,
        fold: impl Fn(T) -> Option<V> + Send + Sync + 'static,
        on_change: impl Fn(Changed<'_, V>) + Send + Sync + 'static,
    ) -> Self
    where
        T: Resource + Send + 'static,
    {
        let links = source.watches.iter().map(|(namespace, _)| Link::new(namespace)).collect();
        let state = State { entries: HashMap::new(), links };
        let shared = Arc::new(Shared { name: source.name, state: RwLock::new(state), changes: watch::Sender::new(0) });
        let (fold, on_change) = (Arc::new(fold), Arc::new(on_change));
        let watches = source.watches.into_iter().enumerate().map(|(index, (_, watch))| {
            let feed = Feed { shared: Arc::clone(&shared), index, fold: Arc::clone(&fold), on_change: Arc::clone(&on_change) };
            tokio::spawn(feed.run(watch)).abort_handle()
        });
        let watches = Arc::new(Watches(watches.collect()));
        Self { shared, _watches: watches }
    }

    /// What is kept of an object.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<V>> {
        self.read(|state| state.entries.get(key).map(|entry| Arc::clone(&entry.value)))
    }

    /// Everything that is kept, in no order.
    pub fn entries(&self) -> Vec<(ObjectKey, Arc<V>)> {
        self.read(|state| state.entries.iter().map(|(key, entry)| (key.clone(), Arc::clone(&entry.value))).collect())
    }

    /// What is kept of the objects that are asked for, in no order.
    pub fn select(&self, is_wanted: impl Fn(&ObjectKey, &V) -> bool) -> Vec<(ObjectKey, Arc<V>)> {
        self.read(|state| {
            let wanted = state.entries.iter().filter(|(key, entry)| is_wanted(key, &entry.value));
            wanted.map(|(key, entry)| (key.clone(), Arc::clone(&entry.value))).collect()
        })
    }

    /// Whether every namespace was read once. One that our account may not read counts, unless it is the first.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] or [`Fault::Forbidden`] with what stands in the way.
    pub fn synced(&self) -> Result<(), Fault> {
        self.read(|state| {
            let is_passed_over = |index: usize, link: &Link| index > 0 && link.is_forbidden();
            let missing = state.links.iter().enumerate().find(|(index, link)| !link.synced && !is_passed_over(*index, link));
            match missing {
                None => Ok(()),
                Some((_, Link { broken: Some(broken), namespace, .. })) if broken.refused.is_some() => {
                    Err(Fault::Forbidden(format!("{} in namespace {namespace}: {}", self.shared.name, broken.reason)))
                }
                Some((_, link)) => {
                    let reason = link.broken.as_ref().map_or("they are being read", |broken| &broken.reason);
                    Err(Fault::Unavailable(
                        format!("the {} of namespace {} were not read yet: {reason}", self.shared.name, link.namespace).into(),
                    ))
                }
            }
        })
    }

    /// Whether what is kept of the namespace is current: it was read whole, and its watch stands.
    pub fn stands(&self, namespace: &str) -> bool {
        self.read(|state| state.links.iter().any(|link| link.namespace == namespace && link.synced && link.broken.is_none()))
    }

    /// Whether the namespace can be read at all; the reason if not.
    pub fn forbidden(&self, namespace: &str) -> Option<String> {
        self.read(|state| {
            let broken = state.links.iter().find(|link| link.namespace == namespace)?.broken.as_ref()?;
            broken.refused.map(|_| broken.reason.clone())
        })
    }

    /// Since when a watch is broken, and why: what is kept may be that old. None while all stand. A namespace that our account could never
    /// read does not count, for nothing is kept of it; one that it could read before does.
    pub fn behind(&self) -> Option<(Duration, String)> {
        self.read(|state| {
            let kept = state.links.iter().filter(|link| link.synced || !link.is_forbidden());
            let broken = kept.filter_map(|link| link.broken.as_ref());
            broken.min_by_key(|broken| broken.since).map(|broken| (broken.since.elapsed(), broken.reason.clone()))
        })
    }

    /// Waits until everything was read and all watches stand.
    ///
    /// # Errors
    /// As [`Cache::synced`]; [`Fault::Unavailable`] when a watch is still broken at the deadline. One that broke just now is begun anew at once.
    pub async fn current(&self, deadline: Instant) -> Result<(), Fault> {
        let limit = deadline.saturating_duration_since(Instant::now());
        let stood = self.until(limit, || self.synced().is_ok() && self.behind().is_none()).await;
        self.synced().and(stood)
    }

    /// A number that goes up with each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Waits until the cache shows an object at this version or a later one (its absence counts when it was deleted later).
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when it was not seen within `limit`.
    pub async fn seen(&self, key: &ObjectKey, version: &str, limit: Duration) -> Result<(), Fault> {
        self.until(limit, || self.read(|state| state.has_seen(key, version))).await
    }

    /// Waits until an object is gone, or is another one: `is_other` tells.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when it was not seen within `limit`.
    pub async fn gone(&self, key: &ObjectKey, is_other: impl Fn(&V) -> bool, limit: Duration) -> Result<(), Fault> {
        self.until(limit, || self.get(key).is_none_or(|value| is_other(&value))).await
    }

    /// Waits until something holds; it is asked again after each change.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when it did not hold within `limit`.
    pub async fn until(&self, limit: Duration, holds: impl Fn() -> bool) -> Result<(), Fault> {
        let mut changes = self.changes();
        // The sender lives as long as this cache.
        let wait = changes.wait_for(|_| holds());
        match timeout(limit, wait).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let why = self.behind().map_or_else(|| "no event came".to_owned(), |(_, reason)| reason);
                Err(Fault::Unavailable(format!("the watch of the {} is behind: {why}", self.shared.name).into()))
            }
        }
    }

    fn read<R>(&self, read: impl FnOnce(&State<V>) -> R) -> R {
        self.shared.read(read)
    }
}

impl<V> Shared<V> {
    fn read<R>(&self, read: impl FnOnce(&State<V>) -> R) -> R {
        // Each write leaves the state whole, so one that panicked has done no harm.
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, write: impl FnOnce(&mut State<V>) -> R) -> R {
        write(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<V> State<V> {
    fn has_seen(&self, key: &ObjectKey, version: &str) -> bool {
        let Ok(wanted) = version.parse::<u64>() else { return false };
        let latest = self.links.iter().find(|link| link.namespace == key.namespace).map_or(0, |link| link.latest);
        latest >= wanted
    }
}

impl Link {
    fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), synced: false, latest: 0, broken: None }
    }

    fn is_forbidden(&self) -> bool {
        self.broken.as_ref().is_some_and(|broken| broken.refused.is_some())
    }
}

/// A version as a number; 0 for one that is none, which the API excludes.
fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests;
