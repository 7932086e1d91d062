//! A StatefulSet that somebody makes anew and that no watch has shown yet, when its release is removed.

use tokio::sync::Notify;

use super::*;

/// An API server on which the StatefulSet that it has listed has another uid by now.
#[derive(Clone)]
struct MadeAnew {
    /// Whose the new one is.
    owner: &'static str,
    /// What it says when the uid is not that of the new one.
    conflict: &'static str,
    /// The uids by which it was asked to delete it.
    deletes: Arc<Mutex<Vec<String>>>,
    is_deleted: Arc<Notify>,
}

impl MadeAnew {
    fn of(owner: &'static str) -> Self {
        Self {
            owner,
            conflict: "the UID in the precondition (old) does not match the UID in record (new)",
            deletes: Arc::default(),
            is_deleted: Arc::default(),
        }
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, tower::BoxError> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (status, answer) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/apis/apps/v1/namespaces/ns/statefulsets") if is_watch => {
                self.is_deleted.notified().await;
                (200, json!({ "type": "DELETED", "object": stateful_set("new", self.owner, "5") }))
            }
            (&Method::GET, _) if is_watch => std::future::pending().await,
            (&Method::GET, "/apis/apps/v1/namespaces/ns/statefulsets") => (200, list(&[stateful_set("old", "dbt-server-a", "2")])),
            (&Method::GET, "/apis/apps/v1/namespaces/ns/statefulsets/dbt-server-a") => (200, stateful_set("new", self.owner, "4")),
            (&Method::GET, _) => (200, list(&[])),
            (&Method::DELETE, "/apis/apps/v1/namespaces/ns/statefulsets/dbt-server-a") => {
                let wish: Value = serde_json::from_slice(&request.into_body().collect_bytes().await?)?;
                let uid = wish["preconditions"]["uid"].as_str().unwrap_or_default().to_owned();
                let is_it = uid == "new";
                self.deletes.lock().unwrap().push(uid);
                // The old one is gone in any case.
                self.is_deleted.notify_one();
                let conflict =
                    json!({ "kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": self.conflict });
                if is_it { (200, json!({ "kind": "Status", "status": "Success" })) } else { (409, conflict) }
            }
            _ => return Err("nobody asks for this".into()),
        };
        Ok(Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()))?)
    }
}

fn stateful_set(uid: &str, release: &str, version: &str) -> Value {
    let annotations = json!({ "meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "ns" });
    let metadata = json!({ "name": "dbt-server-a", "namespace": "ns", "uid": uid, "resourceVersion": version, "annotations": annotations });
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata })
}

fn list(items: &[Value]) -> Value {
    json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "3" }, "items": items })
}

/// Removes the release. Returns what it says that it has removed.
async fn uninstall(fake: &MadeAnew) -> Result<Vec<String>, InstallerError> {
    let api = fake.clone();
    let installer = start(client(move |request| api.clone().answer(request)));
    synced(&installer).await;
    let fence = Fence::new(Duration::from_secs(30), tokio::time::Instant::now());
    installer.uninstall(&handle().key, &fence).await.map(|removed| removed.objects)
}

#[tokio::test]
async fn what_was_made_anew_unseen_goes_with_its_release() {
    let fake = MadeAnew::of("dbt-server-a");
    assert_eq!(uninstall(&fake).await.unwrap(), ["StatefulSet/dbt-server-a"]);
    assert_eq!(*fake.deletes.lock().unwrap(), ["old", "new"]);
}

#[tokio::test]
async fn what_somebody_else_has_put_in_its_place_stays() {
    let fake = MadeAnew::of("other");
    uninstall(&fake).await.unwrap();
    assert_eq!(*fake.deletes.lock().unwrap(), ["old"]);
}

#[tokio::test]
async fn what_could_not_be_deleted_at_this_moment_does_not_count_as_gone() {
    let fake =
        MadeAnew { conflict: "the object has been modified; please apply your changes to the latest version", ..MadeAnew::of("other") };
    let removed = uninstall(&fake).await;
    assert!(matches!(removed, Err(InstallerError::Unavailable(_))), "{removed:?}");
}
