//! A namespace with a service, or two, in which a case takes place.

use std::time::{Duration, Instant};

use dbt_controller_tests::replaced::{self, Deployment, SecretField};
use dbt_controller_tests::{Action, ApiServer, ControlPlane, Fault, Helm, HelmVersion, Kind, Seen, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::airflow::{Airflow, Connection};
use crate::case::Case;
use crate::names::{Names, id};
use crate::replica::Replica;
use crate::scenario::{Expected, HISTORY, Naming, OLD_LOGIN, PLAIN, Request, Scenario, Server as Wanted};
use crate::world::{OPERATIONS, Unfinished, World};

/// What a stage needs to know of the control plane, found once.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) control: ControlPlane,
    pub(crate) api: ApiServer,
    pub(crate) airflow: Option<Airflow>,
}

/// Where cases take place, one after the other. Its namespace stays: the control plane goes with the run, and to delete a namespace costs it more
/// than a case does.
pub(crate) struct Site {
    plane: Plane,
    names: Names,
    pub(crate) replicas: Vec<Replica>,
    origin: Option<Origin>,
}

/// What there was at first.
struct Origin {
    expected: Expected,
    /// The objects that its revision says there are.
    manifest: Vec<Value>,
    /// The uid of its pod, if it was awake.
    pod: Option<String>,
}

/// How the reason begins when what a case begins with could not be made.
pub(crate) const BEFORE: &str = "before: ";

/// How the reason goes on, after the answer, when the requests that come after the disturbed one went wrong.
pub(crate) const AFTERWARDS: &str = "afterwards: ";

/// How the reason begins when the worlds do not agree.
pub(crate) const DISAGREE: &str = "the worlds do not agree in time";

/// The tags of earlier revisions, where there are any.
const EARLIER: [&str; HISTORY - 1] = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "0.9.0"];
/// How often is looked. Most of a case is waiting, many wait side by side, and the control plane has better to do than to answer all of them.
const POLL: Duration = Duration::from_millis(800);
/// One that hangs is begun anew after 30 s. What is told like it and comes sooner is another watch, of the same objects for another use.
const SILENT: Duration = Duration::from_secs(20);
/// How long what has been answered may take to show everywhere, such as a claim that goes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

// === impl Plane ===

impl Plane {
    pub(crate) fn find() -> Self {
        let control = ControlPlane::find();
        let api = ApiServer::of(&control.kubeconfig());
        Self { control, api, airflow: Airflow::find() }
    }
}

// === impl Site ===

