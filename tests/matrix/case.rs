//! The cases: every step of every scenario, with everything that can happen there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use dbt_controller_tests::{Action, At, Fault, Kind, Moment, Plan, Random, Step};
use rustix::process::Signal;

use crate::discovery::Found;
use crate::scenario::Scenario;

/// One case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) scenario: &'static Scenario,
    pub(crate) step: Step,
    pub(crate) plan: Plan,
    pub(crate) then: Then,
    /// What its place in a draw depends on.
    order: u64,
    /// Which replica is asked, and so is killed or stopped. The first does the background work.
    pub(crate) victim: usize,
    /// What happens to whoever takes over.
    pub(crate) again: Option<Plan>,
    /// Whether a DELETE comes before the next POST.
    pub(crate) deletes_first: bool,
}

/// Who goes on after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Then {
    /// The same process: only its call went wrong.
    Itself,
    /// The service is started again, and finds by itself what is to do.
    Restart,
    /// The service is started again, and gets the same request at once.
    RestartAndRetry,
    /// A second replica, by itself.
    Survivor,
    /// A second replica, which gets the same request at once.
    SurvivorAndRetry,
}

/// What a process does not survive, who goes on then, and whether that one is killed too.
const CRASHES: [(Signal, Then, bool); 7] = [
    (Signal::KILL, Then::Restart, false),
    (Signal::KILL, Then::RestartAndRetry, false),
    (Signal::KILL, Then::Survivor, false),
    (Signal::KILL, Then::SurvivorAndRetry, false),
    (Signal::KILL, Then::Restart, true),
    (Signal::KILL, Then::Survivor, true),
    (Signal::STOP, Then::Survivor, false),
];
/// A takeover is killed at one of its first calls; one that makes fewer is told as not killed again.
const TAKEOVER_CALLS: usize = 24;

/// Longer than any call may try again, and as long as it can.
const FOR_GOOD: usize = usize::MAX;
/// Longer than a call that changes something may take with the settings of these runs, and shorter than until somebody takes over.
const LATE: Duration = Duration::from_secs(3);
/// What a call can meet, and how often in a row.
const FAULTS: [(Fault, &[usize]); 9] = [
    (Fault::Status(429), &[1, 2, FOR_GOOD]),
    (Fault::Status(500), &[1, 2, FOR_GOOD]),
    (Fault::Status(503), &[1, 2, FOR_GOOD]),
    (Fault::Status(409), &[1, 2, FOR_GOOD]),
    (Fault::Hang, &[1, 2, FOR_GOOD]),
    (Fault::Drop, &[1, 2, FOR_GOOD]),
    (Fault::DropAnswer, &[1, 2, FOR_GOOD]),
    (Fault::CutWatches, &[1, 2]),
    (Fault::Late(LATE), &[1]),
];

/// All crashes. Which replica it is, at which call a takeover is killed, and what is asked for next is drawn, for each case by itself: its name
/// and the seed tell it whatever else is found.
pub(crate) fn crashes(found: &Found, seed: u64) -> Vec<Case> {
    let moments = [Moment::Before, Moment::After];
    let mut cases = Vec::new();
    // A process that dies at its start has begun nothing, and the request has a scenario of its own.
    for (scenario, step, _) in found.steps().filter(|(scenario, ..)| !scenario.starts) {
        for moment in moments {
            for (signal, then, is_again) in CRASHES {
                let action = Action::Signal(signal, moment);
                let mut random = drawn(seed, scenario, step, &format!("{action}, {then}, {is_again}"));
                let again = is_again.then(|| {
                    let at = At::Nth(1 + random.below(TAKEOVER_CALLS));
                    Plan { at, times: 1, action: Action::Signal(Signal::KILL, moments[random.below(2)]) }
                });
                let victim = random.below(then.replicas());
                let plan = Plan { at: At::Step(step.clone()), times: 1, action };
                let (deletes_first, order) = (random.below(2) == 0, random.number());
                cases.push(Case { scenario, step: step.clone(), plan, then, order, victim, again, deletes_first });
            }
        }
    }
    cases
}

