//! What can keep a server from coming up: the answer says what it is, in time, and everything is as it was before.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::*;
use dbt_controller_port_contracts::fixtures;
use dbt_controller_tests::{Namespace, until};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::support::stage::{CANARY, PULL_ERROR_WINDOW, Setup, Stage, failure, history, name, revision, uid};

/// How much later than its cause an answer may come: the machine may be busy.
const SLACK: Duration = Duration::from_secs(20);

/// What a pod can go through, chosen by the tag of its image.
struct Trap {
    tag: &'static str,
    code: FailureCode,
    /// How long it takes at least, and at most plus [`SLACK`], until it counts as hopeless.
    window: [Duration; 2],
    /// Words of the message.
    message: &'static [&'static str],
    /// Words of an event in the autopsy.
    event: &'static str,
    /// What the autopsy says of the container: state, reason and exit code.
    container: (&'static str, &'static [&'static str], Option<i32>),
    /// Words of the container's log; none if it never ran.
    log: Option<&'static str>,
}

const AT_ONCE: [Duration; 2] = [Duration::ZERO, Duration::ZERO];

const TRAPS: &[Trap] = &[
    Trap {
        tag: "missing-1",
        code: FailureCode::ImagePullFailed,
        window: [PULL_ERROR_WINDOW, PULL_ERROR_WINDOW],
        message: &["the image of container `dbt-server` cannot be pulled", "missing-1: not found", "check that the tag exists"],
        event: "Failed to pull image",
        container: ("waiting", &["ErrImagePull", "ImagePullBackOff"], None),
        log: None,
    },
    Trap {
        tag: "invalid-1",
        code: FailureCode::ImagePullFailed,
        window: AT_ONCE,
        message: &["the image of container `dbt-server` cannot be used (InvalidImageName)", "correct `repository`, `image` or `tag`"],
        event: "parse image name",
        container: ("waiting", &["InvalidImageName"], None),
        log: None,
    },
    Trap {
        tag: "crash-1",
        code: FailureCode::CrashLoop,
        // Three restarts, each after a moment.
        window: [Duration::from_secs(1), Duration::from_secs(4)],
        message: &["container `dbt-server` ended 3 times, last with exit code 1 (Error)"],
        event: "Back-off restarting failed container",
        // It may be seen before or after it ended once more.
        container: ("", &["", "CrashLoopBackOff"], Some(1)),
        log: Some("No dbt_project.yml found"),
    },
    Trap {
        tag: "config-1",
        code: FailureCode::ContainerConfig,
        window: AT_ONCE,
        message: &["container `dbt-server` of pod", "(CreateContainerConfigError): couldn't find key DBT_PASSWORD in Secret"],
        event: "couldn't find key DBT_PASSWORD",
        container: ("waiting", &["CreateContainerConfigError"], None),
        log: None,
    },
    Trap {
        tag: "mount-1",
        code: FailureCode::VolumeFailed,
        // A volume may take some time; only a failure that stands counts.
        window: [Duration::from_secs(20), Duration::from_secs(45)],
        message: &["a volume of pod", "secret \"dbt-credentials\" not found", "check the claim"],
        event: "MountVolume.SetUp failed",
        container: ("waiting", &["ContainerCreating"], None),
        log: None,
    },
];

impl Trap {
    fn project(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.tag)
    }

    /// Whether a failure tells everything about this trap, and no secret.
    #[track_caller]
    fn check(&self, operation: &FinishedOperation) {
        let failure = failure(operation.outcome.clone(), self.code, self.message);
        assert_eq!((failure.phase, failure.undo), (Some(Phase::Ready), UndoOutcome::Undone), "{failure}");
        let [least, most] = self.window;
        let begin = |phase| operation.events.iter().find(|event| event.begins_phase && event.phase == phase).unwrap().at;
        let waited = Duration::try_from(begin(Phase::Undo).duration_since(begin(Phase::Ready))).unwrap();
        assert!(waited >= least && waited <= most + SLACK, "{}: {waited:?}", self.tag);

        let autopsy = failure.autopsy.as_deref().unwrap();
        assert!(autopsy.events.iter().any(|event| event.message.contains(self.event)), "{:#?}", autopsy.events);
        assert!(autopsy.volumes.iter().all(|volume| volume.phase == "Bound") && autopsy.volumes.len() == 1, "{:#?}", autopsy.volumes);
        assert_eq!(autopsy.gaps, Vec::<String>::new());
        let names: Vec<_> = autopsy.containers.iter().map(|container| container.container.as_str()).collect();
        assert_eq!(names, ["dbt-server", "dbt-server-nginx-proxy"]);
        let server = &autopsy.containers[0];
        let (state, reasons, exit_code) = self.container;
        assert!(state.is_empty() || server.state == state, "{server:#?}");
        assert!(reasons.contains(&server.reason.as_deref().unwrap_or_default()), "{server:#?}");
        assert_eq!(server.exit_code, exit_code, "{server:#?}");
        match self.log {
            None => assert_eq!(server.log, Vec::<String>::new()),
            Some(words) => {
                assert!(server.log.iter().any(|line| line.contains(words)), "{server:#?}");
                assert!(server.log.iter().any(|line| line.contains("unable to access '***/'")), "{server:#?}");
            }
        }
        assert!(!format!("{failure:?}").contains(CANARY), "{failure:?}");
    }

    /// The first POST of a project runs into it.
    async fn spring_at_first(&self, stage: &Stage) {
        let operation = stage.operation(stage.request(&self.project("first")).tag(self.tag)).await;
        self.check(&operation);
    }

    /// A server runs, and a change of it runs into it.
    async fn spring_at_a_change(&self, stage: &Stage) {
        let project = self.project("change");
        let server = name(&project);
        assert_eq!(revision(stage.deploy(stage.request(&project)).await), 1);
        let (claim, connections) = (stage.claim(&server).await, stage.airflow.ours());

        let operation = stage.operation(stage.request(&project).tag(self.tag).worker_num(3)).await;
        self.check(&operation);

        // A StatefulSet does not replace its broken pod by itself (kubernetes#67250); the undo does.
        assert_eq!(stage.inspect(&server).await.server.phase, ServerPhase::Ready, "{}", self.tag);
        assert_eq!(image(&stage.pod(&server).await), "4fastbi/dbt-api-server-core:1.0.0");
        assert_eq!(uid(&stage.claim(&server).await), uid(&claim));
        assert_eq!(connection_of(&connections, &server), connection_of(&stage.airflow.ours(), &server));
        let lines = stage.history(&server).await;
        let statuses: Vec<_> = lines.iter().map(|(revision, status, _)| (*revision, status.as_str())).collect();
        assert_eq!(statuses, [(1, "superseded"), (2, "failed"), (3, "deployed")]);
        assert!(lines[1].2.contains(self.message[0]), "{lines:?}");
        assert_eq!(lines[2].2, "Rollback to 1");
    }
}

