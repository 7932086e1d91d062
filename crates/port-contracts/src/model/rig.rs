//! Two replicas of the service on one world: calls them, breaks them, and lets everything come to rest.

use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::Controller;
use dbt_controller_domain::model::{OperationRecord, Target};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::Answer;
use super::pace::Pace;
use super::step::{Event, Form, Human, Request, Step, Trouble};
use super::world::{Links, World};
use crate::fixtures;
use crate::mortal::{self, Life, Process};

pub(super) struct Rig {
    pub(super) world: Arc<dyn World>,
    pub(super) pace: Pace,
    pub(super) links: Links,
    replicas: [Replica; 2],
}

struct Replica {
    process: Arc<Process>,
    controller: Arc<Controller>,
    stopping: Option<JoinHandle<()>>,
}

impl Replica {
    async fn start(world: &dyn World, pace: &Pace) -> Self {
        let process = Arc::new(Process::new());
        let controller = Controller::new(mortal::ports(&process, world.ports().await), pace.settings.clone());
        tokio::spawn({
            let controller = Arc::clone(&controller);
            async move { controller.run_background().await }
        });
        Self { process, controller, stopping: None }
    }

    fn works(&self) -> bool {
        self.process.life() == Life::Running && self.stopping.is_none()
    }
}

impl Rig {
    pub(super) async fn new(world: Arc<dyn World>) -> Self {
        let pace = world.pace();
        let replicas = [Replica::start(&*world, &pace).await, Replica::start(&*world, &pace).await];
        Self { world, pace, links: Links::UP, replicas }
    }

    /// Whether nothing is down, frozen or about to break.
    pub(super) fn is_sound(&self) -> bool {
        self.links == Links::UP && self.replicas.iter().all(Replica::works)
    }

    /// A replica that works.
    pub(super) async fn controller(&mut self) -> Arc<Controller> {
        let index = self.working(0).await;
        Arc::clone(&self.replicas[index].controller)
    }

    /// Lets a step happen, and everything that it began come to its end. `human` is told of what a human is going to do.
    pub(super) async fn play(&mut self, step: &Step, mut human: impl AsyncFnMut(&Human)) -> Vec<(Request, Answer)> {
        let began = Instant::now();
        let mut events: Vec<_> = step.0.iter().collect();
        events.sort_by_key(|(moment, _)| moment.0);
        let mut asked = Vec::new();
        for (moment, event) in events {
            sleep_until(began + Duration::from_millis(u64::from(moment.0) * 100)).await;
            match event {
                Event::Ask(replica, request) => asked.push((request.clone(), self.ask(*replica, request.clone()).await)),
                Event::Human(act) => human(act).await,
                Event::Trouble(trouble) => self.trouble(trouble),
                Event::Wait(seconds) => sleep(Duration::from_secs(u64::from(*seconds)).min(self.pace.pause)).await,
            }
        }
        let mut answers = Vec::new();
        for (request, answer) in asked {
            answers.push((request, answer.await.unwrap_or(Answer::None)));
        }
        answers
    }

    /// Waits until nothing is under way and nothing owed; false while something is down.
    ///
    /// # Errors
    /// What is still under way.
    pub(super) async fn rest(&mut self) -> Result<bool, String> {
        let began = Instant::now();
        loop {
            sleep(self.pace.look).await;
            self.replace_the_dead().await;
            if self.links != Links::UP {
                if began.elapsed() >= self.pace.outage {
                    self.end_trouble();
                    return Ok(false);
                }
                continue;
            }
            let unrest = unrest(&self.world.records().await);
            if unrest.is_none() {
                sleep(self.pace.follow).await;
                if self.world.records().await.iter().all(|record| unrest_of(record).is_none()) {
                    self.end_trouble();
                    self.replace_the_dead().await;
                    return Ok(true);
                }
            } else if began.elapsed() >= self.pace.unrest {
                return Err(format!("it does not come to rest: {}", unrest.unwrap_or_default()));
            }
        }
    }

    /// Everything works again.
    pub(super) fn mend(&mut self) {
        self.set_links(Links::UP);
        self.end_trouble();
        self.replicas.iter().for_each(|replica| replica.process.set(Life::Running));
    }

