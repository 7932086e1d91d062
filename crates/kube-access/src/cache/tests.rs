//! Each test plays the API server by a channel of watch events.

use std::sync::Mutex;

use futures_util::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use tokio::sync::mpsc;

use super::feed::{FIRST_PAGE_LIMIT, LOST_AFTER};
use super::*;

type Events = mpsc::UnboundedSender<watcher::Result<Event<ConfigMap>>>;

const LIMIT: Duration = Duration::from_secs(5);

/// A source whose n-th watch is fed by the n-th channel; when there is no further one, the watch stays silent.
fn played(watches: usize) -> (Source<ConfigMap>, Vec<Events>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..watches).map(|_| mpsc::unbounded_channel()).unzip();
    let receivers = Mutex::new(receivers.into_iter());
    let watch: Watch<ConfigMap> = Box::new(move || match receivers.lock().unwrap().next() {
        Some(receiver) => {
            stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|event| (event, receiver)) }).boxed()
        }
        None => stream::pending().boxed(),
    });
    (Source { name: "ConfigMaps", watches: vec![("ns".to_owned(), watch)] }, senders)
}

fn object(name: &str, version: u64) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("ns".to_owned());
    object.metadata.name = Some(name.to_owned());
    object.metadata.resource_version = Some(version.to_string());
    object
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

/// Keeps of each object its version, and counts how often it had to look at one.
fn start(source: Source<ConfigMap>) -> (Cache<String>, Arc<Mutex<Vec<String>>>) {
    let folded = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&folded);
    let fold = move |object: ConfigMap| {
        let name = object.metadata.name.unwrap_or_default();
        log.lock().unwrap().push(name.clone());
        (name != "left-out").then(|| object.metadata.resource_version.unwrap_or_default())
    };
    (Cache::start(source, fold, |_| ()), folded)
}

fn list(events: &Events, objects: &[(&str, u64)]) {
    events.send(Ok(Event::Init)).unwrap();
    for (name, version) in objects {
        events.send(Ok(Event::InitApply(object(name, *version)))).unwrap();
    }
    events.send(Ok(Event::InitDone)).unwrap();
}

fn forbidden() -> watcher::Error {
    let status = kube::core::Status::failure("no", "Forbidden").with_code(403);
    watcher::Error::InitialListFailed(kube::Error::Api(status.boxed()))
}

