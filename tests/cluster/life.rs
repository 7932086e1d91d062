//! The life of a deployment, with the people who work on its release by helm and kubectl.

use dbt_controller_tests::{Helm, HelmVersion, Namespace, until};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::at_work::values_with_tag;
use crate::support::site::{Site, body, body_with, chart, deploy, inventory, path, until_nothing_is_left};

const RELEASE: &str = "dbt-server-test-project-main";
const PROJECT: &str = "test-project";

/// The password in a server's Secret, as it is stored.
async fn password(namespace: &Namespace) -> Value {
    namespace.get("secret", &format!("dbt-server-secret-{RELEASE}")).await["data"]["BASIC_AUTH_PASSWORD"].clone()
}

/// The generation of the StatefulSet, which goes up with each change of what it shall be.
async fn generation(namespace: &Namespace) -> Value {
    namespace.get("statefulset", RELEASE).await["metadata"]["generation"].clone()
}

/// The statuses of a release's revisions, oldest first.
async fn statuses(helm: &Helm) -> Vec<String> {
    helm.history(RELEASE).await.iter().map(|revision| revision["status"].as_str().unwrap().to_owned()).collect()
}

/// The places at which ours shows `***`; at all others it says what Helm says.
#[track_caller]
fn assert_equal_but_for_secrets(ours: &Value, theirs: &Value, place: &str) -> Vec<String> {
    let places = |parts: Vec<(String, &Value, &Value)>| {
        parts.into_iter().flat_map(|(place, ours, theirs)| assert_equal_but_for_secrets(ours, theirs, &place)).collect()
    };
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{place}");
            places(ours.iter().map(|(key, ours)| (format!("{place}/{key}"), ours, &theirs[key])).collect())
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{place}");
            places(ours.iter().zip(theirs).enumerate().map(|(at, (ours, theirs))| (format!("{place}/{at}"), ours, theirs)).collect())
        }
        _ if ours == "***" => {
            assert!(theirs.is_string(), "{place}");
            vec![place.to_owned()]
        }
        _ => {
            assert_eq!(ours, theirs, "{place}");
            vec![]
        }
    }
}

/// What `GET /api/v1/projects` shows of a release is what `helm get values` and `helm status` show, its secrets masked.
#[track_caller]
fn assert_projects_tell_the_same(listed: &Value, mut values: Value, status: &Value) {
    // The operation of a revision is for the service itself.
    values["controller"].as_object_mut().unwrap().remove("operation").unwrap();
    let masked = assert_equal_but_for_secrets(&listed["values"], &values, "");
    let objects = values["manifests"].as_array().unwrap();
    let at = objects.iter().position(|object| object["kind"] == "Secret").unwrap();
    let secrets = objects[at]["data"].as_object().unwrap();
    let wanted: Vec<_> = secrets.keys().map(|key| format!("/manifests/{at}/data/{key}")).collect();
    assert_eq!(masked, wanted, "nothing but the data of the Secret is masked, and all of it");
    let moment = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(moment(&listed["last_deployed"]), moment(&status["info"]["last_deployed"]));
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].clone()).collect();
    assert_eq!(listed["dependencies"], json!(kinds));
}

