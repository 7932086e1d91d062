//! What goes wrong around the service: the cluster is away, refuses something, or holds what is somebody else's.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dbt_controller_tests::{
    Action, Answer, At, Fault, Helm, HelmVersion, Link, Mode, Namespace, Plan, Proxy, Script, Service, Step, Upstream, stateful_set, until,
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::site::{Site, admin, body, body_with, deploy, inventory, path, serve, settings, until_nothing_is_left};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";
/// How long a caller may wait for the answer that the cluster is away, with the shortest lock.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service that reaches the cluster by a link. Its lock is the shortest, and so are the limits of its calls.
struct Remote {
    service: Service,
    link: Link,
    namespace: Namespace,
    _files: TempDir,
}

impl Remote {
    /// Launches it while the link is in this mode.
    async fn launch(mode: Mode) -> Self {
        let namespace = Namespace::create().await;
        let direct = namespace.plane().kubeconfig();
        let link = Link::to(direct.address());
        link.set(mode);
        let files = TempDir::new().unwrap();
        let kubeconfig = link.kubeconfig(direct).write(&files);
        let service = Service::launch(&[], &settings(&namespace, &kubeconfig, &[("LOCK_STALE_AFTER", "6s")]));
        Self { service, link, namespace, _files: files }
    }

    /// Waits until readiness has this status, and returns the answer.
    async fn until_readiness(&self, status: u16) -> Value {
        let answers = async || {
            let response = self.service.request(Method::GET, "/health/readiness").send().await.ok()?;
            if response.status() == status { response.json().await.ok() } else { None }
        };
        until(&format!("readiness is {status}"), answers).await
    }

    /// Calls that change something are refused in time.
    async fn refuses_changes(&self) {
        let begin = Instant::now();
        let (changed, other) = (body_with(PROJECT, &json!({"tag": "2.0.0"})), path("dbt-server-other-main"));
        let (posted, deleted) = tokio::join!(self.service.post("/api/v1/deployments", &changed), self.service.delete(&other));
        for answer in [posted, deleted] {
            assert_eq!(answer.clone().expect(503).json()["details"]["code"], "cluster_unavailable", "{}", answer.text);
        }
        assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    }
}

async fn away_at_the_start(mode: Mode) {
    let remote = Remote::launch(mode).await;
    let readiness = remote.until_readiness(503).await;
    assert_ne!(readiness["checks"]["cluster"], "ok", "{readiness:#}");
    assert_eq!(remote.service.get("/health/liveness").await.status, 200);
    for path in ["/api/v1/deployments", &path(RELEASE), "/api/v1/projects/all"] {
        drop(remote.service.get(path).await.expect(503));
    }
    remote.refuses_changes().await;
    remote.link.set(Mode::Answers);
    remote.until_readiness(200).await;
    assert_eq!(deploy(&remote.service, &body(PROJECT)).await["revision"], 1);
}

#[tokio::test]
async fn a_service_that_starts_without_its_cluster_waits_for_it() {
    away_at_the_start(Mode::Down).await;
}

#[tokio::test]
async fn a_service_that_starts_while_its_cluster_hangs_waits_for_it() {
    away_at_the_start(Mode::Hangs).await;
}

async fn away_later(mode: Mode) {
    let remote = Remote::launch(Mode::Answers).await;
    remote.until_readiness(200).await;
    drop(deploy(&remote.service, &body(PROJECT)).await);
    let before = inventory(&remote.namespace).await;
    remote.link.set(mode);
    let readiness = remote.until_readiness(503).await;
    assert_ne!(readiness["checks"]["cluster"], "ok", "{readiness:#}");
    assert_eq!(remote.service.get("/health/liveness").await.status, 200);
    for path in ["/api/v1/deployments", &path(RELEASE)] {
        let answer = remote.service.get(path).await;
        let told = answer.status == 503 || (answer.status == 200 && answer.headers.contains_key("age"));
        assert!(told, "{path} does not tell how old it is: {answer:?}");
    }
    remote.refuses_changes().await;
    assert_eq!(inventory(&remote.namespace).await, before);
    assert_eq!(Helm::new(HelmVersion::V4, &remote.namespace).history(RELEASE).await.len(), 1, "something was half done");

    remote.link.set(Mode::Answers);
    remote.until_readiness(200).await;
    // Each watch comes back in its own time.
    let current = async || {
        let shown = remote.service.get(&path(RELEASE)).await.expect(200);
        (!shown.headers.contains_key("age")).then_some(shown)
    };
    assert_eq!(until("reads are current", current).await.json()["server"]["phase"], "ready");
    assert_eq!(deploy(&remote.service, &body_with(PROJECT, &json!({"tag": "2.0.0"}))).await["revision"], 2);
    drop(remote.service.delete(&path(RELEASE)).await.expect(200));
}

