//! Objects in the shapes that Kubernetes writes.

use std::time::Duration;

use dbt_controller_domain::Identity;
use dbt_controller_domain::model::{ContainerExit, ContainerState, ContainerStatus};
use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-11-21T10:05:00Z";
const CREATED: &str = "2026-11-21T10:00:00Z";
const STARTED: &str = "2026-11-21T10:00:02Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A pod of the server `dbt-server-a` with these parts of a status.
fn pod_with(status: Value) -> Value {
    json!({
        "metadata": {
            "name": "dbt-server-a-0", "namespace": "ns", "uid": "pod-uid", "creationTimestamp": CREATED,
            "labels": { "controller-revision-hash": "dbt-server-a-5d4", "statefulset.kubernetes.io/pod-name": "dbt-server-a-0" },
            "ownerReferences": [
                { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "dbt-server-a", "uid": "set-uid", "controller": true },
            ],
        },
        "spec": {
            "initContainers": [{ "name": "prepare" }],
            "volumes": [
                { "name": "conf", "emptyDir": {} },
                { "name": "dbt-server-a", "persistentVolumeClaim": { "claimName": "dbt-server-a-dbt-server-a-0" } },
            ],
            "containers": [{ "name": "dbt-server" }, { "name": "dbt-server-nginx-proxy" }],
        },
        "status": status,
    })
}

fn conditions(all: &[(&str, &str)]) -> Value {
    all.iter().map(|(kind, status)| json!({ "type": kind, "status": status })).collect()
}

fn folded(pod: Value) -> PodView {
    super::pod(serde_json::from_value(pod).unwrap(), at(NOW)).unwrap()
}

/// The view of a pod whose server's container is in this state, beside a proxy that is well.
fn with_server(server: Value) -> PodView {
    let mut status = json!({ "name": "dbt-server", "ready": false, "restartCount": 0, "image": "i", "imageID": "" });
    status.as_object_mut().unwrap().extend(server.as_object().unwrap().clone());
    let proxy = json!({
        "name": "dbt-server-nginx-proxy", "ready": true, "restartCount": 0, "image": "i", "imageID": "",
        "state": { "running": { "startedAt": "2026-11-21T10:00:05Z" } },
    });
    folded(pod_with(json!({
        "phase": "Pending", "startTime": STARTED,
        "conditions": conditions(&[("PodReadyToStartContainers", "True"), ("Ready", "False"), ("PodScheduled", "True")]),
        // The kubelet sorts by name; the order of the spec is another one.
        "containerStatuses": [proxy, status],
    })))
}

fn server_of(view: &PodView) -> &ContainerState {
    assert_eq!(view.state.containers.len(), 2, "{:?}", view.state.containers);
    &view.state.containers[0]
}

fn waiting(reason: &str, message: &str, since: &str) -> ContainerStatus {
    ContainerStatus::Waiting { reason: reason.to_owned(), message: message.to_owned(), since: at(since) }
}

#[test]
fn a_pod_that_is_well_is_told_in_the_order_of_its_spec() {
    let running = |name: &str, since: &str| {
        json!({
            "name": name, "ready": true, "restartCount": 0, "image": "i", "imageID": "", "started": true,
            "state": { "running": { "startedAt": since } },
        })
    };
    let done = json!({ "name": "prepare", "ready": true, "restartCount": 0, "image": "i", "imageID": "",
        "state": { "terminated": { "exitCode": 0, "reason": "Completed", "finishedAt": STARTED } } });
    let view = folded(pod_with(json!({
        "phase": "Running", "startTime": STARTED,
        "conditions": conditions(&[("PodReadyToStartContainers", "True"), ("Ready", "True"), ("ContainersReady", "True"), ("PodScheduled", "True")]),
        "initContainerStatuses": [done],
        "containerStatuses": [running("dbt-server-nginx-proxy", "2026-11-21T10:00:05Z"), running("dbt-server", "2026-11-21T10:00:09Z")],
    })));
    assert_eq!((view.owner.as_deref(), view.preparing, view.has_claim), (Some("set-uid"), false, true));
    let state = &view.state;
    assert_eq!((state.name.as_str(), state.uid.as_str(), state.revision.as_str()), ("dbt-server-a-0", "pod-uid", "dbt-server-a-5d4"));
    assert!(state.ready && !state.terminating && state.unschedulable.is_none() && state.volume_failure.is_none());
    assert_eq!(state.created_at, at(CREATED));
    let names: Vec<_> = state.containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["dbt-server", "dbt-server-nginx-proxy"], "an init container that is done stands in nobody's way");
    assert_eq!(state.containers[0].status, ContainerStatus::Running { since: at("2026-11-21T10:00:09Z") });
}

