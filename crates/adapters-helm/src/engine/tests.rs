//! What cannot be brought about on a real control plane: another's object that appears between the look at it and the apply, a look while
//! nothing is known yet, one at what was made anew since, and one at what is somebody else's by now.

mod anew;
mod removal;

use std::sync::Mutex;

use dbt_controller_domain::model::{Redactor, ReleaseStatus, RevisionHandle};
use dbt_controller_kube_access::ObjectKey;
use http::{Method, Request, Response};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use serde_json::{Value, json};

use super::claim::Claim;
use super::hand::{Hand, Target};
use super::revision::Entry;
use super::*;
use crate::controller::Operation;
use crate::manifest::ManifestObject;
use crate::record::{Draft, Record, RecordKey, Stamp};

/// An API server whose watches show nothing and whose patches are answered with this metadata. It notes what was patched.
#[derive(Clone)]
struct FakeApi {
    metadata: Value,
    /// Its lists never come, so that nothing is known of any kind.
    never_lists: bool,
    patched: Arc<Mutex<Vec<Value>>>,
}

/// The path of the Service that is applied.
const SERVICE: &str = "/api/v1/namespaces/ns/services/a";

impl FakeApi {
    fn new(metadata: Value) -> Self {
        Self { metadata, never_lists: false, patched: Arc::default() }
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, tower::BoxError> {
        let answer = match *request.method() {
            Method::GET if request.uri().query().is_some_and(|query| query.contains("watch=true")) => std::future::pending().await,
            Method::GET if request.uri().path() == SERVICE => self.metadata(),
            Method::GET if self.never_lists => std::future::pending().await,
            Method::GET => json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] }),
            Method::PATCH => {
                let body = request.into_body().collect_bytes().await?;
                self.patched.lock().unwrap().push(serde_json::from_slice(&body)?);
                self.metadata()
            }
            _ => return Err("nobody asks for this".into()),
        };
        Ok(Response::new(Body::from(answer.to_string().into_bytes())))
    }

    fn metadata(&self) -> Value {
        json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": self.metadata })
    }
}

struct NoReads;

#[async_trait]
impl Barrier for NoReads {
    async fn seen(&self, _: &str, _: &ObjectKey, _: &str, _: Duration) -> Result<(), Fault> {
        Ok(())
    }

    async fn gone(&self, _: &str, _: &ObjectKey, _: &str, _: Duration) -> Result<(), Fault> {
        Ok(())
    }
}

struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn handle() -> RevisionHandle {
    let key = ReleaseKey { namespace: "ns".parse().unwrap(), name: "dbt-server-a".parse().unwrap() };
    RevisionHandle { key, revision: RevisionNumber(1), operation: "op-1".parse().unwrap() }
}

/// A pending record of the operation.
fn pending(handle: &RevisionHandle) -> (RecordKey, Secret) {
    let key = RecordKey::new(&handle.key, handle.revision);
    let mut values = json!({});
    Operation { id: handle.operation.clone(), revision: handle.revision }.write(&mut values);
    let draft = Draft {
        key: key.clone(),
        status: ReleaseStatus::PendingInstall,
        description: "",
        first_deployed: Timestamp::UNIX_EPOCH,
        last_deployed: Timestamp::UNIX_EPOCH,
        chart: &json!({}),
        config: &values,
        manifest: "",
    };
    let secret = Record::new(&draft, &Default::default()).encode(Stamp::Created, Timestamp::UNIX_EPOCH).unwrap();
    (key, secret)
}