#[tokio::test]
async fn a_cluster_that_goes_down_is_told_and_found_again() {
    away_later(Mode::Down).await;
}

#[tokio::test]
async fn a_cluster_that_hangs_is_told_and_found_again() {
    away_later(Mode::Hangs).await;
}

/// Events are told behind everything else. Whatever happens to them, all else goes on, and the next ones are told.
#[tokio::test]
async fn events_that_nobody_takes_hold_nothing_up() {
    let namespace = Namespace::create().await;
    let (direct, script, files) = (namespace.plane().kubeconfig(), Script::new(Vec::new()), TempDir::new().unwrap());
    let proxy = Proxy::to(Upstream::api_server(&direct), &script);
    let kubeconfig = direct.with_plain_address(&proxy.address()).write(&files);
    let service = serve(&namespace, &kubeconfig, &[]).await;
    let before = inventory(&namespace).await;
    let events = Step { label: "tells by an Event".to_owned(), occurrence: 1 };
    for fault in [Fault::Hang, Fault::Drop, Fault::Status(500), Fault::Status(429), Fault::DropAnswer] {
        script.arm_from_start(Some(Plan { at: At::Step(events.clone()), times: usize::MAX, action: Action::Fault(fault) }));
        drop(deploy(&service, &body(PROJECT)).await);
        drop(service.post("/api/v1/deployments", &body_with(PROJECT, &json!({"tag": "invalid-1"}))).await.expect(500));
        drop(service.delete(&path(RELEASE)).await.expect(200));
        until("an Event went wrong", async || script.seen().iter().any(|seen| seen.action == Some(Action::Fault(fault))).then_some(()))
            .await;
        assert!(script.disarm() > 0);
        until_nothing_is_left(&namespace, &before).await;
    }
    drop(deploy(&service, &body("afterwards")).await);
    until("the next Event is told", async || {
        let told = namespace.list("events.v1.events.k8s.io", "").await;
        let is_ours = |event: &&Value| event["reportingController"] == "dbt-controller.fast.bi/dbt-api-service-controller";
        told.iter().filter(is_ours).any(|event| event["regarding"]["name"] == "dbt-server-afterwards-main").then_some(())
    })
    .await;
}

/// What must come out nowhere: neither in logs nor in answers.
const CANARIES: [&str; 4] = ["CANARY-git-password", "CANARY-package-token", "CANARY-login-password", "CANARY-env-value"];

/// A body that holds all canaries.
fn body_with_secrets(tag: &str) -> Value {
    let [git, token, password, env] = CANARIES;
    body_with(
        PROJECT,
        &json!({
            "tag": tag,
            "gitlink_secret": format!("https://bot:{git}@git.example.com/team/project.git"),
            "secret_dbt_package_repo_token": token,
            "basic_auth_user": "somebody",
            "basic_auth_password": password,
            "cicd_env_value": env,
        }),
    )
}

/// No text shows a canary, neither as it is nor in base64.
#[track_caller]
fn assert_discreet(texts: &[&str]) {
    for canary in CANARIES {
        for shown in [canary.to_owned(), BASE64.encode(canary)] {
            let leak = texts.iter().find_map(|text| text.lines().find(|line| line.contains(&shown)));
            assert_eq!(leak, None, "{canary} is shown");
        }
    }
}

