//! What the watches show of the objects that releases have: their metadata.

use std::collections::BTreeMap;
use std::time::Duration;

use dbt_controller_domain::model::ReleaseKey;
use dbt_controller_kube_access::{Cache, Fault, ObjectKey, Source, helm_release_of};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::watcher;
use tokio::time::Instant;

use super::kinds::{self, Kind};
use super::managers;
use crate::Gateway;

/// Keeps an object when its release goes. Helm's value for it is `keep`; any other means nothing.
const RESOURCE_POLICY: (&str, &str) = ("helm.sh/resource-policy", "keep");
/// What cert-manager puts on the Secrets that it makes: the name of the Certificate.
const CERTIFICATE: &str = "cert-manager.io/certificate-name";

/// What is kept of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) uid: String,
    pub(super) version: String,
    /// The release in Helm's annotations: namespace and name.
    release: Option<(String, String)>,
    /// Whether it is being deleted and only waits for somebody's finalizer.
    pub(super) is_leaving: bool,
    pub(super) is_kept: bool,
    /// See [`managers::need_merge`].
    pub(super) needs_merge: bool,
    /// See [`managers::applied`].
    pub(super) applied: Option<String>,
    /// The Certificate that cert-manager made it for.
    pub(super) certificate: Option<String>,
}

/// The objects of all releases.
pub(super) struct Objects {
    /// In the order in which Helm installs the kinds.
    kinds: Vec<WatchedKind>,
    namespaces: Vec<String>,
}

pub(super) struct WatchedKind {
    pub(super) resource: ApiResource,
    kind: Kind,
    pub(super) cache: Cache<Live>,
}

/// An object of a release.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) resource: ApiResource,
    pub(super) key: ObjectKey,
    pub(super) live: Live,
}

impl Owned {
    /// `Kind/name`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.resource.kind, self.key.name)
    }
}

// === impl Live ===

impl Live {
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        let annotation = |name: &str| meta.annotations.as_ref().and_then(|annotations| annotations.get(name)).cloned();
        let release = meta.annotations.as_ref().and_then(helm_release_of);
        let entries = meta.managed_fields.as_deref().unwrap_or_default();
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.clone().unwrap_or_default(),
            release: release.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())),
            is_leaving: meta.deletion_timestamp.is_some(),
            is_kept: annotation(RESOURCE_POLICY.0).is_some_and(|policy| policy.trim().eq_ignore_ascii_case(RESOURCE_POLICY.1)),
            needs_merge: managers::need_merge(entries),
            applied: managers::applied(entries),
            certificate: annotation(CERTIFICATE),
        }
    }

    pub(super) fn is_of(&self, release: &ReleaseKey) -> bool {
        self.release.as_ref().is_some_and(|(namespace, name)| namespace == release.namespace.as_str() && name == release.name.as_str())
    }

    /// In words whose it is, for somebody who is of this namespace.
    pub(super) fn owner(&self, here: &str) -> String {
        match &self.release {
            Some((namespace, name)) if namespace == here => format!("release {name}"),
            Some((namespace, name)) => format!("release {name} of namespace {namespace}"),
            None => "no Helm release".to_owned(),
        }
    }
}

// === impl Objects ===

impl Objects {
    /// Starts to watch.
    pub(super) fn start(client: &Client, namespaces: &[String], gateway: Gateway) -> Self {
        let kinds = kinds::watched(gateway).into_iter().map(|resource| WatchedKind::start(client, namespaces, resource));
        Self { kinds: kinds.collect(), namespaces: namespaces.to_vec() }
    }

    fn caches(&self) -> impl Iterator<Item = &Cache<Live>> {
        self.kinds.iter().map(|kind| &kind.cache)
    }

    /// Why objects cannot be told from memory, if so.
    pub(super) fn synced(&self) -> Result<(), Fault> {
        self.caches().try_for_each(Cache::synced)
    }

    /// Waits until everything was read and all watches stand.
    pub(super) async fn current(&self, deadline: Instant) -> Result<(), Fault> {
        for cache in self.caches() {
            cache.current(deadline).await?;
        }
        Ok(())
    }

    /// Since when a watch is broken, and why.
    pub(super) fn behind(&self) -> Option<(Duration, String)> {
        self.caches().filter_map(Cache::behind).max_by_key(|(since, _)| *since)
    }

    /// The watch of a kind; none for kinds that releases of ours do not have.
    pub(super) fn watched(&self, kind: &Kind) -> Option<&WatchedKind> {
        self.kinds.iter().find(|watched| watched.kind == *kind)
    }

    /// The watch that shows an object, now or when it stands again. Somebody else's manifest may have objects in other namespaces.
    pub(super) fn watch_of(&self, kind: &Kind, namespace: &str) -> Option<&WatchedKind> {
        self.watched(kind).filter(|watched| self.is_ours(namespace) && watched.cache.forbidden(namespace).is_none())
    }

    /// Whether the objects of a kind can be told from memory now. Of a watched kind there are none of ours in other namespaces, where our account
    /// may not even look.
    pub(super) fn is_current(&self, kind: &Kind, namespace: &str) -> bool {
        self.watched(kind).is_some_and(|watched| !self.is_ours(namespace) || watched.cache.stands(namespace))
    }

    /// The same of the kind of this name, in one of our namespaces.
    pub(super) fn is_current_name(&self, kind: &str, namespace: &str) -> bool {
        self.kinds.iter().any(|watched| watched.kind.kind == kind && watched.cache.stands(namespace))
    }

    fn is_ours(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|ours| ours == namespace)
    }

    /// What carries this release's annotations, in the order in which Helm installs it. What is leaving does not count.
    pub(super) fn of(&self, release: &ReleaseKey) -> Vec<Owned> {
        let owned = self.kinds.iter().flat_map(|kind| {
            let is_wanted =
                |key: &ObjectKey, live: &Live| key.namespace == release.namespace.as_str() && live.is_of(release) && !live.is_leaving;
            // By name, so that the order is always the same.
            let by_name: BTreeMap<_, _> = kind.cache.select(is_wanted).into_iter().collect();
            by_name.into_iter().map(|(key, live)| Owned { resource: kind.resource.clone(), key, live: (*live).clone() })
        });
        owned.collect()
    }
}

// === impl WatchedKind ===

impl WatchedKind {
    fn start(client: &Client, namespaces: &[String], resource: ApiResource) -> Self {
        let api = |namespace: &String| {
            let api: Api<PartialObjectMeta<DynamicObject>> = Api::namespaced_with(client.clone(), namespace, &resource);
            (namespace.clone(), api)
        };
        // Release records have a watch of their own; here they would only be noise.
        let config = match resource.kind.as_str() {
            "Secret" => watcher::Config::default().fields(&format!("type!={}", crate::record::SECRET_TYPE)),
            _ => watcher::Config::default(),
        };
        let source = Source::new(plural_words(&resource.kind), namespaces.iter().map(api).collect(), config);
        let fold = |object: PartialObjectMeta<DynamicObject>| Some(Live::of(&object.metadata));
        Self { kind: Kind::of(&resource), cache: Cache::start(source, fold, |_| ()), resource }
    }
}

/// What the watch of a kind is called in messages.
fn plural_words(kind: &str) -> &'static str {
    match kind {
        "ServiceAccount" => "ServiceAccounts",
        "Secret" => "Secrets",
        "ConfigMap" => "ConfigMaps",
        "Service" => "Services",
        "StatefulSet" => "StatefulSets",
        "Ingress" => "Ingresses",
        "IngressRoute" => "IngressRoutes",
        "HTTPRoute" => "HTTPRoutes",
        _ => "objects",
    }
}