#[tokio::test]
async fn both_helms_tell_the_same_as_get() {
    let site = Site::open().await;
    let details = site.deploy(&body(PROJECT)).await;
    assert_eq!((&details["release_name"], &details["status"]), (&json!(RELEASE), &json!("deployed")), "{details}");
    // At once: an answer is given when reads show what was made.
    let shown = site.deployment(RELEASE).await;
    assert_eq!((&shown["revision"], &shown["server"]["phase"]), (&json!(1), &json!("ready")), "{shown:#}");
    let listed = site.service.get("/api/v1/deployments").await.expect(200).json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &json!(RELEASE)), "{listed:#}");

    for version in HelmVersion::ALL {
        let helm = site.helm(version);
        let list = helm.list().await;
        assert_eq!(list.len(), 1, "{list:?}");
        for (theirs, ours) in
            [("name", "name"), ("namespace", "namespace"), ("status", "status"), ("chart", "chart"), ("app_version", "version")]
        {
            assert_eq!(list[0][theirs], shown[ours], "{theirs} of {version:?}");
        }
        assert_eq!(list[0]["revision"], "1");
        let status = helm.status(RELEASE).await;
        assert_eq!((&status["version"], &status["info"]["status"]), (&shown["revision"], &shown["status"]));
        let history = helm.history(RELEASE).await;
        assert_eq!((history.len(), &history[0]["revision"], &history[0]["status"]), (1, &json!(1), &json!("deployed")), "{history:?}");

        let values = helm.values(RELEASE).await;
        let projects = site.service.get("/api/v1/projects").await.expect(200).json();
        assert_projects_tell_the_same(&projects[0], values.clone(), &status);
        assert_eq!((&values["controller"]["project"], &values["controller"]["branch"]), (&json!(PROJECT), &json!("main")));
        let objects = values["manifests"].as_array().unwrap();
        let manifest = helm.manifest(RELEASE).await;
        assert_eq!(manifest.matches("# Source: dbt-server/templates/").count(), objects.len(), "{manifest}");
        for object in objects {
            let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
            assert!(manifest.contains(name), "{kind} {name} is not in the manifest of {version:?}");
            let labels = &site.namespace.get(kind, name).await["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/instance"], RELEASE, "{kind} {name}");
        }
        let image = shown["image"].as_str().unwrap();
        assert!(manifest.contains(image), "{image} is not in the manifest of {version:?}");
    }
}

#[tokio::test]
async fn a_changed_post_makes_a_revision_and_a_pod_and_an_equal_one_makes_neither() {
    let site = Site::open().await;
    let first = site.deploy(&body(PROJECT)).await;
    assert_eq!((&first["revision"], &first["unchanged"]), (&json!(1), &json!(false)), "{first}");
    let (pod, secret) = (site.pod_uid(RELEASE).await, password(&site.namespace).await);

    let equal = site.deploy(&body(PROJECT)).await;
    assert_eq!((&equal["revision"], &equal["unchanged"]), (&json!(1), &json!(true)), "{equal}");
    assert_eq!(site.pod_uid(RELEASE).await, pod, "an equal POST restarted the server");

    let changed = site.deploy(&body_with(PROJECT, &json!({"tag": "2.0.0"}))).await;
    assert_eq!((&changed["revision"], &changed["unchanged"]), (&json!(2), &json!(false)), "{changed}");
    assert_ne!(site.pod_uid(RELEASE).await, pod, "the pod is still the old one");
    assert_eq!(password(&site.namespace).await, secret, "a changed POST changed the password");
    let shown = site.deployment(RELEASE).await;
    assert_eq!((&shown["revision"], &shown["server"]["phase"]), (&json!(2), &json!("ready")), "{shown:#}");
    assert!(shown["image"].as_str().unwrap().ends_with(":2.0.0"), "{shown:#}");
    for version in HelmVersion::ALL {
        assert_eq!(statuses(&site.helm(version)).await, ["superseded", "deployed"]);
    }
}

#[tokio::test]
async fn an_equal_post_mends_what_was_deleted_by_hand() {
    let site = Site::open().await;
    drop(site.deploy(&body(PROJECT)).await);
    let (pod, secret) = (site.pod_uid(RELEASE).await, password(&site.namespace).await);
    let objects =
        [("service", RELEASE.to_owned()), ("configmap", format!("{RELEASE}-nginx-cm")), ("secret", format!("dbt-server-secret-{RELEASE}"))];
    for (kind, name) in &objects {
        site.namespace.delete(kind, name).await;
    }
    let mended = site.deploy(&body(PROJECT)).await;
    assert_eq!((&mended["revision"], &mended["unchanged"]), (&json!(1), &json!(true)), "{mended}");
    for (kind, name) in &objects {
        drop(site.namespace.get(kind, name).await);
        assert!(mended["warnings"].to_string().to_lowercase().contains(kind), "{mended}");
    }
    assert_eq!(password(&site.namespace).await, secret);
    assert_eq!(site.pod_uid(RELEASE).await, pod, "the pod need not have gone");

    site.namespace.delete("statefulset", RELEASE).await;
    let mended = site.deploy(&body(PROJECT)).await;
    assert_eq!(mended["revision"], 1, "{mended}");
    assert_eq!(site.deployment(RELEASE).await["server"]["phase"], "ready");
}