/// Refuses new objects of a kind whose names begin with `dbt-server-`, in one namespace, as an admission webhook would. `message` is an
/// expression that can quote the object. Goes with the namespace.
async fn refuse(namespace: &Namespace, group: &str, resource: &str, message: &str) {
    let (api, name) = ("admissionregistration.k8s.io/v1", namespace.name());
    let owner = namespace.get("namespace", name).await;
    let owner = json!({"apiVersion": "v1", "kind": "Namespace", "name": name, "uid": owner["metadata"]["uid"]});
    let metadata = json!({"name": name, "ownerReferences": [owner]});
    let rule = json!({"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]});
    let validation = json!({"expression": "!object.metadata.name.startsWith('dbt-server-')", "messageExpression": message});
    namespace
        .apply(&json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": metadata,
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]},
        }))
        .await;
    let here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
    namespace
        .apply(&json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata,
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": here},
        }))
        .await;
    // It is in force a moment later.
    let kind = if resource == "secrets" { ["secret", "generic"].as_slice() } else { &["configmap"] };
    let probe = [&["create"], kind, &["dbt-server-probe", "--from-literal=GITLINK_SECRET=x", "--dry-run=server"]].concat();
    until("the policy is in force", async || namespace.run(&probe).await.is_err().then_some(())).await;
}

#[tokio::test]
async fn an_object_that_admission_refuses_is_told_and_all_is_undone() {
    let site = Site::open().await;
    let before = inventory(&site.namespace).await;
    refuse(&site.namespace, "", "configmaps", "'not on ' + 'Fridays'").await;
    let failed = site.service.post("/api/v1/deployments", &body(PROJECT)).await.expect(500).json();
    assert_eq!((&failed["details"]["code"], &failed["details"]["undo"]), (&json!("admission_refused"), &json!("undone")), "{failed:#}");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("not on Fridays") && message.contains(&format!("ConfigMap/{RELEASE}-nginx-cm")), "{message}");
    until_nothing_is_left(&site.namespace, &before).await;
}

#[tokio::test]
async fn a_quota_is_told_and_all_is_undone() {
    let site = Site::open().await;
    let before = inventory(&site.namespace).await;
    for (hard, named) in [("pods=0", "pods"), ("count/services=0", &*format!("Service/{RELEASE}"))] {
        site.namespace.run(&["create", "quota", "little", "--hard", hard]).await.unwrap();
        let counted = |quota: &Value| quota["status"]["hard"].is_object().then_some(());
        site.namespace.until("resourcequota", "little", "counted", counted).await;
        let failed = site.service.post("/api/v1/deployments", &body(PROJECT)).await.expect(500).json();
        let details = &failed["details"];
        assert_eq!((&details["code"], &details["undo"]), (&json!("quota_exceeded"), &json!("undone")), "{failed:#}");
        let message = failed["message"].as_str().unwrap();
        assert!(message.contains("exceeded quota: little") && message.contains(named), "{message}");
        until_nothing_is_left(&site.namespace, &before).await;
        site.namespace.delete("resourcequota", "little").await;
    }
    // The quota stays in force for a moment after its end.
    let deployed = async || (site.service.post("/api/v1/deployments", &body(PROJECT)).await.status == 200).then_some(());
    until("without the quota it works", deployed).await;
}

