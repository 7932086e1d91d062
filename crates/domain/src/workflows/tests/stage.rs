//! A stage for workflows: mocks of all ports over one small script that says what is there and which calls fail.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::controller::Ports;
use crate::model::*;
use crate::naming::ConnectionId;
use crate::operations::test_support::run_of;
use crate::operations::{Ending, Executor, Run};
use crate::ports::*;
use crate::test_support::{credentials, key, now, pod, queued, ready_server, release, request, server, server_key, waiting};
use crate::workflows::Workflows;

/// What is there, and what goes wrong.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) newest: Option<Release>,
    pub(super) connection: Option<StoredConnection>,
    pub(super) warehouse_secret: bool,
    pub(super) replicas: u32,
    pub(super) dags: Vec<Dag>,
    /// What is noted on the StatefulSet of its DAGs.
    pub(super) dags_noted: Option<DagState>,
    /// Calls that fail, such as `installer.apply`; with `@2` behind it only the second call of that name.
    pub(super) failing: BTreeSet<String>,
    /// How `fail`ing calls of the installer fail.
    pub(super) changed: bool,
    pub(super) airflow: bool,
    /// A human has rolled back since the operation's revision was recorded, and no watch shows it.
    pub(super) overtaken: bool,
    /// The operation wrote the revision before the newest one too.
    pub(super) wrote_both: bool,
    /// The claims are being deleted.
    pub(super) claims_terminating: bool,
    /// Kubernetes' controller is still at work on the StatefulSet.
    pub(super) unobserved: bool,
    /// Somebody else's StatefulSet stands in the place of the release's own since this call was made.
    pub(super) foreign_since: Option<&'static str>,
    /// The calls of the cluster that fail do so in passing.
    pub(super) passing: bool,
}

/// The story of a run: every call in order, and what was written.
#[derive(Default)]
pub(super) struct Story {
    pub(super) calls: Vec<String>,
    pub(super) written: Vec<Connection>,
    watches: Vec<watch::Sender<Arc<ServerState>>>,
    claims_made: bool,
}

pub(super) struct Stage {
    pub(super) story: Arc<Mutex<Story>>,
    pub(super) workflows: Arc<Workflows>,
    pub(super) run: Arc<Run>,
    task: Task,
}

impl Script {
    pub(super) fn first() -> Self {
        Self {
            newest: None,
            connection: None,
            warehouse_secret: true,
            replicas: 1,
            dags: Vec::new(),
            failing: BTreeSet::new(),
            changed: false,
            airflow: true,
            overtaken: false,
            wrote_both: false,
            claims_terminating: false,
            unobserved: false,
            dags_noted: None,
            foreign_since: None,
            passing: false,
        }
    }

    /// A deployment is in force as revision 1 and registered.
    pub(super) fn deployed() -> Self {
        Self { newest: Some(release(1, ReleaseStatus::Deployed)), connection: Some(ours()), ..Self::first() }
    }

    pub(super) fn failing(mut self, call: &str) -> Self {
        self.failing.insert(call.to_owned());
        self
    }

    /// Runs the task to its end.
    pub(super) async fn play(self, task: Task) -> (Ending, Stage) {
        let stage = self.stage(task, |_| {});
        let ending = stage.execute(false).await;
        (ending, stage)
    }

    pub(super) fn stage(self, task: Task, prepare: impl FnOnce(&mut RunningOperation)) -> Stage {
        let story = Arc::new(Mutex::new(Story::default()));
        let script = Arc::new(self);
        let ports = Ports {
            installer: Arc::new(installer(&script, &story)),
            cluster: Arc::new(cluster(&script, &story)),
            connections: script.airflow.then(|| Arc::new(connections(&script, &story)) as Arc<dyn ConnectionStore>),
            events: None,
            operations: Arc::new(store(&story, &script)),
            clock: Arc::new(clock()),
            random: Arc::new(random()),
        };
        let run =
            run_of(Arc::clone(&ports.operations), Arc::clone(&ports.clock), queued("op-now", &request().identity, task.clone()), prepare);
        let workflows = Arc::new(Workflows::new(ports, Settings::new(key().namespace)));
        Stage { story, workflows, run: Arc::new(run), task }
    }
}

impl Stage {
    pub(super) async fn execute(&self, taken_over: bool) -> Ending {
        self.workflows.execute(&self.run, &self.task, taken_over).await
    }

