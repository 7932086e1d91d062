//! Plays a story and judges it.

use std::sync::Arc;

use dbt_controller_domain::model::{DeploymentFilter, Failure, FailureCode, Success, Target};
use tokio::time::sleep;

use super::allowed;
use super::answer::Answer;
use super::reference::Reference;
use super::rig::Rig;
use super::sight::Sight;
use super::step::{Event, Form, Human, Login, Place, Request, Size, Step, Story, Tag, Trouble, Who};
use super::told::Told;
use super::world::World;

const STACK: usize = 16 << 20;

/// Plays a story on a world that is empty, then makes everybody's deployment once more and removes it, in the world's own time.
pub async fn run(world: Arc<dyn World>, story: &Story) -> Told {
    let mut stage = Stage { rig: Rig::new(world).await, reference: Reference::default(), told: Told::default(), is_quiet: true };
    for (index, step) in story.0.iter().enumerate() {
        let wrong = stage.step(index + 1, step).await;
        if !wrong.is_empty() {
            stage.told.wrong = Some(format!("after step {}: {}", index + 1, wrong.join("\n  and ")));
            return stage.told;
        }
    }
    if let Err(wrong) = stage.end().await {
        stage.told.wrong = Some(format!("at the end: {wrong}"));
    }
    stage.told
}

