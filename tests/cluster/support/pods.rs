//! What pods go through, by the tag of their image.

use std::time::Instant;

use dbt_controller_tests::{Namespace, condition, container_status, stateful_set, until};
use serde_json::{Value, json};

/// The pod of a fresh StatefulSet with this tag, when it is as it should be.
async fn pod_that(namespace: &Namespace, tag: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
    namespace.apply(&stateful_set("server", tag)).await;
    namespace.until("pod", "server-0", what, |pod| condition(pod).then(|| pod.clone())).await
}

/// Why a container waits.
fn waits(pod: &Value, container: &str) -> String {
    let reason = container_status(pod, container).and_then(|status| status["state"]["waiting"]["reason"].as_str());
    reason.unwrap_or_default().to_owned()
}

fn restarts(pod: &Value) -> u64 {
    container_status(pod, "dbt-server").and_then(|status| status["restartCount"].as_u64()).unwrap_or_default()
}

/// One container fails beside one that runs, as a kubelet writes it.
#[track_caller]
fn only_the_server_fails(pod: &Value, phase: &str) {
    assert_eq!(pod["status"]["phase"], phase, "{pod:#}");
    let conditions =
        ["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"].map(|kind| condition(pod, kind).unwrap());
    assert_eq!(conditions, ["True", "True", "True", "False", "False"]);
    for condition in pod["status"]["conditions"].as_array().unwrap() {
        assert!(condition["lastTransitionTime"].is_string(), "{condition}");
    }
    let [server, proxy] = ["dbt-server", "dbt-server-nginx-proxy"].map(|name| container_status(pod, name).unwrap());
    assert_eq!(server["ready"], false);
    assert_eq!(proxy["ready"], true);
    assert!(proxy["state"]["running"]["startedAt"].is_string(), "{proxy}");
}

#[tokio::test]
async fn a_server_gets_ready_quickly() {
    let namespace = Namespace::create().await;
    let begin = Instant::now();
    namespace.apply(&stateful_set("server", "1.0.0")).await;
    let applied = begin.elapsed();
    namespace.until_ready("server").await;
    println!("StatefulSet applied after {applied:?}, ready {:?} later", begin.elapsed() - applied);
    let pod = namespace.get("pod", "server-0").await;
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(condition(&pod, "Ready"), Some("True"));
    assert_eq!(condition(&pod, "PodScheduled"), Some("True"));
    assert!(pod["status"]["podIP"].is_string());
    assert_eq!(container_status(&pod, "dbt-server").unwrap()["ready"], true);
}

#[tokio::test]
async fn a_deleted_pod_goes_at_once_and_another_one_comes() {
    let namespace = Namespace::create().await;
    namespace.apply(&stateful_set("server", "1.0.0")).await;
    namespace.until_ready("server").await;
    let first = namespace.get("pod", "server-0").await;
    let begin = Instant::now();
    namespace.delete("pod", "server-0").await;
    println!("pod deleted after {:?}", begin.elapsed());
    let other = |pod: &Value| (pod["metadata"]["uid"] != first["metadata"]["uid"]).then(|| pod["metadata"]["uid"].clone());
    let second = namespace.until("pod", "server-0", "is another one", other).await;
    namespace.until_ready("server").await;
    assert_eq!(namespace.get("pod", "server-0").await["metadata"]["uid"], second, "the new pod was deleted, too");
}

#[tokio::test]
async fn a_new_template_replaces_the_pod() {
    let namespace = Namespace::create().await;
    namespace.apply(&stateful_set("server", "1.0.0")).await;
    namespace.until_ready("server").await;
    namespace.apply(&stateful_set("server", "1.0.1")).await;
    namespace.until_ready("server").await;
    let pod = namespace.get("pod", "server-0").await;
    assert!(pod["spec"]["containers"][0]["image"].as_str().unwrap().ends_with(":1.0.1"));
}

#[tokio::test]
async fn a_pod_without_a_server_gets_ready_and_a_job_succeeds() {
    let namespace = Namespace::create().await;
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox:missing-1"}]}});
    let metadata = json!({"name": "pod"});
    namespace.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})).await;
    namespace.apply(&json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}})).await;
    namespace.until("pod", "pod", "ready", |pod| (condition(pod, "Ready") == Some("True")).then_some(())).await;
    namespace.until("job", "pod", "complete", |job| (condition(job, "Complete") == Some("True")).then_some(())).await;
}