fn image(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap()
}

fn connection_of<'a>(connections: &'a [StoredConnection], server: &str) -> Option<&'a StoredConnection> {
    connections.iter().find(|connection| connection.owner.as_ref().is_some_and(|owner| owner.name.as_str() == server))
}

/// The windows are long for some, so they all go side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_cannot_come_up_is_explained_and_taken_back() {
    let [first, change] = [Stage::new().await, Stage::new().await];
    let (at_first, at_a_change) =
        (TRAPS.iter().map(|trap| trap.spring_at_first(&first)), TRAPS.iter().map(|trap| trap.spring_at_a_change(&change)));
    join(join_all(at_first), join_all(at_a_change)).await;
    first.assert_nothing_left().await;
}

#[tokio::test]
async fn the_warehouse_secret_is_looked_for_before_anything_is_made() {
    let stage = Stage::new().await;
    let request = || stage.request("shop").warehouse(Warehouse::Snowflake);
    let outcome = stage.deploy(request()).await;
    let failure = failure(outcome, FailureCode::WarehouseSecretMissing, &["`data-warehouse-snowflake-secrets`", stage.namespace.name()]);
    assert_eq!(failure.undo, UndoOutcome::NothingToUndo);
    stage.assert_nothing_left().await;

    let metadata = json!({"name": "data-warehouse-snowflake-secrets"});
    stage.namespace.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})).await;
    assert_eq!(revision(stage.deploy(request()).await), 1);
}