impl Site {
    /// Opens one with so many services, one after the other: the first does the background work.
    pub(crate) async fn open(plane: &Plane, replicas: usize) -> Result<Self, String> {
        let names = Names::within(format!("matrix-{}", id()));
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.namespace}});
        let made = plane.api.send(Method::POST, "/api/v1/namespaces", Some(&body)).await;
        match made {
            Ok((201, _)) => {}
            other => return Err(format!("no namespace: {other:?}")),
        }
        let mut site = Self { plane: plane.clone(), names, replicas: Vec::new(), origin: None };
        for _ in 0..replicas {
            let mut replica = Replica::new(&site.plane, &site.names);
            replica.start().await;
            site.replicas.push(replica);
        }
        Ok(site)
    }

    /// Makes room for the next case, which is called otherwise. Nothing but a record of ended operations is left of the last one.
    pub(crate) async fn renew(&mut self) -> Result<(), String> {
        let Self { plane, names, .. } = &*self;
        let record = format!("/api/v1/namespaces/{}/secrets/{OPERATIONS}", names.namespace);
        for naming in Naming::ALL {
            let path = format!("{record}{}", names.release(naming));
            let deleted = plane.api.send(Method::DELETE, &path, None).await;
            if !matches!(deleted, Ok((200 | 404, _))) {
                return Err(format!("{path} is not deleted: {deleted:?}"));
            }
        }
        self.names = Names::within(self.names.namespace.clone());
        self.origin = None;
        for replica in &mut self.replicas {
            replica.renew(&self.names);
        }
        Ok(())
    }

    /// Makes what a scenario begins with. The calls that are seen are those from then on.
    pub(crate) async fn prepare(&mut self, scenario: &Scenario) -> Result<(), String> {
        let made = match scenario.before {
            Expected::Nothing => Ok(()),
            Expected::Server(server) => self.deploy(scenario, server).await,
            Expected::Replaced => self.plant().await,
        };
        made.map_err(|error| format!("{BEFORE}{error}"))?;
        if scenario.before != Expected::Nothing {
            let world = self.observe().await?;
            self.origin = Some(Origin { expected: scenario.before, manifest: world.manifest().to_vec(), pod: world.pod() });
        }
        self.replicas.iter().for_each(|replica| replica.script.forget());
        Ok(())
    }

    /// Makes a server by as many POSTs as the scenario says.
    async fn deploy(&self, scenario: &Scenario, server: Wanted) -> Result<(), String> {
        for tag in EARLIER.iter().take(scenario.revisions - 1) {
            let answer = self.replicas[0].ask(Request::Post(Wanted { tag, ..PLAIN })).await?;
            if answer.status != 200 {
                return Err(format!("{} {}", answer.status, answer.text));
            }
        }
        let awake = Wanted { asleep: false, ..server };
        self.demand(0, Request::Post(awake), Expected::Server(awake)).await?;
        if server.asleep {
            self.demand(0, Request::Suspend, scenario.before).await?;
        }
        Ok(())
    }

    /// Makes a deployment as the replaced service did, and waits until all services have seen it.
    async fn plant(&self) -> Result<(), String> {
        let Self { plane, names, .. } = self;
        let (release, (user, password)) = (names.release(Naming::Replaced), OLD_LOGIN);
        let deployment = Deployment { release: &release, project: names.project(), login: OLD_LOGIN, secret: SecretField::Data };
        deployment.install(&Helm::on(HelmVersion::V4, &plane.control, &names.namespace)).await;
        if let Some(airflow) = &plane.airflow {
            let host = names.invocations(Naming::Replaced, false);
            let [user, password] = [user, password].map(str::to_owned);
            let connection = Connection { description: replaced::description(&host), host, user, password };
            airflow.create(&names.connection(Naming::Replaced), &connection).await;
        }
        self.soon(Expected::Replaced).await?;
        for replica in &self.replicas {
            until("a service has seen the release", async || {
                let listed = replica.service().get("/api/v1/deployments?status=deployed").await;
                listed.text.contains(&release).then_some(())
            })
            .await;
        }
        Ok(())
    }

    /// Asks a replica for something that must work, and soon this is there.
    pub(crate) async fn demand(&self, replica: usize, request: Request, after: Expected) -> Result<(), String> {
        let answer = self.replicas[replica].ask(request).await.map_err(|error| format!("{request:?}: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{request:?}: {} {}", answer.status, answer.text));
        }
        self.soon(after).await.map_err(|error| format!("after {request:?}: {error}"))
    }

    /// The proof that a deployment is whole: the next POST and the next DELETE work, in either order, and what is owed or too much goes with
    /// them.
    pub(crate) async fn goes_on(&self, case: &Case, found: Expected, post: usize, delete: usize) -> Result<(), String> {
        let mut naming = found.naming();
        if case.deletes_first {
            self.remove(delete, naming).await?;
            naming = Expected::Nothing.naming();
        }
        let next = case.scenario.next(naming);
        self.demand(post, Request::Post(next), Expected::Server(next)).await?;
        let revisions = self.observe().await?.revisions();
        if revisions > HISTORY {
            return Err(format!("the next POST has left {revisions} revisions"));
        }
        self.demand(delete, Request::Delete(naming), Expected::Nothing).await
    }

    /// DELETE of what may be there: nothing is left.
    pub(crate) async fn remove(&self, replica: usize, naming: Naming) -> Result<(), String> {
        let answer = self.replicas[replica].ask(Request::Delete(naming)).await?;
        if !matches!(answer.status, 200 | 404) {
            return Err(format!("the next DELETE: {} {}", answer.status, answer.text));
        }
        self.soon(Expected::Nothing).await.map_err(|error| format!("after the next DELETE: {error}"))
    }

    /// Waits until what was answered shows everywhere.
    pub(crate) async fn soon(&self, expected: Expected) -> Result<(), String> {
        self.settled(&[expected], Instant::now() + SOON).await.map(drop)
    }

    /// Waits until nothing is under way or owed and the world is one of these; says which.
    pub(crate) async fn settled(&self, allowed: &[Expected], deadline: Instant) -> Result<Expected, String> {
        loop {
            // The world is looked at when its records say that it is worth it: this loop is what the API server is asked most by.
            while let Err(reason) = self.unfinished().await?.is_at_rest() {
                self.wait(deadline, &reason).await?;
            }
            let world = self.observe().await?;
            let mut odd = Vec::new();
            for expected in allowed {
                match self.agrees(&world, *expected) {
                    Ok(()) => return Ok(*expected),
                    Err(reason) => odd.push(format!("not {expected:?}: {reason}")),
                }
            }
            self.wait(deadline, &odd.join("; ")).await?;
        }
    }

    /// Waits until nothing is under way, whatever there is then, and whatever is owed.
    pub(crate) async fn ended(&self, deadline: Instant) -> Result<(), String> {
        while self.unfinished().await?.is_under_way() {
            self.wait(deadline, "something is under way").await?;
        }
        Ok(())
    }

    /// Waits until the call of a watch that hung has come again and got an answer.
    pub(crate) async fn watches_again(&self, label: &str, within: Duration) -> Result<(), String> {
        let hung = Some(Action::Fault(Fault::Hang));
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            let mut seen = self.replicas[0].script.seen();
            seen.retain(|seen| seen.call.label == label);
            let Some(last) = seen.iter().rfind(|seen| seen.action == hung).map(|seen| seen.at) else { return Ok(()) };
            if seen.iter().any(|seen| seen.status.is_some() && seen.at > last + SILENT) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(format!("`{label}` was not begun anew within {within:?}"))
    }

    async fn wait(&self, deadline: Instant, odd: &str) -> Result<(), String> {
        if Instant::now() > deadline {
            return Err(format!("{DISAGREE}; {odd}\n{}", self.observe().await?.describe()));
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }

    fn agrees(&self, world: &World, expected: Expected) -> Result<(), String> {
        world.agrees_with(expected)?;
        let Some(origin) = self.origin.as_ref().filter(|origin| origin.expected == expected) else { return Ok(()) };
        if origin.manifest != world.manifest() {
            return Err("the newest revision says something else than the one before".to_owned());
        }
        // Nobody's work is interrupted for nothing.
        if origin.pod != world.pod() && !self.has_changed_the_server() {
            return Err("the server was started again, and nobody had changed it".to_owned());
        }
        Ok(())
    }

    /// Whether a service has changed the StatefulSet or its pod, as far as anybody can tell.
    fn has_changed_the_server(&self) -> bool {
        self.replicas.iter().flat_map(|replica| replica.script.seen()).any(|seen| {
            let is_about_it = [" statefulsets/", " pods/"].iter().any(|kind| seen.call.label.contains(kind));
            seen.call.kind == Kind::Write && is_about_it && seen.status.is_none_or(|status| status < 300)
        })
    }

    pub(crate) async fn observe(&self) -> Result<World, String> {
        World::observe(&self.plane.api, self.plane.airflow.as_ref(), &self.names).await
    }

    /// What is not over yet.
    pub(crate) async fn unfinished(&self) -> Result<Unfinished, String> {
        Unfinished::observe(&self.plane.api, &self.names).await
    }

    /// Whether Airflow gave no answer to a call that nothing was done to.
    pub(crate) fn airflow_was_slow(&self) -> bool {
        let is_without_answer = |seen: &Seen| {
            let is_of_work = seen.call.label.starts_with("airflow: ") && seen.call.kind != Kind::Rights;
            is_of_work && seen.status.is_none() && seen.action.is_none()
        };
        self.replicas.iter().any(|replica| replica.script.seen().iter().any(is_without_answer))
    }

    /// What everybody wrote and called, for who reads why a case failed.
    pub(crate) fn story(&self) -> String {
        let stories = self.replicas.iter().enumerate().map(|(number, replica)| format!("=== replica {number}\n{}", replica.story()));
        stories.collect::<Vec<_>>().join("\n")
    }
}
