//! A human's Helm in the middle of our operations: it wins, and nothing is in the way afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbt_controller_domain::model::*;
use dbt_controller_tests::replaced::SecretField;
use dbt_controller_tests::{HelmVersion, until};
use futures_util::future::join_all;

use crate::support::at_work::{Held, uninstall, until_uninstalling, upgrade};
use crate::support::interloper::{Act, Interloper, Step};
use crate::support::replaced::Maker;
use crate::support::stage::{Setup, Stage, failure, name, revision};

/// A stage with somebody between the service and its ports.
async fn stage_with_interloper() -> (Stage, Arc<Interloper>) {
    let mut interloper = None;
    let stage = Stage::wrapped(Setup::default(), |ports, namespace| {
        let (human, ports) = Interloper::between(ports, namespace);
        interloper = Some(human);
        ports
    })
    .await;
    (stage, interloper.unwrap())
}

/// The number of workers in the live StatefulSet, which tells whose revision it is of.
async fn live_workers(stage: &Stage, server: &str) -> Option<String> {
    let set = stage.namespace.find("statefulset", server).await?;
    let variables = set["spec"]["template"]["spec"]["containers"][0]["env"].as_array()?;
    let workers = variables.iter().find(|variable| variable["name"] == "DBT_SERVER_WORKER_NUM")?;
    workers["value"].as_str().map(str::to_owned)
}

/// What the cluster has of a release, as `kind/name`: what carries its label, without its pod, which ends by itself.
async fn objects(stage: &Stage, server: &str) -> Vec<String> {
    const KINDS: &str = "serviceaccounts,secrets,configmaps,services,statefulsets,ingresses,persistentvolumeclaims";
    let label = format!("app.kubernetes.io/instance={server}");
    let shown = stage.namespace.run(&["get", KINDS, "--selector", &label, "--output", "name"]).await.unwrap();
    shown.lines().map(str::to_owned).collect()
}

fn claim(server: &str) -> String {
    format!("persistentvolumeclaim/{server}-{server}-0")
}

/// The password in the server's Secret.
async fn password(stage: &Stage, server: &str) -> Option<String> {
    let secret = stage.namespace.find("secret", &format!("dbt-server-secret-{server}")).await?;
    secret["data"]["BASIC_AUTH_PASSWORD"].as_str().map(str::to_owned)
}