#[tokio::test]
async fn missing_cannot_be_pulled() {
    let namespace = Namespace::create().await;
    let pod = pod_that(&namespace, "missing-1", "cannot be pulled", |pod| waits(pod, "dbt-server") == "ImagePullBackOff").await;
    only_the_server_fails(&pod, "Pending");
    let message = container_status(&pod, "dbt-server").unwrap()["state"]["waiting"]["message"].to_string();
    assert!(message.contains("registry.example.com:5000/team/dbt-server:missing-1"), "{message}");
    // It was `ErrImagePull` before, too briefly to be seen for certain.
    let pulled = async || namespace.events("Pod", "server-0").await.contains(&"Failed: Error: ErrImagePull".to_owned()).then_some(());
    until("the event of the first failure", pulled).await;
}

#[tokio::test]
async fn invalid_is_no_name_of_an_image() {
    let namespace = Namespace::create().await;
    let pod = pod_that(&namespace, "invalid-1", "has no image", |pod| waits(pod, "dbt-server") == "InvalidImageName").await;
    only_the_server_fails(&pod, "Pending");
}

#[tokio::test]
async fn config_names_the_missing_key() {
    let namespace = Namespace::create().await;
    let pod =
        pod_that(&namespace, "config-1", "has no configuration", |pod| waits(pod, "dbt-server") == "CreateContainerConfigError").await;
    only_the_server_fails(&pod, "Pending");
    let message = &container_status(&pod, "dbt-server").unwrap()["state"]["waiting"]["message"];
    assert_eq!(*message, format!("couldn't find key DBT_PASSWORD in Secret {}/dbt-server", namespace.name()));
}

#[tokio::test]
async fn mount_makes_no_container_and_an_event_says_why() {
    let namespace = Namespace::create().await;
    namespace.apply(&stateful_set("server", "mount-1")).await;
    let mount = async || namespace.events("Pod", "server-0").await.into_iter().find(|event| event.starts_with("FailedMount: "));
    let event = until("the event", mount).await;
    assert!(event.contains("MountVolume.SetUp failed for volume"), "{event}");
    let pod = namespace.get("pod", "server-0").await;
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(condition(&pod, "PodReadyToStartContainers"), Some("False"));
    assert_eq!(["dbt-server", "dbt-server-nginx-proxy"].map(|name| waits(&pod, name)), ["ContainerCreating"; 2]);
}

#[tokio::test]
async fn crash_ends_again_and_again_and_shows_its_log() {
    let namespace = Namespace::create().await;
    let begin = Instant::now();
    for count in 1..=4 {
        pod_that(&namespace, "crash-1", "restarts", |pod| restarts(pod) >= count).await;
        println!("restart {count} after {:?}", begin.elapsed());
    }
    let pod = pod_that(&namespace, "crash-1", "waits", |pod| waits(pod, "dbt-server") == "CrashLoopBackOff").await;
    only_the_server_fails(&pod, "Running");
    let ended = &container_status(&pod, "dbt-server").unwrap()["lastState"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&json!(1), &json!("Error")));
    for previous in ["--previous=true", "--previous=false"] {
        let log = namespace.run(&["logs", "server-0", "--container", "dbt-server", "--tail", "2", previous]).await.unwrap();
        assert!(log.starts_with("Runtime Error\n  No dbt_project.yml found"), "{log}");
    }
}

#[tokio::test]
async fn slow_gets_ready_after_eight_seconds() {
    let namespace = Namespace::create().await;
    let begin = Instant::now();
    let pod = pod_that(&namespace, "slow-1", "runs", |pod| pod["status"]["phase"] == "Running").await;
    only_the_server_fails(&pod, "Running");
    namespace.until_ready("server").await;
    let seconds = begin.elapsed().as_secs_f32();
    println!("slow-1 ready after {seconds} s");
    assert!((6.5..15.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn unready_never_gets_ready() {
    let namespace = Namespace::create().await;
    let pod = pod_that(&namespace, "unready-1", "runs", |pod| pod["status"]["phase"] == "Running").await;
    only_the_server_fails(&pod, "Running");
    // Longer than `slow` takes.
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    only_the_server_fails(&namespace.get("pod", "server-0").await, "Running");
}