/// A StatefulSet that is no release's has the name that a first deployment would take. Its pod is not waited for when that is undone.
#[tokio::test]
async fn somebody_elses_stateful_set_is_refused_and_left_alone() {
    let site = Site::open().await;
    site.namespace.apply(&stateful_set(RELEASE, "1.0.0")).await;
    let runs = |set: &Value| (set["status"]["readyReplicas"] == 1).then_some(());
    site.namespace.until("statefulset", RELEASE, "runs", runs).await;
    let before = site.namespace.find("statefulset", RELEASE).await.unwrap();
    let begin = Instant::now();
    let refused = site.service.post("/api/v1/deployments", &body(PROJECT)).await.expect(409).json();
    assert_eq!(refused["details"]["code"], "foreign_object", "{refused:#}");
    assert_eq!(refused["details"]["undo"], Value::Null, "nothing was begun: {refused:#}");
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    let after = site.namespace.find("statefulset", RELEASE).await.unwrap();
    assert_eq!((&after["metadata"]["uid"], &after["spec"]), (&before["metadata"]["uid"], &before["spec"]));
    assert!(Helm::new(HelmVersion::V4, &site.namespace).list().await.is_empty());
    drop(site.service.delete(&path(RELEASE)).await.expect(404));
    site.namespace.delete("statefulset", RELEASE).await;
    // Its pod ends a moment after it.
    let deployed = async || (site.service.post("/api/v1/deployments", &body(PROJECT)).await.status == 200).then_some(());
    until("without it there is room", deployed).await;
}

/// One in the place of ours, which a human has deleted. What changes or deletes a StatefulSet goes by its name.
#[tokio::test]
async fn somebody_elses_stateful_set_in_the_place_of_ours_is_left_alone() {
    let site = Site::open().await;
    drop(deploy(&site.service, &body(PROJECT)).await);
    site.namespace.delete("statefulset", RELEASE).await;
    site.namespace.apply(&stateful_set(RELEASE, "1.0.0")).await;
    let runs = |set: &Value| (set["status"]["readyReplicas"] == 1).then_some(());
    site.namespace.until("statefulset", RELEASE, "runs", runs).await;
    let before = site.namespace.find("statefulset", RELEASE).await.unwrap();
    let larger = site.service.post("/api/v1/deployments", &body_with(PROJECT, &json!({"storage_size": "30Gi"}))).await;
    let suspended = site.service.post(&format!("{}/suspend", path(RELEASE)), &json!({})).await;
    for answer in [larger, suspended] {
        let refused = answer.expect(409).json();
        assert_eq!(refused["details"]["code"], "foreign_object", "{refused:#}");
    }
    let after = site.namespace.find("statefulset", RELEASE).await.unwrap();
    assert_eq!((&after["metadata"]["uid"], &after["spec"]), (&before["metadata"]["uid"], &before["spec"]));
    let claim = site.namespace.find("persistentvolumeclaim", &format!("{RELEASE}-{RELEASE}-0")).await.unwrap();
    assert_ne!(claim["spec"]["resources"]["requests"]["storage"], "30Gi", "it has grown for nothing");
}

/// The same with a claim of the name that ours would have: it holds the name, and is not deleted with anything.
#[tokio::test]
async fn somebody_elses_claim_of_our_name_is_left_alone() {
    let site = Site::open().await;
    let mut foreign = stateful_set(RELEASE, "1.0.0");
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    foreign["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": RELEASE}, "spec": claim}]);
    site.namespace.apply(&foreign).await;
    let runs = |set: &Value| (set["status"]["readyReplicas"] == 1).then_some(());
    site.namespace.until("statefulset", RELEASE, "runs", runs).await;
    let deployed = deploy(&site.service, &body(PROJECT)).await;
    let ours = deployed["release_name"].as_str().unwrap();
    assert!(ours.starts_with(RELEASE) && ours != RELEASE, "{deployed}");
    drop(site.service.delete(&path(RELEASE)).await.expect(404));
    drop(site.service.delete(&path(ours)).await.expect(200));
    let claim = site.namespace.find("persistentvolumeclaim", &format!("{RELEASE}-{RELEASE}-0")).await.unwrap();
    assert_eq!(claim["metadata"]["deletionTimestamp"], Value::Null, "its data is somebody's");
}