async fn rolled_back_by(version: HelmVersion) {
    let site = Site::open().await;
    let helm = site.helm(version);
    drop(site.deploy(&body(PROJECT)).await);
    drop(site.deploy(&body_with(PROJECT, &json!({"tag": "2.0.0"}))).await);
    helm.run(&["rollback", RELEASE, "1", "--wait"]).await;
    let seen = async || {
        let shown = site.deployment(RELEASE).await;
        // Helm records it as pending first.
        (shown["revision"] == 3 && shown["status"] == "deployed").then_some(shown)
    };
    let shown = until("GET shows the rollback", seen).await;
    assert!(shown["image"].as_str().unwrap().ends_with(":1.0.0"), "{shown:#}");

    // What is in force now is what this body asks for, whoever wrote it.
    let equal = site.deploy(&body(PROJECT)).await;
    assert_eq!((&equal["revision"], &equal["unchanged"]), (&json!(3), &json!(true)), "{equal}");
    let pod = site.pod_uid(RELEASE).await;
    let changed = site.deploy(&body_with(PROJECT, &json!({"tag": "3.0.0"}))).await;
    assert_eq!(changed["revision"], 4, "{changed}");
    assert_ne!(site.pod_uid(RELEASE).await, pod);
    assert_eq!(statuses(&helm).await, ["superseded", "superseded", "superseded", "deployed"]);
}

#[tokio::test]
async fn a_rollback_by_helm_3_is_seen_and_the_next_post_goes_on_from_it() {
    rolled_back_by(HelmVersion::V3).await;
}

#[tokio::test]
async fn a_rollback_by_helm_4_is_seen_and_the_next_post_goes_on_from_it() {
    rolled_back_by(HelmVersion::V4).await;
}