/// A label of a node of one test's own, which is also its taint: the pods of others do not go there.
const POOL: &str = "dbt-controller-tests/pool";

/// What a pod needs to run on the nodes of a pool, and on no others.
fn in_pool(pool: &str) -> Value {
    json!({"template": {"spec": {
        "nodeSelector": {POOL: pool},
        "tolerations": [{"key": POOL, "operator": "Exists", "effect": "NoSchedule"}],
    }}})
}

/// Lets a node join a pool. It goes with the namespace.
async fn add_node(namespace: &Namespace, pool: &str) {
    let owner = namespace.get("namespace", namespace.name()).await;
    let metadata = json!({
        "name": pool,
        "annotations": {"kwok.x-k8s.io/node": "fake"},
        "labels": {POOL: pool},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": namespace.name(), "uid": uid(&owner)}],
    });
    let spec = json!({"taints": [{"key": POOL, "effect": "NoSchedule"}]});
    namespace.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec})).await;
}

#[tokio::test]
async fn a_pod_without_a_node_waits_for_one() {
    let pool = format!("pool-{}", uuid::Uuid::new_v4().simple());
    let stage = Stage::with(Setup::overlaid(&in_pool(&pool))).await;
    let ticket = stage.controller.deploy(stage.request("shop").build(), fixtures::caller()).await.unwrap();
    let mut views = stage.controller.follow(&ticket.id).await.unwrap().unwrap();
    let is_told = |view: &Arc<OperationView>| {
        let words = format!("no node takes pod `{}-0` yet: ", name("shop"));
        view.events.iter().any(|event| event.phase == Phase::Ready && event.message.starts_with(&words))
    };
    tokio::time::timeout(SLACK, views.wait_for(is_told)).await.expect("the scheduler's words are progress").unwrap();
    assert_eq!(stage.inspect(&name("shop")).await.server.phase, ServerPhase::Starting);

    add_node(&stage.namespace, &pool).await;
    assert_eq!(revision(stage.controller.wait(&ticket).await.unwrap().outcome.clone()), 1);
    assert_eq!(stage.pod(&name("shop")).await["spec"]["nodeName"], pool);
}

#[tokio::test]
async fn a_pod_that_never_gets_a_node_says_so_at_the_end() {
    let setup = Setup { deploy_timeout: Duration::from_secs(20), ..Setup::overlaid(&in_pool("nobody")) };
    let stage = Stage::with(setup).await;
    let outcome = stage.deploy(stage.request("shop")).await;
    let failure = failure(outcome, FailureCode::DeployTimeout, &["no node takes pod `dbt-server-shop-main-0` yet", "affinity/selector"]);
    assert!(failure.autopsy.unwrap().scheduling.unwrap().contains("affinity/selector"));
    stage.assert_nothing_left().await;
}