/// Runs this on a thread whose stack is large enough to make stories and to play them: that of a test has 2 MiB, and without optimisation
/// both need more.
///
/// # Panics
/// When that panics, with what it panicked with.
pub fn on_a_large_stack(play: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(play);
    let thread = thread.unwrap_or_else(|error| panic!("no thread with a large stack: {error}"));
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

struct Stage {
    rig: Rig,
    reference: Reference,
    told: Told,
    /// Whether the world was at rest with everything sound.
    is_quiet: bool,
}

impl Stage {
    async fn step(&mut self, number: usize, step: &Step) -> Vec<String> {
        let was_quiet = self.is_quiet && self.rig.is_sound();
        let (world, reference) = (Arc::clone(&self.rig.world), &mut self.reference);
        let answers = self.rig.play(step, async |human| interfere(&*world, reference, human).await).await;
        self.told.events += step.0.len();
        let at_rest = match self.rig.rest().await {
            Ok(at_rest) => at_rest,
            Err(unrest) => return vec![unrest],
        };
        let mut wrong = Vec::new();
        for (request, answer) in &answers {
            self.reference.asked(request);
            self.told.log.push(format!("{number}. {request:?}: {answer:?}"));
            match answer {
                Answer::None => wrong.push(format!("nobody answers {request:?}")),
                Answer::Lost => {}
                Answer::Given(outcome) => {
                    self.told.answered.0 += 1;
                    self.told.answered.1 += usize::from(outcome.is_ok());
                    if outcome.as_ref().is_err_and(|failure| failure.code == FailureCode::Internal && !is_troubled(step)) {
                        wrong.push(format!("{request:?}: {outcome:?}"));
                    }
                    if was_quiet && matches!(step.0.as_slice(), [(_, Event::Ask(..))]) {
                        wrong.extend(allowed::judge(&self.reference, request, outcome));
                    }
                }
            }
        }
        let (sight, records) = (self.rig.world.look().await, self.rig.world.records().await);
        self.reference.count(&records);
        if at_rest {
            wrong.extend(self.is_shown(&sight).await);
            wrong.extend(self.reference.judge(sight, &records));
        } else {
            wrong.extend(self.reference.judge_unrest(&sight));
        }
        self.is_quiet = at_rest;
        wrong
    }

    /// The service shows what there is: its list is that of the releases, and its GET that of each.
    async fn is_shown(&mut self, sight: &Sight) -> Option<String> {
        let there: Vec<_> = sight.all_present().map(|(key, _)| key.clone()).collect();
        let controller = self.rig.controller().await;
        let listed = match controller.list(&DeploymentFilter::default()).await {
            Ok(listed) => listed,
            Err(failure) => return Some(format!("the list: {failure}")),
        };
        let listed: Vec<_> = listed.iter().map(|release| release.key.clone()).collect();
        if listed != there {
            return Some(format!("the list shows {listed:?}, but there is {there:?}"));
        }
        for key in there {
            let shown = controller.inspect(&Target { name: key.name.to_string(), namespace: Some(key.namespace.clone()) }).await;
            match shown {
                Ok(shown) if Some(&*shown.release) == sight.releases.get(&key).map(|seen| &*seen.summary) => {}
                Ok(shown) => return Some(format!("{key} is shown as {:?}", shown.release)),
                Err(failure) => return Some(format!("{key} is not shown: {failure}")),
            }
        }
        None
    }

    /// However it came: everybody can deploy, and after a delete nothing is left.
    async fn end(&mut self) -> Result<(), String> {
        self.rig.mend();
        if self.rig.world.look().await.is_being_changed() {
            // Longer than a human's pending operation counts as alive.
            sleep(self.rig.pace.settings.deploy_timeout * 2).await;
        }
        self.rest().await?;
        for who in Who::all() {
            let place = self.reference.before.deployment_of(&who.identity()).map(|key| key.namespace.as_str() == Place(true).name());
            let request = Request::Deploy(who, Tag::Good(0), Size::Large, Login::Kept, Place(place.unwrap_or_default()));
            let outcome = self.ask(&request).await?;
            match outcome {
                Ok(Success::Deployed { .. }) if !self.is_locked_out(who, false) => {}
                Err(failure) if failure.code == FailureCode::ConnectionTaken && self.is_locked_out(who, true) => {}
                other => return Err(format!("{request:?}: {other:?}")),
            }
            self.rest().await?;
        }
        self.remove_all().await
    }

    /// Whether every connection id of an identity is somebody else's. What a deployment that is gone has left counts only if `maybe`: it may
    /// be this identity's own.
    fn is_locked_out(&self, who: Who, maybe: bool) -> bool {
        let sight = &self.reference.before;
        let own = sight.deployment_of(&who.identity());
        let is_others = |id| match sight.connections.get(id).map(|found| &found.stored.owner) {
            None => false,
            Some(None) => true,
            Some(Some(owner)) => Some(owner) != own && (maybe || sight.present(owner).is_some()),
        };
        who.identity().connection_ids().iter().all(is_others)
    }

    async fn remove_all(&mut self) -> Result<(), String> {
        for who in Who::all() {
            for form in (0..3).map(Form) {
                let request = Request::Delete(who, form);
                // One deployment per namespace, at most, and one turn that finds nothing.
                for turn in 0..4 {
                    match self.ask(&request).await? {
                        Ok(Success::Deleted { .. }) if turn < 3 => {}
                        Err(failure) if failure.code == FailureCode::NotFound => break,
                        other => return Err(format!("{request:?}: {other:?}")),
                    }
                }
            }
        }
        self.rest().await?;
        let sight = &self.reference.before;
        let ours: Vec<_> = sight.connections.iter().filter(|(id, _)| !self.reference.is_strangers(id)).collect();
        let is_empty = sight.all_present().next().is_none() && sight.objects.is_empty() && sight.claims.is_empty() && ours.is_empty();
        if is_empty { Ok(()) } else { Err(format!("all is deleted, but there is {sight:?}")) }
    }

    async fn rest(&mut self) -> Result<(), String> {
        self.rig.rest().await?;
        let (sight, records) = (self.rig.world.look().await, self.rig.world.records().await);
        let wrong = self.reference.judge(sight, &records);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  and ")) }
    }

    async fn ask(&mut self, request: &Request) -> Result<Result<Success, Failure>, String> {
        self.reference.asked(request);
        let step = Step(vec![(super::Moment(0), Event::Ask(0, request.clone()))]);
        let mut answers = self.rig.play(&step, async |_| {}).await;
        match answers.pop() {
            Some((_, Answer::Given(outcome))) => {
                self.told.log.push(format!("end. {request:?}: {:?}", Answer::Given(outcome.clone())));
                Ok(outcome)
            }
            other => Err(format!("{request:?}: {other:?}")),
        }
    }
}

/// Whether a fault of the step can make an answer unexpected: a missing right in the operation store has no code of its own.
fn is_troubled(step: &Step) -> bool {
    step.0.iter().any(|(_, event)| matches!(event, Event::Trouble(Trouble::Fault(..))))
}

/// A human acts; the reference is told before.
async fn interfere(world: &dyn World, reference: &mut Reference, human: &Human) {
    let sight = world.look().await;
    let key = sight.deployment_of(&human.who().identity()).cloned();
    // A stranger's connection is left by its owner only.
    if let Human::LeaveConnection(who, form) = human
        && !reference.is_strangers(&who.connection_id(*form))
    {
        return;
    }
    if !world.interfere(human, key.as_ref()).await {
        return;
    }
    reference.human(human, &sight);
    if let Human::TakeConnection(who, form) | Human::LeaveConnection(who, form) = human {
        let id = who.connection_id(*form);
        let connection = world.look().await.connections.get(&id).cloned();
        reference.stranger(id, connection);
    }
}

/// So that a story that was found once can be written down in a test.
impl From<Vec<Vec<Event>>> for Story {
    fn from(steps: Vec<Vec<Event>>) -> Self {
        let step = |events: Vec<Event>| Step(events.into_iter().map(|event| (super::Moment(0), event)).collect());
        Self(steps.into_iter().map(step).collect())
    }
}