#[test]
fn a_pull_that_goes_wrong_has_stood_since_it_was_seen() {
    for reason in ["ErrImagePull", "ImagePullBackOff"] {
        let view = with_server(json!({ "state": { "waiting": { "reason": reason, "message": "not found" } } }));
        assert_eq!(server_of(&view).status, waiting(reason, "not found", NOW));
    }
    assert!(is_same_family("ErrImagePull", "ImagePullBackOff"));
    assert!(!is_same_family("ErrImagePull", "ContainerCreating"));
    assert!(!is_same_family("CrashLoopBackOff", "ImagePullBackOff"));
}

#[test]
fn a_container_that_ends_again_and_again_waits_since_its_last_end() {
    let ended = json!({ "exitCode": 1, "reason": "Error", "startedAt": STARTED, "finishedAt": "2026-11-21T10:04:00Z" });
    let view = with_server(json!({
        "restartCount": 4,
        "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 1m20s restarting failed container" } },
        "lastState": { "terminated": ended.clone() },
    }));
    let server = server_of(&view);
    assert_eq!(server.restarts, 4);
    assert_eq!(server.status, waiting("CrashLoopBackOff", "back-off 1m20s restarting failed container", "2026-11-21T10:04:00Z"));
    let exit =
        ContainerExit { code: 1, reason: "Error".to_owned(), at: at("2026-11-21T10:04:00Z"), ran_for: Some(Duration::from_secs(238)) };
    assert_eq!(server.last_exit, Some(exit.clone()));

    let view = with_server(json!({ "state": { "terminated": ended } }));
    assert_eq!((&server_of(&view).status, &server_of(&view).last_exit), (&ContainerStatus::Terminated(exit.clone()), &Some(exit)));
}

#[test]
fn an_end_by_a_signal_has_its_code() {
    for (end, code, reason) in [
        (json!({ "exitCode": 137, "reason": "OOMKilled", "finishedAt": NOW }), 137, "OOMKilled"),
        (json!({ "exitCode": 0, "signal": 9 }), 137, "Completed"),
        (json!({ "exitCode": 2 }), 2, "Error"),
    ] {
        let view = with_server(json!({ "state": { "terminated": end } }));
        let exit = server_of(&view).last_exit.clone().unwrap();
        assert_eq!((exit.code, exit.reason.as_str()), (code, reason));
    }
}

#[test]
fn a_missing_secret_is_told_as_the_cluster_tells_it() {
    let message = "couldn't find key GITLINK_SECRET in Secret ns/dbt-server-secret-a";
    let view = with_server(json!({ "state": { "waiting": { "reason": "CreateContainerConfigError", "message": message } } }));
    assert_eq!(server_of(&view).status, waiting("CreateContainerConfigError", message, NOW));
}

#[test]
fn a_container_that_is_being_made_waits_since_the_pod_was_taken() {
    for state in [json!({ "waiting": { "reason": "ContainerCreating" } }), json!({ "waiting": {} }), json!({})] {
        let view = with_server(json!({ "state": state }));
        assert_eq!(server_of(&view).status, waiting("ContainerCreating", "", STARTED));
    }
}

#[test]
fn a_pod_that_no_node_takes_says_why() {
    let message = "0/3 nodes are available: 3 Insufficient memory.";
    let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message });
    let view = folded(pod_with(json!({ "phase": "Pending", "conditions": [condition] })));
    assert_eq!(view.state.unschedulable.as_deref(), Some(message));
    assert!(view.state.containers.is_empty() && !view.preparing);
}

#[test]
fn a_pod_without_its_volumes_is_still_being_prepared() {
    let preparing = |all: &[(&str, &str)]| folded(pod_with(json!({ "phase": "Pending", "conditions": conditions(all) }))).preparing;
    assert!(preparing(&[("PodScheduled", "True"), ("PodReadyToStartContainers", "False"), ("ContainersReady", "False")]));
    assert!(
        !preparing(&[("PodScheduled", "True"), ("PodReadyToStartContainers", "True"), ("ContainersReady", "False")]),
        "an image is pulled"
    );
    assert!(!preparing(&[("PodScheduled", "False")]));
}

#[test]
fn an_init_container_that_stands_in_the_way_is_told_first() {
    let status = |name: &str, state: Value, restarts: u32| {
        json!({ "name": name, "ready": false, "restartCount": restarts, "image": "i", "imageID": "", "state": state,
            "lastState": { "terminated": { "exitCode": 3, "finishedAt": NOW } } })
    };
    let view = folded(pod_with(json!({
        "phase": "Pending", "startTime": STARTED, "conditions": conditions(&[("PodScheduled", "True")]),
        "initContainerStatuses": [status("prepare", json!({ "waiting": { "reason": "CrashLoopBackOff" } }), 5)],
        "containerStatuses": [status("dbt-server", json!({ "waiting": { "reason": "PodInitializing" } }), 0)],
    })));
    let told: Vec<_> = view.state.containers.iter().map(|container| (container.name.as_str(), container.restarts)).collect();
    assert_eq!(told, [("prepare", 5), ("dbt-server", 0)]);
}