#[tokio::test]
async fn an_old_server_that_does_not_come_back_is_told_after_a_while() {
    let pool = format!("pool-{}", uuid::Uuid::new_v4().simple());
    let undo_timeout = Duration::from_secs(8);
    let stage = Stage::with(Setup { undo_timeout, ..Setup::overlaid(&in_pool(&pool)) }).await;
    let server = name("shop");
    add_node(&stage.namespace, &pool).await;
    assert_eq!(revision(stage.deploy(stage.request("shop")).await), 1);

    let ticket = stage.controller.deploy(stage.request("shop").tag("missing-1").build(), fixtures::caller()).await.unwrap();
    until("the new pod has got its node", async || {
        let pod = stage.namespace.find("pod", &format!("{server}-0")).await?;
        (image(&pod).ends_with(":missing-1") && pod["spec"]["nodeName"] == pool).then_some(())
    })
    .await;
    // From now on no pod gets one, and the old server's needs one.
    stage.namespace.run(&["cordon", &pool]).await.unwrap();
    let operation = stage.controller.wait(&ticket).await.unwrap();
    let words = [
        "cannot be pulled",
        "the undo was incomplete: the server of revision 1 does not come up again",
        "no node takes pod",
        "raise `UNDO_TIMEOUT`",
    ];
    let failure = failure(operation.outcome.clone(), FailureCode::RollbackFailed, &words);
    assert_eq!(failure.undo, UndoOutcome::Failed, "{failure}");
    let undo = operation.events.iter().find(|event| event.begins_phase && event.phase == Phase::Undo).unwrap().at;
    let waited = Duration::try_from(operation.finished_at.duration_since(undo)).unwrap();
    // Its time begins a moment before it is told.
    assert!(waited >= undo_timeout / 2 && waited < undo_timeout + SLACK, "{waited:?}");
    let lines = stage.history(&server).await;
    let statuses: Vec<_> = lines.iter().map(|(revision, status, _)| (*revision, status.as_str())).collect();
    assert_eq!(statuses, [(1, "deployed"), (2, "failed"), (3, "failed")], "{lines:?}");
    assert!(lines[1].2.contains("cannot be pulled") && lines[2].2.contains("was not ready in time"), "{lines:?}");

    // A POST goes on from there.
    stage.namespace.run(&["uncordon", &pool]).await.unwrap();
    assert_eq!(revision(stage.deploy(stage.request("shop").tag("2.0.0")).await), 4);
}

fn of_class(class: &str) -> Setup {
    Setup::overlaid(&json!({"volumeClaimTemplates": [{"spec": {"storageClassName": class}}]}))
}

#[tokio::test]
async fn a_claim_that_is_never_bound_ends_with_the_deploy_timeout() {
    let stage = Stage::with(Setup { deploy_timeout: Duration::from_secs(4), ..of_class("kwok-never") }).await;
    let outcome = stage.deploy(stage.request("shop")).await;
    let failure = failure(outcome, FailureCode::DeployTimeout, &["unbound", "PersistentVolumeClaim"]);
    let volumes = failure.autopsy.unwrap().volumes;
    assert_eq!((volumes.len(), volumes[0].phase.as_str()), (1, "Pending"), "{volumes:?}");
    stage.assert_nothing_left().await;
}

/// The size that a claim asks for.
fn size(claim: &Value) -> &Value {
    &claim["spec"]["resources"]["requests"]["storage"]
}