    /// The calls that change something, in order.
    pub(super) fn writes(&self) -> Vec<String> {
        let reading = [
            "get",
            "list",
            "summary",
            "manifest_hash",
            "server",
            "watch",
            "claims",
            "claims_now",
            "has_warehouse_secret",
            "dags",
            "list_ours",
            "autopsy",
            "objects",
        ];
        let story = self.story.lock().unwrap();
        let writes = story.calls.iter().filter(|call| !reading.iter().any(|read| call.split('.').nth(1) == Some(read)));
        writes.cloned().collect()
    }

    pub(super) fn called(&self, call: &str) -> bool {
        self.story.lock().unwrap().calls.iter().any(|made| made == call)
    }
}

pub(super) fn dag(id: &str, paused: bool) -> Dag {
    Dag { id: id.to_owned(), paused }
}

/// The name of the server's claim.
pub(super) fn claim() -> String {
    server_key().name.claim_name(0)
}

#[track_caller]
pub(super) fn failure(ending: Ending) -> Failure {
    match ending {
        Ending::Done { outcome: Err(failure), .. } => failure,
        other => panic!("expected a failure, not {other:?}"),
    }
}

#[track_caller]
pub(super) fn success(ending: Ending) -> Success {
    match ending {
        Ending::Done { outcome: Ok(success), .. } => success,
        other => panic!("expected a success, not {other:?}"),
    }
}

pub(super) fn ours() -> StoredConnection {
    StoredConnection {
        id: "test_project_main".parse().unwrap(),
        conn_type: CONNECTION_TYPE.to_owned(),
        url: request().invocations_url(&server_key()),
        login: Some("dbt_server_agent_abcde".to_owned()),
        description: Some(description_of_owner(&key())),
        owner: Some(key()),
        has_foreign_fields: false,
    }
}

/// Notes a call; true when the script wants it to fail.
fn note(story: &Mutex<Story>, script: &Script, call: &str) -> bool {
    let mut story = story.lock().unwrap();
    story.calls.push(call.to_owned());
    let nth = story.calls.iter().filter(|made| *made == call).count();
    script.failing.contains(call) || script.failing.contains(&format!("{call}@{nth}"))
}

fn installer(script: &Arc<Script>, story: &Arc<Mutex<Story>>) -> MockChartInstaller {
    let mut mock = MockChartInstaller::new();
    let play = |call: &'static str| {
        let (script, story) = (Arc::clone(script), Arc::clone(story));
        move || match note(&story, &script, call) {
            true if script.changed => Err(InstallerError::Changed("`helm rollback` to revision 1".to_owned())),
            true => Err(InstallerError::Unexpected("broken on purpose".into())),
            false => Ok(()),
        }
    };
    let next = script.newest.as_ref().map_or(1, |newest| newest.summary.revision.0 + 1);
    let handle = |revision| RevisionHandle { key: key(), revision: RevisionNumber(revision), operation: "op-now".parse().unwrap() };
    // As if nobody else wrote: what was in force, or what the operation has recorded since.
    let (recorded, failing, newest) = (Arc::clone(story), script.failing.clone(), script.newest.clone());
    let own = |revision, status| {
        let mut release = release(revision, status);
        release.summary.deployment.as_mut().unwrap().operation = Some("op-now".parse().unwrap());
        release
    };
    let shown = move || {
        let done = |call: &str| !failing.contains(call) && recorded.lock().unwrap().calls.iter().any(|made| made == call);
        match (done("installer.roll_back"), done("installer.begin")) {
            (true, _) => Some(own(next + 1, ReleaseStatus::PendingRollback)),
            (false, true) => Some(own(next, ReleaseStatus::PendingUpgrade)),
            (false, false) => newest.clone(),
        }
    };
    let (get, older, latest) = (play("installer.get"), script.newest.clone(), shown.clone());
    let (told, overtaken, wrote_both) = (Arc::clone(story), script.overtaken, script.wrote_both);
    let is_overtaken = move || overtaken && told.lock().unwrap().calls.iter().any(|made| made == "installer.begin");
    mock.expect_get().returning(move |_, revision| {
        get().map(|()| match revision {
            Some(asked) => older.clone().map(|newest| match (newest.summary.revision == asked, wrote_both) {
                (true, _) => newest,
                (false, true) => own(asked.0, ReleaseStatus::Failed),
                (false, false) => release(asked.0, ReleaseStatus::Superseded),
            }),
            None if is_overtaken() => Some(release(next + 1, ReleaseStatus::Deployed)),
            None => latest(),
        })
    });
    let list = play("installer.list");
    mock.expect_list().returning(move || list().map(|()| Vec::new()));
    let summary = play("installer.summary");
    mock.expect_summary().returning(move |_| summary().map(|()| shown().map(|release| Arc::new(release.summary))));
    mock.expect_behind().returning(move || overtaken.then_some(std::time::Duration::from_secs(1)));
    let hash = play("installer.manifest_hash");
    mock.expect_manifest_hash().returning(move |_| hash().map(|()| ManifestHash("new".to_owned())));
    let begin = play("installer.begin");
    mock.expect_begin().returning(move |_, _| begin().map(|()| handle(next)));
    let (apply, applied) = (play("installer.apply"), Arc::clone(story));
    mock.expect_apply().returning(move |_, _| {
        applied.lock().unwrap().claims_made = true;
        apply()
    });
    let commit = play("installer.commit");
    mock.expect_commit().returning(move |_, _| commit());
    let fail = play("installer.fail");
    mock.expect_fail().returning(move |_, _, _| fail());
    let roll_back = play("installer.roll_back");
    mock.expect_roll_back().returning(move |_, _, _, _| roll_back().map(|()| handle(next + 1)));
    let repair = play("installer.repair");
    mock.expect_repair().returning(move |_, _| repair().map(|()| Vec::new()));
    let (uninstall, had_record) = (play("installer.uninstall"), script.newest.is_some());
    mock.expect_uninstall().returning(move |_, _| uninstall().map(|()| Uninstalled { had_record, objects: Vec::new() }));
    mock
}