    async fn ask(&mut self, replica: u8, request: Request) -> JoinHandle<Answer> {
        let index = self.working(usize::from(replica) % 2).await;
        let name = self.target(&request).await;
        let (controller, process) = (Arc::clone(&self.replicas[index].controller), Arc::clone(&self.replicas[index].process));
        let patience = self.pace.wait;
        tokio::spawn(async move {
            let outcome = async {
                let caller = fixtures::caller();
                let ticket = match &request {
                    Request::Deploy(..) => controller.deploy(request.deploy().unwrap_or_else(|| panic!("it is one")), caller).await?,
                    Request::Delete(..) => controller.delete(&name, caller).await?,
                    Request::Suspend(_) => controller.suspend(&name, false, caller).await?,
                    Request::Resume(_) => controller.resume(&name, caller).await?,
                };
                controller.wait(&ticket).await?.outcome.clone()
            };
            tokio::select! {
                outcome = outcome => Answer::Given(outcome),
                () = process.stands_still() => Answer::Lost,
                () = sleep(patience) => Answer::None,
            }
        })
    }

    /// The name that a caller of anything but a deploy uses: what GET showed last.
    async fn target(&self, request: &Request) -> Target {
        let name = match request {
            Request::Delete(who, form) => who.release_name(*form),
            Request::Deploy(who, ..) | Request::Suspend(who) | Request::Resume(who) => {
                let sight = self.world.look().await;
                sight.deployment_of(&who.identity()).map_or_else(|| who.release_name(Form(0)), |key| key.name.clone())
            }
        };
        Target { name: name.to_string(), namespace: None }
    }

    fn trouble(&mut self, trouble: &Trouble) {
        match trouble {
            Trouble::Fault(call, nth, kind, times) => self.world.plan(call, *nth, *kind, *times),
            Trouble::Crash(replica, calls, done) => self.process(*replica).strike_at(*calls, *done, Life::Dead),
            Trouble::Freeze(replica, calls, done) => self.process(*replica).strike_at(*calls, *done, Life::Frozen),
            Trouble::Wake(replica) => self.process(*replica).set(Life::Running),
            Trouble::Stop(replica) => self.stop(usize::from(*replica) % 2),
            Trouble::Airflow(up) => self.set_links(Links { airflow: *up, ..self.links }),
            Trouble::Cluster(up) => self.set_links(Links { cluster: *up, ..self.links }),
        }
    }

    fn process(&self, replica: u8) -> &Process {
        &self.replicas[usize::from(replica) % 2].process
    }

    fn stop(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        if !replica.works() {
            return;
        }
        let (controller, process) = (Arc::clone(&replica.controller), Arc::clone(&replica.process));
        replica.stopping = Some(tokio::spawn(async move {
            controller.shut_down(Duration::from_secs(25)).await;
            process.set(Life::Dead);
        }));
    }

    fn set_links(&mut self, links: Links) {
        self.links = links;
        self.world.set_links(links);
    }

    /// Nothing is about to break any more. What is down or frozen stays so.
    fn end_trouble(&mut self) {
        self.world.clear_plans();
        self.replicas.iter().for_each(|replica| replica.process.spare());
    }

    /// A replica that works, this one if possible. If none does, a frozen one goes on, or a new one starts.
    async fn working(&mut self, wished: usize) -> usize {
        for index in [wished, 1 - wished] {
            if self.replicas[index].works() {
                return index;
            }
        }
        self.replicas[wished].process.set(Life::Running);
        if !self.replicas[wished].works() {
            self.replicas[wished] = Replica::start(&*self.world, &self.pace).await;
        }
        wished
    }

    async fn replace_the_dead(&mut self) {
        for replica in &mut self.replicas {
            if replica.process.life() == Life::Dead {
                *replica = Replica::start(&*self.world, &self.pace).await;
            }
        }
        self.working(0).await;
    }
}

fn unrest(records: &[Arc<OperationRecord>]) -> Option<String> {
    records.iter().find_map(|record| unrest_of(record))
}

fn unrest_of(record: &OperationRecord) -> Option<String> {
    let name = &record.key.name;
    if let Some((info, _)) = record.unfinished().next() {
        return Some(format!("`{name}`: {} {} is under way", info.kind, info.id));
    }
    record.debts().next().map(|(_, debt)| format!("`{name}`: {debt:?} is open"))
}
