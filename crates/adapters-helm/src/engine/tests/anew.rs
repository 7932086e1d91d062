//! A StatefulSet of which a field cannot be changed, and that is somebody else's by the time at which it would be made anew.

use super::*;

const PATH: &str = "/apis/apps/v1/namespaces/ns/statefulsets/dbt-server-a";

/// An API server that refuses every change of the StatefulSet, and on which it is this release's.
#[derive(Clone)]
struct Fixed {
    owner: &'static str,
    deletes: Arc<Mutex<usize>>,
}

impl Fixed {
    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, tower::BoxError> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (status, answer) = match (request.method(), request.uri().path()) {
            (&Method::GET, _) if is_watch => std::future::pending().await,
            (&Method::GET, PATH) => (200, self.stateful_set()),
            (&Method::GET, _) => (200, json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] })),
            (&Method::PATCH, PATH) => (422, refusal()),
            (&Method::DELETE, PATH) => {
                *self.deletes.lock().unwrap() += 1;
                (403, json!({ "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "seen" }))
            }
            _ => return Err("nobody asks for this".into()),
        };
        Ok(Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()))?)
    }

    fn stateful_set(&self) -> Value {
        let annotations = json!({ "meta.helm.sh/release-name": self.owner, "meta.helm.sh/release-namespace": "ns" });
        let metadata = json!({ "name": "dbt-server-a", "namespace": "ns", "uid": "u", "resourceVersion": "2", "annotations": annotations });
        json!({ "kind": "StatefulSet", "apiVersion": "apps/v1", "metadata": metadata, "spec": { "selector": {} } })
    }
}

fn refusal() -> Value {
    let message = "StatefulSet.apps \"dbt-server-a\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \
                   'replicas' are forbidden";
    json!({ "kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid", "message": message })
}

/// Applies the release's StatefulSet where it is this one's. Returns the error, and how often it was asked to delete it.
async fn apply_over(owner: &'static str) -> (InstallerError, usize) {
    let fake = Fixed { owner, deletes: Arc::default() };
    let deletes = Arc::clone(&fake.deletes);
    let installer = start(client(move |request| fake.clone().answer(request)));
    let handle = claimed(&installer).await;
    let fence = Fence::new(Duration::from_secs(30), tokio::time::Instant::now());
    let mut hand = Hand::new(&installer, &handle.key, Leave::Write(&fence), Redactor::default());
    let metadata = json!({ "name": "dbt-server-a", "namespace": "ns" });
    let set = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": { "selector": {} } });
    let set = ManifestObject::new(set).unwrap();
    let error = hand.apply_or_make_anew(&set, Anew::OrWithPods, &Claim::of(&handle)).await.unwrap_err();
    let deletes = *deletes.lock().unwrap();
    (error, deletes)
}

#[tokio::test]
async fn somebody_elses_is_not_made_anew() {
    let (error, deletes) = apply_over("other").await;
    assert!(matches!(&error, InstallerError::ForeignObject { owner, .. } if owner == "release other"), "{error:?}");
    assert_eq!(deletes, 0);
    let (error, deletes) = apply_over("dbt-server-a").await;
    assert!(error.to_string().contains("seen"), "{error:?}");
    assert_eq!(deletes, 1);
}