/// A client whose requests are answered so.
fn client<A>(answer: impl Fn(Request<Body>) -> A + Clone + Send + 'static) -> Client
where
    A: Future<Output = Result<Response<Body>, tower::BoxError>> + Send + 'static,
{
    Client::new(tower::service_fn(answer), "ns")
}

fn start(client: Client) -> NativeInstaller {
    NativeInstaller::start(client, &["ns".parse().unwrap()], ServerSettings::default(), Arc::new(NoReads), Arc::new(Epoch))
}

fn start_on(fake: &FakeApi) -> NativeInstaller {
    let fake = fake.clone();
    start(client(move |request| fake.clone().answer(request)))
}

fn service() -> ManifestObject {
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a", "namespace": "ns" } });
    ManifestObject::new(service).unwrap()
}

/// Waits until everything was read once.
async fn synced(installer: &NativeInstaller) {
    while installer.synced().is_err() {
        tokio::task::yield_now().await;
    }
}

/// A revision that an operation is writing, as the watch shows it.
async fn claimed(installer: &NativeInstaller) -> RevisionHandle {
    synced(installer).await;
    let handle = handle();
    let (key, secret) = pending(&handle);
    installer.records.show(&key, Entry::of(key.clone(), &secret));
    handle
}

/// An apply of a Service that no watch has shown.
async fn apply_to(fake: &FakeApi) -> Result<(), InstallerError> {
    let installer = start_on(fake);
    let handle = claimed(&installer).await;
    let fence = Fence::new(Duration::from_secs(30), tokio::time::Instant::now());
    let mut hand = Hand::new(&installer, &handle.key, Leave::Write(&fence), Redactor::default());
    hand.apply(&service(), &Claim::of(&handle)).await.map(drop)
}

fn entry(manager: &str, operation: &str) -> Value {
    json!({ "manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {} })
}

#[tokio::test]
async fn a_new_object_is_left_as_it_was_applied() {
    let fake = FakeApi::new(json!({ "name": "a", "resourceVersion": "2", "managedFields": [entry("helm", "Apply")] }));
    apply_to(&fake).await.unwrap();
    assert_eq!(fake.patched.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn anothers_object_that_just_appeared_is_given_up_again() {
    let entries = [entry("helm", "Apply"), entry("kubectl-create", "Update")];
    let fake = FakeApi::new(json!({ "name": "a", "resourceVersion": "2", "managedFields": entries }));
    let refused = apply_to(&fake).await.unwrap_err();
    assert!(matches!(&refused, InstallerError::ForeignObject { object, .. } if object == "Service/a"), "{refused:?}");
    let patched = fake.patched.lock().unwrap();
    let nothing = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a", "namespace": "ns" } });
    assert_eq!(patched[1..], [nothing], "an apply of nothing gives up every field, our annotations first of all");
    assert!(patched[0]["metadata"]["annotations"]["meta.helm.sh/release-name"].is_string());
}

#[tokio::test]
async fn an_object_is_asked_for_as_long_as_nothing_is_known_of_its_kind() {
    let fake = FakeApi { never_lists: true, ..FakeApi::new(json!({ "name": "a", "uid": "of-the-cluster", "resourceVersion": "2" })) };
    let installer = start_on(&fake);
    let key = handle().key;
    let fence = Fence::new(Duration::from_secs(30), tokio::time::Instant::now());
    let hand = Hand::new(&installer, &key, Leave::Write(&fence), Redactor::default());
    let found = hand.look(&Target::of(&service(), &key)).await.unwrap();
    assert_eq!(found.map(|live| live.uid).as_deref(), Some("of-the-cluster"), "what was not read yet is not absent");
}

/// An API server that refuses each write of the record, which nobody changes.
async fn always_conflicts(secret: Value, request: Request<Body>) -> Result<Response<Body>, tower::BoxError> {
    let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    let conflict = json!({ "kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": "try again" });
    let list = |items: &[&Value]| json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items });
    let (status, answer) = match *request.method() {
        Method::GET if is_watch => std::future::pending().await,
        Method::GET if request.uri().path().ends_with("/secrets") => (200, list(&[&secret])),
        Method::GET if request.uri().path().contains("/secrets/") => (200, secret),
        Method::GET => (200, list(&[])),
        _ => (409, conflict),
    };
    Ok(Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()))?)
}

#[tokio::test]
async fn a_conflict_over_a_record_that_nobody_has_changed_passes() {
    let (_, mut secret) = pending(&handle());
    secret.metadata.namespace = Some("ns".to_owned());
    secret.metadata.resource_version = Some("1".to_owned());
    let secret = serde_json::to_value(secret).unwrap();
    let installer = start(client(move |request| always_conflicts(secret.clone(), request)));
    synced(&installer).await;
    let fence = Fence::new(Duration::from_secs(30), tokio::time::Instant::now());
    let committed = installer.commit(&handle(), &fence).await;
    assert!(matches!(&committed, Err(InstallerError::Unavailable(_))), "it is tried again: {committed:?}");
    let failed = installer.fail(&handle(), "why", &fence).await;
    assert!(matches!(&failed, Err(InstallerError::Unavailable(_))), "{failed:?}");
}

/// A mark may stay in the record when helm could not be started, and somebody uninstalls the release later.
#[test]
fn a_removal_by_helm_is_ours_when_it_began_right_after_it_was_noted() {
    let (key, secret) = pending(&handle());
    let mut record = Record::decode(key, &secret).unwrap();
    let began = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1000);
    record.set_status(ReleaseStatus::Uninstalling);
    record.set_description("Deletion in progress (or silently failed)");
    record.set_deleted(began);
    let by_somebody = |record: &Record| uninstall::by_somebody_since(record, &record.values().unwrap());
    assert_eq!(by_somebody(&record), Some(began));
    for (seconds_before, is_ours) in [(0, true), (59, true), (60, false), (-1, false)] {
        let noted = began - jiff::SignedDuration::from_secs(seconds_before);
        record.stamp(|values| crate::controller::write_removal(values, noted)).unwrap();
        assert_eq!(by_somebody(&record).is_none(), is_ours, "{seconds_before} s before");
    }
    record.set_description("Deletion in progress by dbt-api-service-controller");
    assert_eq!(by_somebody(&record), None);
}