#[tokio::test]
async fn a_bigger_claim_grows_and_the_pod_stays() {
    let stage = Stage::new().await;
    let (server, wished) = (name("shop"), |size| stage.request("shop").storage(size));
    assert_eq!(revision(stage.deploy(wished("1Gi")).await), 1);
    let before = (stage.namespace.get("statefulset", &server).await, stage.pod(&server).await, stage.claim(&server).await);

    assert_eq!(revision(stage.deploy(wished("2Gi")).await), 2);
    let (set, pod, claim) = (stage.namespace.get("statefulset", &server).await, stage.pod(&server).await, stage.claim(&server).await);
    assert_ne!(uid(&set), uid(&before.0), "its claim template cannot be changed, so it is made anew");
    assert_eq!(size(&set["spec"]["volumeClaimTemplates"][0]), "2Gi");
    assert_eq!(uid(&pod), uid(&before.1), "only the claim changes, so nothing restarts");
    assert_eq!((uid(&claim), size(&claim)), (uid(&before.2), &json!("2Gi")));

    // An undo keeps what has grown, and the size can be asked for again.
    let broken = stage.deploy(wished("3Gi").tag("invalid-1")).await;
    assert_eq!(failure(broken, FailureCode::ImagePullFailed, &[]).undo, UndoOutcome::Undone);
    assert_eq!(stage.inspect(&server).await.server.phase, ServerPhase::Ready);
    let claim = stage.claim(&server).await;
    assert_eq!((uid(&claim), size(&claim)), (uid(&before.2), &json!("3Gi")));
    assert_eq!(stage.history(&server).await[3], (4, "deployed".to_owned(), "Rollback to 2".to_owned()));
    assert_eq!(revision(stage.deploy(wished("3Gi")).await), 5);

    let outcome = stage.deploy(wished("1Gi")).await;
    let refused =
        failure(outcome, FailureCode::ClaimCannotShrink, &["the claim has 3Gi and cannot become smaller", "ask for at least 3Gi"]);
    assert_eq!(refused.undo, UndoOutcome::NothingToUndo);
    assert_eq!(stage.history(&server).await.len(), 5);
    stage.delete(&server).await.unwrap();
    stage.assert_nothing_left().await;
}

#[tokio::test]
async fn a_claim_whose_class_does_not_grow_is_refused_and_left_as_it_is() {
    let stage = Stage::with(of_class("kwok-fixed")).await;
    let server = name("shop");
    assert_eq!(revision(stage.deploy(stage.request("shop")).await), 1);
    let before = (stage.namespace.get("statefulset", &server).await, stage.pod(&server).await, stage.claim(&server).await);

    let outcome = stage.deploy(stage.request("shop").storage("2Gi")).await;
    let words = ["the claim cannot grow: ", "allowVolumeExpansion", "or keep `storage_size`"];
    let failure = failure(outcome, FailureCode::ClaimCannotGrow, &words);
    assert_eq!((failure.phase, failure.undo), (Some(Phase::Apply), UndoOutcome::Undone), "{failure}");
    let after = (stage.namespace.get("statefulset", &server).await, stage.pod(&server).await, stage.claim(&server).await);
    assert_eq!(before.0["metadata"]["generation"], after.0["metadata"]["generation"]);
    assert_eq!([uid(&before.0), uid(&before.1), uid(&before.2)], [uid(&after.0), uid(&after.1), uid(&after.2)]);
    assert_eq!(size(&after.2), "1Gi");
    let lines = stage.history(&server).await;
    assert_eq!(lines[2], (3, "deployed".to_owned(), "Rollback to 1".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn a_server_that_is_put_to_sleep_meanwhile_is_committed_but_not_called_ready() {
    let stage = Stage::new().await;
    let server = name("shop");
    let ticket = stage.controller.deploy(stage.request("shop").tag("slow-1").build(), fixtures::caller()).await.unwrap();
    until("its pod runs", async || stage.namespace.find("pod", &format!("{server}-0")).await).await;
    stage.namespace.run(&["scale", "statefulset", &server, "--replicas", "0"]).await.unwrap();

    let outcome = stage.controller.wait(&ticket).await.unwrap().outcome.clone();
    let failure = failure(outcome, FailureCode::PutToSleep, &["scaled the server to 0", "not proved ready", "resume it"]);
    assert_eq!(failure.undo, UndoOutcome::LeftAsIs);
    assert_eq!(stage.history(&server).await, history([(1, "deployed", "Install complete")]));
    assert_eq!(stage.airflow.ours().len(), 1, "the connection is written");
    assert_eq!(stage.namespace.get("statefulset", &server).await["spec"]["replicas"], 0);
    assert_eq!(stage.inspect(&server).await.server.phase, ServerPhase::Sleeping);
}
