//! Feeding a cache: one watch of one namespace, begun anew whenever it breaks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::StreamExt as _;
use kube::Resource;
use kube::runtime::watcher::{self, Event};
use tokio::time::{Instant, sleep, timeout};

use super::{Broken, Changed, Entry, ObjectKey, Seen, Shared, State, WATCH_TIMEOUT, Watch, number};
use crate::fault::chain;

/// How long one page of a list may take. It may have 500 objects of 1 MiB; but most have few kilobytes, and a request whose answer was lost
/// must not hold up a start for that long. So it is short at first, and twice as long after each page that did not come in time.
pub(super) const FIRST_PAGE_LIMIT: Duration = Duration::from_secs(10);
const LONGEST_PAGE_LIMIT: Duration = Duration::from_secs(60);
/// The pauses between two tries of a watch that broke.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The same while our account could never read the kind. The first are as short as any: a Role that was just made is not known at once.
const LONGEST_FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);
/// For how long our account may be refused what it could read before: an API server that starts knows no roles at first.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(60);

/// How a watch broke.
struct End {
    reason: String,
    /// Whether for lack of a right.
    forbidden: bool,
    /// Whether it had shown everything.
    was_synced: bool,
    /// Whether there was an answer in time.
    in_time: bool,
}

/// Feeds the cache from the watch of one namespace.
pub(super) struct Feed<V, F, C> {
    pub(super) shared: Arc<Shared<V>>,
    pub(super) index: usize,
    pub(super) fold: Arc<F>,
    pub(super) on_change: Arc<C>,
}