#[tokio::test(start_paused = true)]
async fn a_cache_is_synced_once_the_whole_list_came() {
    let (source, events) = played(1);
    let (cache, _) = start(source);
    assert!(matches!(cache.synced(), Err(Fault::Unavailable(_))));
    list(&events[0], &[("a", 1), ("left-out", 2)]);
    cache.until(LIMIT, || cache.synced().is_ok()).await.unwrap();
    assert_eq!(cache.get(&key("a")).as_deref().map(String::as_str), Some("1"));
    assert!(cache.get(&key("left-out")).is_none());
    assert_eq!(cache.entries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_seen_at_its_version_or_a_later_one_of_the_kind() {
    let (source, events) = played(1);
    let (cache, _) = start(source);
    list(&events[0], &[("a", 5)]);
    cache.seen(&key("a"), "5", LIMIT).await.unwrap();
    assert!(cache.seen(&key("a"), "7", LIMIT).await.is_err());
    // A later event of another object proves that this one's came before.
    events[0].send(Ok(Event::Apply(object("b", 8)))).unwrap();
    cache.seen(&key("a"), "7", LIMIT).await.unwrap();
    events[0].send(Ok(Event::Delete(object("a", 9)))).unwrap();
    cache.gone(&key("a"), |_| false, LIMIT).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_right_was_lost_is_old() {
    let (source, events) = played(2);
    let (cache, _) = start(source);
    assert!(!cache.stands("ns"), "nothing was read yet");
    list(&events[0], &[("a", 1)]);
    cache.until(LIMIT, || cache.stands("ns")).await.unwrap();
    let lost = kube::core::Status::failure("no", "Forbidden").with_code(403);
    events[0].send(Err(watcher::Error::WatchStartFailed(kube::Error::Api(lost.boxed())))).unwrap();
    cache.until(LIMIT, || cache.behind().is_some()).await.unwrap();
    assert!(!cache.stands("ns") && cache.get(&key("a")).is_some());
    // An API server that does not know its roles yet does so a moment later.
    list(&events[1], &[("a", 2)]);
    cache.until(LIMIT, || cache.stands("ns")).await.unwrap();
    assert!(cache.behind().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_whose_right_is_lost_for_good_does_not_hold_up_the_others() {
    let (mut source, home) = played(1);
    let watches = Mutex::new(0);
    let lost = move || {
        let status = kube::core::Status::failure("no", "Forbidden").with_code(403);
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status.boxed())))
    };
    // The other namespace can be read once, and is refused from then on.
    let watch: Watch<ConfigMap> = Box::new(move || {
        let mut watches = watches.lock().unwrap();
        *watches += 1;
        let mut object = object("b", 1);
        object.metadata.namespace = Some("other".to_owned());
        match *watches {
            1 => stream::iter([Ok(Event::Init), Ok(Event::InitApply(object)), Ok(Event::InitDone), lost()]).boxed(),
            _ => stream::iter([lost()]).boxed(),
        }
    });
    source.watches.push(("other".to_owned(), watch));
    let (cache, _) = start(source);
    list(&home[0], &[("a", 1)]);
    let kept = ObjectKey::new("other", "b");
    cache.until(LIMIT, || cache.get(&kept).is_some()).await.unwrap();
    tokio::time::sleep(LOST_AFTER / 2).await;
    assert!(cache.behind().is_some() && cache.get(&kept).is_some(), "it may come back");
    tokio::time::sleep(LOST_AFTER).await;
    assert!(cache.get(&kept).is_none() && cache.behind().is_none() && cache.synced().is_ok());
    assert!(cache.forbidden("other").is_some() && cache.get(&key("a")).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_seen_was_told_before() {
    let (source, events) = played(1);
    let told = Arc::new(Mutex::new(0_u64));
    let slow = Arc::clone(&told);
    let on_change = move |changed: Changed<'_, u64>| {
        std::thread::sleep(Duration::from_millis(20));
        *slow.lock().unwrap() = changed.value.map_or(0, |version| **version);
    };
    let fold = |object: ConfigMap| object.metadata.resource_version.and_then(|version| version.parse().ok());
    let cache = Cache::start(source, fold, on_change);
    list(&events[0], &[("a", 5)]);
    cache.until(LIMIT, || cache.synced().is_ok()).await.unwrap();
    assert_eq!(*told.lock().unwrap(), 5);
    for version in 6..10 {
        events[0].send(Ok(Event::Apply(object("a", version)))).unwrap();
        cache.seen(&key("a"), &version.to_string(), LIMIT).await.unwrap();
        assert_eq!(*told.lock().unwrap(), version);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_is_told_and_begun_anew_without_losing_what_is_known() {
    let (source, mut events) = played(2);
    let (cache, folded) = start(source);
    let second = events.pop().unwrap();
    let first = events.pop().unwrap();
    list(&first, &[("a", 1), ("b", 2)]);
    cache.until(LIMIT, || cache.synced().is_ok()).await.unwrap();
    drop(first);
    cache.until(LIMIT, || cache.behind().is_some()).await.unwrap();
    assert!(cache.synced().is_ok(), "what is known stays readable");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (age, reason) = cache.behind().unwrap();
    assert!(age >= Duration::from_secs(10), "{age:?}");
    assert_eq!(reason, "the watch ended");
    // `a` went while nobody looked, `b` stayed as it was, `c` is new.
    list(&second, &[("b", 2), ("c", 4)]);
    cache.until(LIMIT, || cache.behind().is_none()).await.unwrap();
    assert!(cache.get(&key("a")).is_none());
    assert!(cache.get(&key("c")).is_some());
    assert_eq!(*folded.lock().unwrap(), ["a", "b", "c"], "one fold per version");
}

/// The API server has forgotten the version at which the watch stood: what happened since then is never told.
#[tokio::test(start_paused = true)]
async fn a_watch_whose_version_is_too_old_is_begun_anew_with_a_list() {
    let (source, events) = played(2);
    let (cache, _) = start(source);
    list(&events[0], &[("a", 1), ("b", 2)]);
    cache.until(LIMIT, || cache.stands("ns")).await.unwrap();
    let expired = kube::core::Status::failure("too old resource version: 2 (9)", "Expired").with_code(410);
    events[0].send(Err(watcher::Error::WatchError(expired.boxed()))).unwrap();
    cache.until(LIMIT, || cache.behind().is_some()).await.unwrap();
    assert_eq!(cache.behind().unwrap().1, "too old resource version: 2 (9)");
    assert!(!cache.stands("ns") && cache.get(&key("a")).is_some());
    // Whatever the watch that broke would say is nobody's any more.
    let _ = events[0].send(Ok(Event::Apply(object("late", 3))));

    list(&events[1], &[("b", 8)]);
    cache.until(LIMIT, || cache.stands("ns")).await.unwrap();
    assert!(cache.get(&key("a")).is_none(), "it was deleted meanwhile");
    assert_eq!(cache.get(&key("b")).as_deref().map(String::as_str), Some("8"));
    assert!(cache.get(&key("late")).is_none() && cache.behind().is_none());
    events[1].send(Ok(Event::Apply(object("c", 9)))).unwrap();
    cache.seen(&key("c"), "9", LIMIT).await.unwrap();
    assert!(cache.get(&key("c")).is_some(), "and it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_never_comes_is_given_up() {
    let (source, events) = played(1);
    let (cache, _) = start(source);
    events[0].send(Ok(Event::Init)).unwrap();
    cache.until(FIRST_PAGE_LIMIT * 2, || cache.behind().is_some()).await.unwrap();
    assert_eq!(cache.behind().unwrap().1, "no answer from the API server");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_slow_to_come_gets_more_time_with_each_try() {
    let tries = Arc::new(Mutex::new(0));
    let count = Arc::clone(&tries);
    let watch: Watch<ConfigMap> = Box::new(move || {
        *count.lock().unwrap() += 1;
        let page = || stream::iter([Ok(Event::Init), Ok(Event::InitApply(object("a", 1))), Ok(Event::InitDone)]);
        let slow = stream::once(tokio::time::sleep(Duration::from_secs(45))).flat_map(move |()| page());
        slow.chain(stream::pending()).boxed()
    });
    let (cache, _) = start(Source { name: "ConfigMaps", watches: vec![("ns".to_owned(), watch)] });
    cache.until(Duration::from_secs(130), || cache.synced().is_ok()).await.unwrap();
    assert_eq!(*tries.lock().unwrap(), 4, "after 10, 20 and 40 s");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_broke_is_current_again_when_it_stands_within_the_time_given() {
    let (source, events) = played(2);
    let (cache, _) = start(source);
    let soon = || Instant::now() + CHECK_LIMIT;
    assert!(matches!(cache.current(soon()).await, Err(Fault::Unavailable(_))), "nothing was read yet");
    list(&events[0], &[("a", 1)]);
    cache.current(soon()).await.unwrap();
    events[0].send(Err(watcher::Error::NoResourceVersion)).unwrap();
    cache.until(LIMIT, || cache.behind().is_some()).await.unwrap();
    assert!(matches!(cache.current(soon()).await, Err(Fault::Unavailable(_))), "it stays broken");
    list(&events[1], &[("a", 1)]);
    cache.current(soon()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_is_not_broken() {
    let (source, events) = played(1);
    let (cache, _) = start(source);
    list(&events[0], &[("a", 1)]);
    tokio::time::sleep(WATCH_TIMEOUT * 100).await;
    assert!(cache.behind().is_none() && cache.synced().is_ok());
}

#[tokio::test(start_paused = true)]
async fn only_the_first_namespace_must_be_readable() {
    let (mut source, events) = played(1);
    let (second, second_events) = played(1);
    source.watches.extend(second.watches.into_iter().map(|(_, watch)| ("other".to_owned(), watch)));
    let (cache, _) = start(source);
    second_events[0].send(Err(forbidden())).unwrap();
    list(&events[0], &[]);
    cache.until(LIMIT, || cache.forbidden("other").is_some()).await.unwrap();
    assert!(cache.synced().is_ok());
    assert_eq!(cache.forbidden("other").unwrap(), "no", "the API server's own words, and no more");
    assert!(cache.behind().is_none(), "what may not be read is not behind");

    let (source, events) = played(1);
    let (cache, _) = start(source);
    events[0].send(Err(forbidden())).unwrap();
    cache.until(LIMIT, || matches!(cache.synced(), Err(Fault::Forbidden(_)))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_role_that_was_just_made_is_not_waited_for_long() {
    let (source, events) = played(3);
    let (cache, _) = start(source);
    events[0].send(Err(forbidden())).unwrap();
    events[1].send(Err(forbidden())).unwrap();
    list(&events[2], &[("a", 1)]);
    cache.until(Duration::from_secs(1), || cache.synced().is_ok()).await.unwrap();
}