async fn upgraded_by(version: HelmVersion) {
    let site = Site::open().await;
    let helm = site.helm(version);
    drop(site.deploy(&body(PROJECT)).await);
    let (pod, before, values) = (site.pod_uid(RELEASE).await, generation(&site.namespace).await, helm.values(RELEASE).await);
    helm.run(&["upgrade", RELEASE, &chart(), "--reuse-values", "--wait"]).await;
    assert_eq!(helm.status(RELEASE).await["version"], 2);
    assert_eq!(helm.values(RELEASE).await, values);
    assert_eq!(generation(&site.namespace).await, before, "the upgrade changed the StatefulSet");
    assert_eq!(site.pod_uid(RELEASE).await, pod, "the upgrade restarted the server");

    let seen = async || {
        let shown = site.deployment(RELEASE).await;
        (shown["revision"] == 2 && shown["status"] == "deployed").then_some(())
    };
    until("GET shows the upgrade", seen).await;
    let equal = site.deploy(&body(PROJECT)).await;
    assert_eq!((&equal["revision"], &equal["unchanged"]), (&json!(2), &json!(true)), "{equal}");
    assert_eq!(site.pod_uid(RELEASE).await, pod);
    // Fields that the next manifest leaves out must go, although Helm 3 has written them, too.
    let changed = site.deploy(&body_with(PROJECT, &json!({"cicd_env_key": "OTHER"}))).await;
    assert_eq!(changed["revision"], 3, "{changed}");
    let template = site.namespace.get("statefulset", RELEASE).await["spec"]["template"].to_string();
    assert!(template.contains(r#""name":"OTHER""#) && !template.contains(r#""name":"ENV""#), "{template}");
}

#[tokio::test]
async fn an_upgrade_by_helm_3_with_the_chart_changes_nothing_but_the_revision() {
    upgraded_by(HelmVersion::V3).await;
}

#[tokio::test]
async fn an_upgrade_by_helm_4_with_the_chart_changes_nothing_but_the_revision() {
    upgraded_by(HelmVersion::V4).await;
}

#[tokio::test]
async fn after_an_uninstall_by_hand_delete_still_removes_the_claim() {
    let site = Site::open().await;
    let before = inventory(&site.namespace).await;
    drop(site.deploy(&body(PROJECT)).await);
    site.helm(HelmVersion::V4).run(&["uninstall", RELEASE, "--wait"]).await;
    let gone = async || (site.service.get(&path(RELEASE)).await.status == 404).then_some(());
    until("GET does not show it any more", gone).await;
    let claim = format!("{RELEASE}-{RELEASE}-0");
    drop(site.namespace.get("persistentvolumeclaim", &claim).await);

    let deleted = site.service.delete(&path(RELEASE)).await.expect(200).json();
    assert_eq!(deleted["details"]["pvc_deleted"], json!([claim]), "{deleted:#}");
    until_nothing_is_left(&site.namespace, &before).await;
    let again = site.service.delete(&path(RELEASE)).await.expect(404).json();
    assert!(again["message"].as_str().unwrap().contains("not found"), "{again:#}");
    assert_eq!(again["details"]["pvc_deleted"], json!([]), "{again:#}");
}

#[tokio::test]
async fn delete_leaves_nothing() {
    let site = Site::open().await;
    let before = inventory(&site.namespace).await;
    drop(site.deploy(&body_with(PROJECT, &json!({"https_enabled": true}))).await);
    drop(site.deploy(&body(PROJECT)).await);
    let deleted = site.service.delete(&path(RELEASE)).await.expect(200).json();
    assert_eq!(deleted["details"]["pvc_deleted"], json!([format!("{RELEASE}-{RELEASE}-0")]), "{deleted:#}");
    drop(site.service.get(&path(RELEASE)).await.expect(404));
    assert_eq!(site.service.get("/api/v1/deployments").await.expect(200).json(), json!([]));
    until_nothing_is_left(&site.namespace, &before).await;
    // The name is free for a new life.
    assert_eq!(site.deploy(&body(PROJECT)).await["revision"], 1);
}

#[tokio::test]
async fn a_first_post_that_fails_leaves_nothing_and_the_next_one_works() {
    let site = Site::open().await;
    let before = inventory(&site.namespace).await;
    let failed = site.service.post("/api/v1/deployments", &body_with(PROJECT, &json!({"tag": "missing-1"}))).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "image_pull_failed", "{failed:#}");
    assert!(failed["message"].as_str().unwrap().contains("missing-1"), "{failed:#}");
    until_nothing_is_left(&site.namespace, &before).await;
    assert_eq!(site.deploy(&body(PROJECT)).await["revision"], 1);
}

#[tokio::test]
async fn a_failed_change_goes_back_to_the_server_that_ran() {
    let site = Site::open().await;
    drop(site.deploy(&body(PROJECT)).await);
    let failed = site.service.post("/api/v1/deployments", &body_with(PROJECT, &json!({"tag": "missing-1"}))).await.expect(500).json();
    assert_eq!(failed["details"]["code"], "image_pull_failed", "{failed:#}");
    let shown = site.deployment(RELEASE).await;
    assert_eq!(
        (&shown["revision"], &shown["status"], &shown["server"]["phase"]),
        (&json!(3), &json!("deployed"), &json!("ready")),
        "{shown:#}"
    );
    assert!(shown["image"].as_str().unwrap().ends_with(":1.0.0"), "{shown:#}");
    for version in HelmVersion::ALL {
        assert_eq!(statuses(&site.helm(version)).await, ["superseded", "failed", "deployed"]);
    }
    let changed = site.deploy(&body_with(PROJECT, &json!({"tag": "2.0.0"}))).await;
    assert_eq!(changed["revision"], 4, "{changed}");
}

#[tokio::test]
async fn a_server_that_somebody_broke_is_mended_by_the_next_post() {
    let site = Site::open().await;
    let helm = site.helm(HelmVersion::V4);
    drop(site.deploy(&body(PROJECT)).await);
    let values = values_with_tag(&helm, RELEASE, "missing-1").await;
    helm.run(&["upgrade", RELEASE, &chart(), "--values", values.path().to_str().unwrap()]).await;
    let broken = async || (site.deployment(RELEASE).await["server"]["phase"] == "failing").then_some(());
    until("GET shows that the server is broken", broken).await;
    // The same body as before: what counts is what is in the release, not what was asked for last.
    let mended = site.deploy(&body(PROJECT)).await;
    assert_eq!((&mended["revision"], &mended["unchanged"]), (&json!(3), &json!(false)), "{mended}");
    let shown = site.deployment(RELEASE).await;
    assert_eq!(shown["server"]["phase"], "ready", "{shown:#}");
    assert!(shown["image"].as_str().unwrap().ends_with(":1.0.0"), "{shown:#}");
}

#[tokio::test]
async fn a_server_is_put_to_sleep_and_woken() {
    let site = Site::open().await;
    drop(site.deploy(&body(PROJECT)).await);
    let [suspend, resume] = ["suspend", "resume"].map(|verb| format!("{}/{verb}", path(RELEASE)));
    let asleep = async || {
        drop(site.service.post(&suspend, &json!({})).await.expect(200));
        // At once: it answers when the pods are gone.
        assert!(site.namespace.find("pod", &format!("{RELEASE}-0")).await.is_none());
        assert_eq!(site.deployment(RELEASE).await["server"]["phase"], "sleeping");
    };
    let awake = async |revision: u64| {
        let shown = site.deployment(RELEASE).await;
        assert_eq!((&shown["server"]["phase"], &shown["revision"]), (&json!("ready"), &json!(revision)), "{shown:#}");
    };
    asleep().await;
    // What Helm does meanwhile does not wake it.
    site.helm(HelmVersion::V4).run(&["upgrade", RELEASE, &chart(), "--reuse-values"]).await;
    assert_eq!(site.namespace.get("statefulset", RELEASE).await["spec"]["replicas"], 0);
    drop(site.service.post(&resume, &json!({})).await.expect(200));
    awake(2).await;
    asleep().await;
    assert_eq!(site.deploy(&body(PROJECT)).await["revision"], 2);
    awake(2).await;
    asleep().await;
    assert_eq!(site.deploy(&body_with(PROJECT, &json!({"tag": "2.0.0"}))).await["revision"], 3);
    awake(3).await;
}

#[tokio::test]
async fn a_claim_grows_around_the_running_server_and_does_not_shrink() {
    let site = Site::open().await;
    drop(site.deploy(&body(PROJECT)).await);
    let larger = body_with(PROJECT, &json!({"storage_size": "2Gi"}));
    assert_eq!(site.deploy(&larger).await["revision"], 2);
    let claim = format!("{RELEASE}-{RELEASE}-0");
    let size = |claim: &Value| (claim["status"]["capacity"]["storage"] == "2Gi").then_some(());
    site.namespace.until("persistentvolumeclaim", &claim, "has grown", size).await;
    let set = site.namespace.get("statefulset", RELEASE).await;
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], "2Gi", "{set:#}");
    let refused = site.service.post("/api/v1/deployments", &body(PROJECT)).await.expect(409).json();
    assert_eq!(refused["details"]["code"], "claim_cannot_shrink", "{refused:#}");
    assert_eq!(site.deployment(RELEASE).await["server"]["phase"], "ready");
    assert_eq!(site.deploy(&larger).await["unchanged"], true);
}