/// All faults. What only reads is not done late: nobody would notice.
pub(crate) fn faults(found: &Found, seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for (scenario, step, kind) in found.steps() {
        for (fault, often) in FAULTS.into_iter().filter(|(fault, _)| kind == Kind::Write || !matches!(fault, Fault::Late(_))) {
            // A service that cannot start is none to be asked.
            for times in often.iter().filter(|times| !(scenario.starts && **times == FOR_GOOD)) {
                let action = Action::Fault(fault);
                let mut random = drawn(seed, scenario, step, &format!("{action} {times}"));
                let plan = Plan { at: At::Step(step.clone()), times: *times, action };
                let (deletes_first, order) = (random.below(2) == 0, random.number());
                let then = Then::Itself;
                cases.push(Case { scenario, step: step.clone(), plan, then, order, victim: 0, again: None, deletes_first });
            }
        }
    }
    cases
}

/// What is drawn for one case.
fn drawn(seed: u64, scenario: &Scenario, step: &Step, event: &str) -> Random {
    Random::named(seed, &format!("{} / {step} / {event}", scenario.name))
}

/// Draws so many: of each request and of each event about as many as of the others, however many steps a request has.
pub(crate) fn draw(mut cases: Vec<Case>, size: usize) -> Vec<Case> {
    cases.sort_by_key(|case| case.order);
    if size >= cases.len() {
        return cases;
    }
    let (mut requests, mut events) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    let mut chosen = Vec::new();
    while chosen.len() < size {
        let met = |case: &Case| requests.get(case.scenario.name).copied().unwrap_or(0) + events.get(&case.event()).copied().unwrap_or(0);
        let rarest = (0..cases.len()).min_by_key(|index| met(&cases[*index])).unwrap_or(0);
        let case = cases.remove(rarest);
        *requests.entry(case.scenario.name).or_default() += 1;
        *events.entry(case.event()).or_default() += 1;
        chosen.push(case);
    }
    chosen
}

impl Case {
    /// Whether what went wrong is over before anything has been tried for the last time. What is done late can come after its own undo.
    pub(crate) fn passes(&self) -> bool {
        self.plan.times != FOR_GOOD && self.plan.action != Action::Fault(Fault::Late(LATE))
    }

    /// Whether nobody may notice it: it passes, and says of no call that it is refused.
    pub(crate) fn is_borne(&self) -> bool {
        self.passes() && self.plan.action != Action::Fault(Fault::Status(409))
    }

    /// Whether a watch shows nothing, and says nothing, until somebody wonders at its silence: for longer than a call is tried again.
    pub(crate) fn is_silent_watch(&self) -> bool {
        self.plan.action == Action::Fault(Fault::Hang) && self.step.label.starts_with("watch: ")
    }

    /// Whether a caller may be told of it in this way all the same.
    pub(crate) fn may_be_told(&self, told: Option<&str>) -> bool {
        self.is_silent_watch() && told == Some("cluster_unavailable")
    }

    /// What happens in it, whatever the request is.
    pub(crate) fn event(&self) -> String {
        let Self { plan, then, again, .. } = self;
        let often = match plan.times {
            1 => "",
            FOR_GOOD => " for good",
            _ => " twice",
        };
        let then = if *then == Then::Itself { String::new() } else { format!(", {then}") };
        format!("{}{often}{then}{}", plan.action, if again.is_some() { ", kill again" } else { "" })
    }
}

impl Then {
    /// How many services it needs.
    pub(crate) fn replicas(self) -> usize {
        match self {
            Self::Itself | Self::Restart | Self::RestartAndRetry => 1,
            Self::Survivor | Self::SurvivorAndRetry => 2,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} / {} / {}", self.scenario.name, self.step, self.event())?;
        if self.then.replicas() == 2 {
            write!(formatter, ", {}", if self.victim == 0 { "the leader" } else { "the other" })?;
        }
        if let Some(Plan { at, action, .. }) = &self.again {
            write!(formatter, ", {action} {at}")?;
        }
        formatter.write_str(if self.deletes_first { ", then DELETE" } else { ", then POST" })
    }
}

impl fmt::Display for Then {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Itself => "itself",
            Self::Restart => "restart",
            Self::RestartAndRetry => "restart and retry",
            Self::Survivor => "survivor",
            Self::SurvivorAndRetry => "survivor and retry",
        })
    }
}