#[tokio::test]
async fn a_namespace_that_is_missing_ends_or_is_not_allowed_is_told() {
    let [home, ending] = [Namespace::create().await, Namespace::create().await];
    // What has a finalizer holds its namespace.
    let metadata = json!({"name": "anchor", "finalizers": ["tests.example.com/anchor"]});
    ending.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).await;
    let files = TempDir::new().unwrap();
    let allowed = format!("{},{}-absent", ending.name(), home.name());
    let service = serve(&home, &admin(&home, &files), &[("ALLOWED_NAMESPACES", &allowed)]).await;
    ending.run(&["delete", "namespace", ending.name(), "--wait=false"]).await.unwrap();
    let terminating = |namespace: &Value| (namespace["status"]["phase"] == "Terminating").then_some(());
    ending.until("namespace", ending.name(), "ends", terminating).await;

    let absent = format!("{}-absent", home.name());
    for (namespace, status, code) in
        [(ending.name(), 500, "namespace_missing"), (&absent, 500, "namespace_missing"), ("kube-system", 422, "validation_failed")]
    {
        let failed = service.post("/api/v1/deployments", &body_with(PROJECT, &json!({"namespace": namespace}))).await;
        let failed = failed.expect(status).json();
        assert_eq!(failed["details"]["code"], code, "{failed:#}");
        assert!(status == 422 || failed["message"].as_str().unwrap().contains(namespace), "{failed:#}");
    }
    assert_eq!(service.get("/api/v1/deployments").await.expect(200).json(), json!([]));
    // None of it stands in the way of the identity.
    assert_eq!(deploy(&service, &body(PROJECT)).await["revision"], 1);
    ending.patch("configmap", "anchor", &json!({"metadata": {"finalizers": null}})).await;
}

/// A watch of a namespace that does not exist works, and shows nothing.
#[tokio::test]
async fn a_service_whose_own_namespace_is_missing_is_not_ready_until_it_is_there() {
    let namespace = Namespace::create().await;
    let files = TempDir::new().unwrap();
    let kubeconfig = admin(&namespace, &files);
    let absent = format!("{}-absent", namespace.name());
    let service = Service::launch(&[], &settings(&namespace, &kubeconfig, &[("KUBERNETES_NAMESPACE", &absent)]));
    let readiness = async || Answer::try_to(service.request(Method::GET, "/health/readiness")).await.ok();
    let tells = |answer: Answer| {
        assert_ne!(answer.status, 200, "ready before anybody has looked: {}", answer.text);
        answer.json()["checks"].to_string().contains("namespace does not exist").then_some(())
    };
    until("what is missing is told", async || readiness().await.and_then(tells)).await;
    let failed = service.post("/api/v1/deployments", &body(PROJECT)).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "namespace_missing", "{failed:#}");

    namespace.run(&["create", "namespace", &absent]).await.unwrap();
    until("the service is ready", async || readiness().await.filter(|answer| answer.status == 200)).await;
    assert_eq!(deploy(&service, &body(PROJECT)).await["revision"], 1);
    namespace.run(&["delete", "namespace", &absent, "--wait=false"]).await.unwrap();
}

#[tokio::test]
async fn no_secret_is_in_a_log_or_an_error() {
    let site = Site::open_with(&[("LOG_LEVEL", "trace")]).await;
    let post = async |body: &Value, status: u16| site.service.post("/api/v1/deployments", body).await.expect(status).text;
    let mut answers = vec![post(&body_with_secrets("missing-1"), 500).await, post(&body_with_secrets("crash-1"), 500).await];
    // An object quoted by who refuses it.
    refuse(&site.namespace, "", "secrets", "'no: ' + string(object.data.GITLINK_SECRET)").await;
    let refused = post(&body_with_secrets("1.0.0"), 500).await;
    assert!(refused.contains("no: "), "{refused}");
    answers.push(refused);
    let mut invalid = body_with_secrets("1.0.0");
    for field in ["gitlink_secret", "secret_dbt_package_repo_token", "cicd_env_value"] {
        invalid[field] = json!(invalid[field].as_str().unwrap().repeat(200));
    }
    answers.push(post(&invalid, 422).await);
    answers.push(site.service.get("/api/v1/operations").await.expect(200).text);
    let logs = site.service.logs();
    assert!(logs.contains(r#""level":"DEBUG""#), "the logs are not as talkative as they can be: {logs}");
    let texts: Vec<&str> = answers.iter().map(String::as_str).chain([logs.as_str()]).collect();
    assert_discreet(&texts);
}