#[test]
fn an_orphan_counts_and_what_only_looks_like_a_servers_pod_does_not() {
    let mut orphan = pod_with(json!({}));
    orphan["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    assert_eq!(folded(orphan.clone()).owner, None);
    orphan["metadata"].as_object_mut().unwrap().remove("labels");
    let fold = |pod: &Value| super::pod(serde_json::from_value(pod.clone()).unwrap(), at(NOW));
    assert_eq!(fold(&orphan), None, "the pod of a Job may be called so too");
    orphan["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "dbt-server-a", "uid": "u", "controller": true }]);
    assert_eq!(fold(&orphan), None);
}

#[test]
fn names_tell_the_server() {
    let key = |name: &str| server_key("ns", name).unwrap();
    assert_eq!(server_of_pod("ns", "dbt-server-a-0"), Some((key("dbt-server-a"), 0)));
    assert_eq!(server_of_pod("ns", "a-12"), Some((key("a"), 12)));
    for name in ["a", "a-", "-0", "a-00", "a-+1", "a-4294967296", "a.b-0"] {
        assert_eq!(server_of_pod("ns", name), None, "{name}");
    }
    assert_eq!(server_of_claim("ns", "dbt-server-a-dbt-server-a-0"), Some((key("dbt-server-a"), 0)));
    assert_eq!(server_of_claim("ns", "a-a-3"), Some((key("a"), 3)));
    // A server `a-a` and one `a` do not meet: the halves must be equal.
    assert_eq!(server_of_claim("ns", "a-a-a-a-3"), Some((key("a-a"), 3)));
    for name in ["data-dbt-server-a-0", "a-b-0", "aa-0", "a-a", "a-a-x", "-0", "ü-ü-0", "0"] {
        assert_eq!(server_of_claim("ns", name), None, "{name}");
    }
}

#[test]
fn a_stateful_set_is_folded_and_defaults_are_the_api_servers() {
    let set = json!({
        "metadata": { "name": "dbt-server-a", "namespace": "ns", "uid": "set-uid", "generation": 3, "creationTimestamp": CREATED },
        "spec": { "replicas": 1, "selector": {}, "template": {}, "serviceName": "dbt-server-a" },
        "status": {
            "observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "collisionCount": 0,
            "currentRevision": "dbt-server-a-1", "updateRevision": "dbt-server-a-2",
        },
    });
    let view = stateful_set(serde_json::from_value(set.clone()).unwrap());
    assert_eq!((view.uid.as_str(), view.state.generation, view.state.observed_generation), ("set-uid", 3, 2));
    assert_eq!((view.state.replicas, view.state.ready_replicas, view.state.updated_replicas), (1, 1, 1));
    assert_eq!((view.state.current_revision.as_str(), view.state.update_revision.as_str()), ("dbt-server-a-1", "dbt-server-a-2"));

    let mut fresh = set;
    fresh.as_object_mut().unwrap().remove("status");
    fresh["spec"].as_object_mut().unwrap().remove("replicas");
    let view = stateful_set(serde_json::from_value(fresh).unwrap());
    assert_eq!((view.state.replicas, view.state.ready_replicas, view.state.observed_generation), (1, 0, 0));
}

#[test]
fn a_claim_tells_whose_data_it_holds() {
    let claim = |name: &str| {
        json!({
            "metadata": {
                "name": name, "namespace": "ns", "uid": "claim-uid",
                "annotations": { "dbt-controller.fast.bi/project": "A", "dbt-controller.fast.bi/branch": "main" },
            },
            "spec": { "resources": { "requests": { "storage": "1536Mi" } } },
            "status": { "phase": "Bound" },
        })
    };
    let fold = |value: Value| super::claim(serde_json::from_value(value).unwrap());
    let view = fold(claim("dbt-server-a-dbt-server-a-0")).unwrap();
    assert_eq!((view.uid.as_str(), view.claim.terminating, view.bytes), ("claim-uid", false, Some(3 << 29)));
    assert_eq!(view.claim.identity, Identity::parse("A", Some("main")).ok());
    assert_eq!(view.claim.size.map(|size| size.to_string()).as_deref(), Some("1536Mi"));
    assert_eq!(view.claim.phase, "Bound");
    assert_eq!(fold(claim("data-dbt-server-a-0")), None, "of another template");

    let bare = fold(json!({ "metadata": { "name": "a-a-0", "namespace": "ns", "deletionTimestamp": NOW } })).unwrap();
    assert_eq!((bare.claim.identity, bare.claim.size, bare.claim.phase.as_str(), bare.claim.terminating), (None, None, "Pending", true));
}

#[test]
fn the_grace_is_that_of_the_deletion_and_none_before() {
    let mut pod = pod_with(json!({}));
    pod["spec"]["terminationGracePeriodSeconds"] = json!(600);
    assert_eq!(folded(pod.clone()).grace, Duration::ZERO, "nobody has asked it to end");
    pod["metadata"]["deletionTimestamp"] = json!(CREATED);
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    assert_eq!(folded(pod).grace, Duration::from_secs(30), "whoever deleted it gave it less");
}