/// A human acts before a step of a changed POST.
async fn check(stage: &Stage, interloper: &Interloper, helm: HelmVersion, step: Step, act: Act) {
    let case = format!("{act:?} by {} before {step:?}", helm.as_str());
    let project = format!("{act:?}-{step:?}-{}", helm.as_str()).to_lowercase();
    let server = name(&project);
    let wished = |workers| stage.request(&project).https().worker_num(workers);
    assert_eq!(revision(stage.deploy(wished(1)).await), 1, "{case}");
    assert_eq!(objects(stage, &server).await.len(), 7, "{case}: one of each kind");
    let old_password = password(stage, &server).await;
    let id = wished(1).build().identity.connection_ids()[0].clone();
    let login = stage.airflow.login(&id);

    interloper.plan(&server, step, helm, act);
    // With a login of its own, so that the connection is written, too.
    let changed = wished(2).password("another-password");
    let failure = failure(stage.deploy(changed).await, FailureCode::ReleaseChanged, &["the release was changed by somebody else"]);
    let undo = if step == Step::Record { UndoOutcome::NothingToUndo } else { UndoOutcome::LeftAsIs };
    assert_eq!(failure.undo, undo, "{case}: {failure}");
    // With the release its login went too; what the connection has then is nobody's, and the next POST writes it anew.
    let is_gone = act == Act::Uninstall && matches!(step, Step::Connect | Step::Commit);
    if !is_gone {
        assert_eq!(stage.airflow.login(&id), login, "{case}");
    }
    let next = match act {
        Act::RollBack => {
            let lines = stage.history(&server).await;
            let (revision, status, description) = lines.last().unwrap();
            assert_eq!((status.as_str(), description.as_str()), ("deployed", "Rollback to 1"), "{case}: {lines:?}");
            assert_eq!(*revision, if step == Step::Record { 2 } else { 3 }, "{case}: {lines:?}");
            assert_eq!(live_workers(stage, &server).await.as_deref(), Some("1"), "{case}");
            assert!(old_password.is_some() && password(stage, &server).await == old_password, "{case}");
            stage.namespace.until_ready(&server).await;
            u32::try_from(*revision).unwrap() + 1
        }
        Act::Uninstall => {
            assert_eq!(objects(stage, &server).await, [claim(&server)], "{case}");
            let records = format!("owner=helm,name={server}");
            assert_eq!(stage.namespace.list("secrets", &records).await.len(), 0, "{case}");
            1
        }
    };

    assert_eq!(revision(stage.deploy(wished(3)).await), next, "{case}");
    assert_eq!(live_workers(stage, &server).await.as_deref(), Some("3"), "{case}");
    let lines = stage.history(&server).await;
    let is_over = |(revision, status, _): &(u64, String, String)| {
        *revision == u64::from(next) || status != "deployed" && !status.starts_with("pending")
    };
    assert!(lines.iter().all(is_over), "{case}: {lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_human_wins_at_every_step_and_the_next_post_works() {
    let (stage, interloper) = stage_with_interloper().await;
    let steps = HelmVersion::ALL.into_iter().flat_map(|helm| Step::ALL.map(|step| (helm, step)));
    let cases = steps.flat_map(|(helm, step)| Act::ALL.map(|act| (helm, step, act)));
    join_all(cases.map(|(helm, step, act)| check(&stage, &interloper, helm, step, act))).await;
}

/// A human uninstalls before a step of a first POST.
async fn check_first(stage: &Stage, interloper: &Interloper, helm: HelmVersion, step: Step) {
    let case = format!("uninstall by {} before {step:?} of a first POST", helm.as_str());
    let project = format!("first-{step:?}-{}", helm.as_str()).to_lowercase();
    let server = name(&project);
    interloper.plan(&server, step, helm, Act::Uninstall);
    let wished = stage.request(&project).https();
    let failure = failure(stage.deploy(wished).await, FailureCode::ReleaseChanged, &["changed by somebody else"]);
    assert_eq!(failure.undo, UndoOutcome::LeftAsIs, "{case}: {failure}");
    // Before the apply there was nothing yet.
    let left = if step == Step::Apply { vec![] } else { vec![claim(&server)] };
    assert_eq!(objects(stage, &server).await, left, "{case}");
    let records = format!("owner=helm,name={server}");
    assert_eq!(stage.namespace.list("secrets", &records).await.len(), 0, "{case}");
    let id = stage.request(&project).build().identity.connection_ids()[0].clone();
    assert_eq!(stage.airflow.login(&id), None, "{case}");
    assert_eq!(revision(stage.deploy(stage.request(&project)).await), 1, "{case}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uninstall_in_a_first_post_wins_and_the_next_post_works() {
    let (stage, interloper) = stage_with_interloper().await;
    let steps = [Step::Apply, Step::Connect, Step::Commit];
    let cases = HelmVersion::ALL.into_iter().flat_map(|helm| steps.map(|step| (helm, step)));
    join_all(cases.map(|(helm, step)| check_first(&stage, &interloper, helm, step))).await;
}

/// A human acts while a POST waits for a server that never gets ready.
async fn check_wait(stage: &Stage, interloper: &Interloper, helm: HelmVersion, act: Option<Act>) {
    let case = format!("{act:?} by {} during the wait", helm.as_str());
    let is_first = act.is_none();
    let project = format!("wait-{}-{}", act.map_or("first".to_owned(), |act| format!("{act:?}")), helm.as_str()).to_lowercase();
    let server = name(&project);
    if !is_first {
        assert_eq!(revision(stage.deploy(stage.request(&project)).await), 1, "{case}");
    }
    let interfere = async {
        let pod = format!("{server}-0");
        until("the pod runs that never gets ready", async || {
            let pod = stage.namespace.find("pod", &pod).await?;
            let image = pod["spec"]["containers"][0]["image"].as_str()?;
            (image.ends_with(":unready-1") && pod["status"]["phase"] == "Running").then_some(())
        })
        .await;
        interloper.act(&server, helm, act.unwrap_or(Act::Uninstall)).await;
        Instant::now()
    };
    let (outcome, acted) = tokio::join!(stage.deploy(stage.request(&project).tag("unready-1")), interfere);
    assert!(acted.elapsed() < Duration::from_secs(20), "{case}: the wait went on for {:?}", acted.elapsed());
    let failure = failure(outcome, FailureCode::ReleaseChanged, &["the release was changed by somebody else"]);
    assert_eq!(failure.undo, UndoOutcome::LeftAsIs, "{case}: {failure}");
    let next = if act == Some(Act::RollBack) { 4 } else { 1 };
    assert_eq!(revision(stage.deploy(stage.request(&project).worker_num(3)).await), next, "{case}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_human_ends_the_wait_for_a_server() {
    let (stage, interloper) = stage_with_interloper().await;
    let acts = [None, Some(Act::Uninstall), Some(Act::RollBack)];
    let cases = HelmVersion::ALL.into_iter().flat_map(|helm| acts.map(|act| (helm, act)));
    join_all(cases.map(|(helm, act)| check_wait(&stage, &interloper, helm, act))).await;
}

#[tokio::test]
async fn a_delete_finishes_what_a_humans_uninstall_began() {
    let (stage, interloper) = stage_with_interloper().await;
    for helm in HelmVersion::ALL {
        let server = name("shop");
        revision(stage.deploy(stage.request("shop")).await);
        interloper.act(&server, helm, Act::Uninstall).await;
        let Ok(Success::Deleted { claims, connection }) = stage.delete(&server).await else { panic!("not deleted") };
        assert_eq!((claims, connection.status), (vec![format!("{server}-{server}-0")], ConnectionOutcome::Deleted));
        stage.assert_nothing_left().await;
    }
    // The same for one that was adopted: its server is not called as its release.
    let maker = Maker { helm: HelmVersion::V3, secret: SecretField::Data };
    let old = maker.deploy(&stage, &stage.request("market").build()).await;
    stage.namespace.until_ready(&old.server).await;
    until("it is seen", async || stage.controller.find(&crate::support::stage::target(old.key.name.as_str())).await.ok()).await;
    assert_eq!(revision(stage.deploy(stage.request("market")).await), 2);
    interloper.act(old.key.name.as_str(), HelmVersion::V4, Act::Uninstall).await;
    let Ok(Success::Deleted { claims, connection }) = stage.delete(old.key.name.as_str()).await else { panic!("not deleted") };
    assert_eq!((claims, connection.id), (vec![format!("{0}-{0}-0", old.server)], Some(old.connection)));
    stage.assert_nothing_left().await;
}

/// Somebody's `helm upgrade --wait` is left alone, and so is what it made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_does_not_disturb_a_humans_upgrade() {
    let stage = Stage::new().await;
    join_all(HelmVersion::ALL.map(async |helm| {
        let project = helm.as_str();
        let server = name(project);
        assert_eq!(revision(stage.deploy(stage.request(project)).await), 1);
        let refused = async {
            let pending = format!("owner=helm,name={server},status=pending-upgrade");
            until("helm upgrades", async || (!stage.namespace.list("secrets", &pending).await.is_empty()).then_some(())).await;
            let outcome = stage.deploy(stage.request(project).worker_num(2)).await;
            failure(outcome, FailureCode::ReleasePending, &["revision 2", "is pending-upgrade", "wait for it, or roll it back"])
        };
        let (ended, refused) = tokio::join!(upgrade(stage.helm(helm), &server, "slow-1"), refused);
        ended.unwrap_or_else(|refusal| panic!("{project}: {refusal:?}"));
        assert_eq!(refused.undo, UndoOutcome::NothingToUndo);
        let lines = stage.history(&server).await;
        let statuses: Vec<_> = lines.iter().map(|(revision, status, _)| (*revision, status.as_str())).collect();
        assert_eq!(statuses, [(1, "superseded"), (2, "deployed")], "{project}");
        assert_eq!(revision(stage.deploy(stage.request(project).worker_num(2)).await), 3, "{project}");
    }))
    .await;
}

/// Somebody's `helm uninstall --wait` ends by deleting the records whose names it has read at its start: a revision 1 that was made before that
/// would go with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_does_not_disturb_a_humans_uninstall() {
    let stage = Stage::new().await;
    join_all(HelmVersion::ALL.map(async |helm| {
        let project = helm.as_str();
        let server = name(project);
        assert_eq!(revision(stage.deploy(stage.request(project)).await), 1);
        let held = Held::new(&stage.namespace, "service", &server).await;
        let refused = async {
            until_uninstalling(&stage.namespace, &server).await;
            let outcome = stage.deploy(stage.request(project)).await;
            held.let_go().await;
            failure(outcome, FailureCode::ReleasePending, &["revision 1", "is uninstalling", "wait for it, or delete the deployment"])
        };
        let (ended, refused) = tokio::join!(uninstall(stage.helm(helm), &server), refused);
        ended.unwrap_or_else(|refusal| panic!("{project}: {refusal:?}"));
        assert_eq!(refused.undo, UndoOutcome::NothingToUndo);
        assert_eq!(revision(stage.deploy(stage.request(project)).await), 1, "{project}");
        let lines = stage.history(&server).await;
        assert_eq!(lines.len(), 1, "{project}: {lines:?}");
    }))
    .await;
}