impl<V, F, C> Feed<V, F, C>
where
    V: Send + Sync + 'static,
    C: Fn(Changed<'_, V>) + Send + Sync + 'static,
{
    pub(super) async fn run<T>(self, watch: Watch<T>)
    where
        T: Resource + Send + 'static,
        F: Fn(T) -> Option<V> + Send + Sync + 'static,
    {
        let mut pause = FIRST_PAUSE;
        let mut page_limit = FIRST_PAGE_LIMIT;
        loop {
            let End { reason, forbidden, was_synced, in_time } = self.follow(&watch, page_limit).await;
            if was_synced {
                pause = FIRST_PAUSE;
            } else if !in_time {
                // Kept from then on: a list that is slow today is so at the next break too.
                page_limit = (page_limit * 2).min(LONGEST_PAGE_LIMIT);
            }
            self.note_broken(reason, forbidden);
            self.forget_what_is_lost();
            let never_read = self.shared.read(|state| !state.links[self.index].synced);
            let longest = if forbidden && never_read { LONGEST_FORBIDDEN_PAUSE } else { LONGEST_PAUSE };
            sleep(pause.min(longest)).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Follows one watch until it breaks.
    ///
    /// A watch that broke is not resumed but begun anew with a list: only then is it known that it stands again, and nothing can be
    /// missed. What did not change keeps its folded value.
    async fn follow<T>(&self, watch: &Watch<T>, page_limit: Duration) -> End
    where
        T: Resource + Send + 'static,
        F: Fn(T) -> Option<V> + Send + Sync + 'static,
    {
        let mut events = watch();
        let mut listed: HashMap<ObjectKey, Seen<V>> = HashMap::new();
        let mut synced = false;
        loop {
            // A list has no limit of its own; a watch that stands ends by the server's.
            let limit = if synced { WATCH_TIMEOUT * 10 } else { page_limit };
            let end = |reason, forbidden, in_time| End { reason, forbidden, was_synced: synced, in_time };
            let event = match timeout(limit, events.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return end(describe(&error), is_forbidden(&error), true),
                Ok(None) => return end("the watch ended".to_owned(), false, true),
                // A quiet kind is no fault: the watcher renews the watch by itself and says nothing of it.
                Err(_) if synced => continue,
                Err(_) => return end("no answer from the API server".to_owned(), false, false),
            };
            match event {
                Event::Init => listed.clear(),
                Event::InitApply(object) => listed.extend(self.fold(object)),
                Event::InitDone => {
                    self.replace(std::mem::take(&mut listed));
                    synced = true;
                }
                Event::Apply(object) => {
                    if let Some((key, seen)) = self.fold(object) {
                        self.set(&key, seen);
                    }
                }
                Event::Delete(object) => {
                    let version = object.meta().resource_version.clone().unwrap_or_default();
                    self.set(&self.key_of(&object), Seen { version, value: None });
                }
            }
        }
    }

    fn key_of<T: Resource>(&self, object: &T) -> ObjectKey {
        let meta = object.meta();
        ObjectKey::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }

    /// What is kept of an object: as before when its version is the same. None when it has no version, which the API excludes.
    fn fold<T>(&self, object: T) -> Option<(ObjectKey, Seen<V>)>
    where
        T: Resource,
        F: Fn(T) -> Option<V>,
    {
        let key = self.key_of(&object);
        let version = object.meta().resource_version.clone()?;
        let known = self.shared.read(|state| {
            let entry = state.entries.get(&key).filter(|entry| entry.version == version)?;
            Some(Arc::clone(&entry.value))
        });
        let value = known.or_else(|| (self.fold)(object).map(Arc::new));
        Some((key, Seen { version, value }))
    }

    /// Takes in a complete list: what it does not have is gone.
    fn replace(&self, listed: HashMap<ObjectKey, Seen<V>>) {
        let (changed, latest) = self.shared.write(|state| {
            let State { entries, links } = state;
            let namespace = &links[self.index].namespace;
            let is_listed = |key: &ObjectKey| listed.get(key).is_some_and(|seen| seen.value.is_some());
            let mut changed: Vec<_> =
                entries.keys().filter(|key| key.namespace == *namespace && !is_listed(key)).map(|key| (key.clone(), None)).collect();
            for (key, _) in &changed {
                entries.remove(key);
            }
            let mut latest = 0;
            for (key, Seen { version, value }) in listed {
                latest = latest.max(number(&version));
                let Some(value) = value else { continue };
                if entries.get(&key).is_none_or(|entry| entry.version != version) {
                    changed.push((key.clone(), Some(Arc::clone(&value))));
                    entries.insert(key, Entry { version, value });
                }
            }
            (changed, latest)
        });
        for (key, value) in &changed {
            (self.on_change)(Changed { key, value: value.as_ref() });
        }
        self.shared.write(|state| {
            let link = &mut state.links[self.index];
            link.synced = true;
            link.broken = None;
            link.latest = link.latest.max(latest);
        });
        self.bump();
    }

    /// Takes in one object.
    fn set(&self, key: &ObjectKey, seen: Seen<V>) {
        let Seen { version, value } = seen;
        let version_number = number(&version);
        let before = self.shared.write(|state| match value.clone() {
            Some(value) => state.entries.insert(key.clone(), Entry { version, value }),
            None => state.entries.remove(key),
        });
        if value.is_some() || before.is_some() {
            (self.on_change)(Changed { key, value: value.as_ref() });
        }
        self.shared.write(|state| {
            let link = &mut state.links[self.index];
            link.latest = link.latest.max(version_number);
        });
        self.bump();
    }

    fn note_broken(&self, reason: String, forbidden: bool) {
        let first = self.shared.write(|state| {
            let link = &mut state.links[self.index];
            let first = link.broken.is_none();
            let now = Instant::now();
            let (since, refused) = link.broken.as_ref().map_or((now, None), |broken| (broken.since, broken.refused));
            link.broken = Some(Broken { since, reason: reason.clone(), refused: forbidden.then(|| refused.unwrap_or(now)) });
            first.then(|| link.namespace.clone())
        });
        if let Some(namespace) = first {
            tracing::warn!(kind = self.shared.name, namespace, reason, "a watch broke; it is begun anew until it stands");
        }
        self.bump();
    }

    /// A namespace whose right is lost for good is as one that could never be read: else it would keep all others from being current. Not the
    /// first one, without which nothing works.
    fn forget_what_is_lost(&self) {
        let gone: Vec<ObjectKey> = self.shared.write(|state| {
            let State { entries, links } = state;
            let link = &mut links[self.index];
            let refused = link.broken.as_ref().and_then(|broken| broken.refused);
            if self.index == 0 || !link.synced || refused.is_none_or(|since| since.elapsed() < LOST_AFTER) {
                return Vec::new();
            }
            link.synced = false;
            let gone: Vec<_> = entries.keys().filter(|key| key.namespace == link.namespace).cloned().collect();
            gone.iter().for_each(|key| drop(entries.remove(key)));
            gone
        });
        for key in &gone {
            (self.on_change)(Changed { key, value: None });
        }
        self.bump();
    }

    fn bump(&self) {
        self.shared.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

fn describe(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(source) | watcher::Error::WatchStartFailed(source) | watcher::Error::WatchFailed(source) => {
            match source {
                // Its own words; the error's are those and all fields of the status.
                kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
                source => chain(source),
            }
        }
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            status.is_forbidden()
        }
        _ => false,
    }
}