/// Puts somebody else's StatefulSet in the place of the release's own, where the script says so.
fn give_away(state: &mut ServerState, story: &Story, script: &Script) {
    if script.foreign_since.is_some_and(|call| story.calls.iter().any(|made| made == call)) {
        *state = ready_server();
        state.stateful_set.as_mut().unwrap().release = None;
    }
}

fn cluster(script: &Arc<Script>, story: &Arc<Mutex<Story>>) -> MockCluster {
    let mut mock = MockCluster::new();
    let play = |call: &'static str| {
        let (script, story) = (Arc::clone(script), Arc::clone(story));
        move || match note(&story, &script, call) {
            true if script.passing => Err(ClusterError::Unavailable("away on purpose".into())),
            true => Err(ClusterError::Unexpected("broken on purpose".into())),
            false => Ok(()),
        }
    };
    let (found, has) = (play("cluster.has_warehouse_secret"), script.warehouse_secret);
    mock.expect_has_warehouse_secret().returning(move |_, _| found().map(|()| has));
    let (seen, replicas, unobserved, dags_noted) = (play("cluster.server"), script.replicas, script.unobserved, script.dags_noted);
    let is_there = script.newest.is_some() || unobserved;
    let (set_story, set_script) = (Arc::clone(story), Arc::clone(script));
    mock.expect_server().returning(move |_| {
        let mut state = if is_there { ready_server() } else { ServerState::default() };
        if let Some(set) = &mut state.stateful_set {
            (set.replicas, set.observed_generation) = (replicas, set.generation - i64::from(unobserved));
            set.dag_state = dags_noted;
        }
        give_away(&mut state, &set_story.lock().unwrap(), &set_script);
        seen().map(|()| Arc::new(state))
    });
    // A `watch` that fails is a server that does not come up; one that is called while pods should be gone shows none.
    let (watch_story, watch_script) = (Arc::clone(story), Arc::clone(script));
    mock.expect_watch().returning(move |_| {
        let broken = note(&watch_story, &watch_script, "cluster.watch");
        let mut story = watch_story.lock().unwrap();
        let gone = story.calls.iter().any(|call| call == "installer.uninstall" || call == "cluster.set_replicas(0)");
        let mut state = match (gone, broken) {
            (true, true) => server("r1", Some(pod("r1", waiting("Terminating")))),
            (true, false) => ServerState::default(),
            (false, true) => server("r1", Some(pod("r1", waiting("InvalidImageName")))),
            (false, false) => ready_server(),
        };
        give_away(&mut state, &story, &watch_script);
        let (sender, receiver) = watch::channel(Arc::new(state));
        story.watches.push(sender);
        Ok(receiver)
    });
    let looked = play("cluster.autopsy");
    mock.expect_autopsy().returning(move |_| {
        let _ = looked();
        Autopsy { gaps: vec!["seen with git-canary in it".to_owned()], ..Autopsy::default() }
    });
    let (sleep, wake) = (play("cluster.set_replicas(0)"), play("cluster.set_replicas(1)"));
    mock.expect_set_replicas().returning(move |_, replicas, _| if replicas == 0 { sleep() } else { wake() });
    let note = play("cluster.set_dag_state");
    mock.expect_set_dag_state().returning(move |_, _, _| note());
    let follow = play("cluster.follow_dags");
    mock.expect_follow_dags().returning(move |_, _, _, _| follow());
    let claims_by = |call| {
        let (answer, story, before, terminating) = (play(call), Arc::clone(story), script.newest.is_some(), script.claims_terminating);
        move |_: &ServerKey| {
            let made = before || story.lock().unwrap().claims_made;
            let identity = Some(request().identity);
            let claim = Claim { name: claim(), identity, size: None, phase: "Bound".to_owned(), terminating };
            answer().map(|()| made.then_some(claim).into_iter().collect())
        }
    };
    mock.expect_claims().returning(claims_by("cluster.claims"));
    mock.expect_claims_now().returning(claims_by("cluster.claims_now"));
    let delete_claims = play("cluster.delete_claims");
    mock.expect_delete_claims().returning(move |_, _, _| delete_claims());
    let grow = play("cluster.grow_claims");
    mock.expect_grow_claims().returning(move |_, _, _| grow());
    let delete_set = play("cluster.delete_stateful_set");
    mock.expect_delete_stateful_set().returning(move |_, _, _| delete_set());
    mock.expect_delete_orphans().returning(|_, _| Ok(Vec::new()));
    mock
}