/// Who looks at the cluster reads there how operations ended.
#[tokio::test]
async fn events_tell_how_operations_ended() {
    let site = Site::open().await;
    deploy(&site.service, &body("told")).await;
    // An equal POST does nothing.
    deploy(&site.service, &body("told")).await;
    drop(site.service.post("/api/v1/deployments", &body_with("told", &json!({"tag": "missing-1"}))).await.expect(500));
    until("a human who looks at the server sees them", async || {
        let described = site.namespace.run(&["describe", "statefulset", "dbt-server-told-main"]).await.unwrap();
        ["DeploySucceeded", "DeployFailed"].iter().all(|reason| described.contains(reason)).then_some(())
    })
    .await;
    drop(site.service.delete(&path("dbt-server-told-main")).await.expect(200));
    let told = until("four operations, three Events", async || {
        let events = site.namespace.list("events.v1.events.k8s.io", "").await;
        let ours = events.into_iter().filter(|event| event["reportingController"] == "dbt-controller.fast.bi/dbt-api-service-controller");
        let mut ours: Vec<_> = ours.collect();
        ours.sort_by_key(|event| event["eventTime"].as_str().unwrap().to_owned());
        (ours.len() >= 3).then_some(ours)
    })
    .await;
    let rows: Vec<_> = told.iter().map(|event| (event["reason"].as_str().unwrap(), event["type"].as_str().unwrap())).collect();
    assert_eq!(rows, [("DeploySucceeded", "Normal"), ("DeployFailed", "Warning"), ("DeleteSucceeded", "Normal")]);
    for event in &told {
        let regarding = &event["regarding"];
        assert_eq!((&regarding["kind"], &regarding["name"]), (&json!("StatefulSet"), &json!("dbt-server-told-main")), "{event:#}");
        assert!(event["note"].as_str().unwrap().contains("by current)"), "{event:#}");
    }
    assert!(told[1]["note"].as_str().unwrap().contains("cannot be pulled"), "{:#}", told[1]);
}