fn connections(script: &Arc<Script>, story: &Arc<Mutex<Story>>) -> MockConnectionStore {
    let mut mock = MockConnectionStore::new();
    let play = |call: &'static str| {
        let (script, story) = (Arc::clone(script), Arc::clone(story));
        move || match note(&story, &script, call) {
            true => Err(ConnectionError::Refused("broken on purpose".to_owned())),
            false => Ok(()),
        }
    };
    let (get, held, get_story) = (play("connections.get"), script.connection.clone(), Arc::clone(story));
    mock.expect_get().returning(move |id: &ConnectionId| {
        let written = !get_story.lock().unwrap().written.is_empty();
        let held = held.clone().or_else(|| written.then(ours)).filter(|held| held.id == *id);
        get().map(|()| held)
    });
    let (put, put_story, existed) = (play("connections.put"), Arc::clone(story), script.connection.is_some());
    mock.expect_put().returning(move |connection, _, _| {
        put_story.lock().unwrap().written.push(connection.clone());
        put().map(|()| if existed { PutOutcome::Updated } else { PutOutcome::Created })
    });
    let delete = play("connections.delete");
    mock.expect_delete().returning(move |_, _| delete().map(|()| DeleteOutcome::Deleted));
    let (list, held) = (play("connections.list_ours"), script.connection.clone());
    mock.expect_list_ours().returning(move || list().map(|()| held.clone().into_iter().collect()));
    let (read, dags) = (play("connections.dags"), script.dags.clone());
    mock.expect_dags().returning(move |_| read().map(|()| DagsReading { dags: dags.clone(), read_at: now() }));
    mock
}

fn store(story: &Arc<Mutex<Story>>, script: &Arc<Script>) -> MockOperationStore {
    let mut mock = MockOperationStore::new();
    let (story, script) = (Arc::clone(story), Arc::clone(script));
    mock.expect_compare_and_swap().returning(move |_, _, _| match note(&story, &script, "operations.write") {
        true => Err(StoreError::Unexpected("broken on purpose".into())),
        false => Ok(Version("next".to_owned())),
    });
    mock
}

fn clock() -> MockClock {
    let mut mock = MockClock::new();
    mock.expect_now().returning(now);
    mock
}

fn random() -> MockRandom {
    let mut mock = MockRandom::new();
    mock.expect_credentials().returning(|| credentials("new-password"));
    mock
}
