//! What happens at which call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::sync::watch;

use super::{Call, Kind};

/// One of the calls of an operation: the `occurrence`-th with this label, from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// What it does to what.
    pub label: String,
    /// Which one of those with this label.
    pub occurrence: usize,
}

/// Which call is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The one of this step.
    Step(Step),
    /// The so-manieth that is counted, from 1, whatever it does.
    Nth(usize),
}

/// What goes wrong at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The process gets this signal.
    Signal(Signal, Moment),
    /// The process lives, and its call does not do what it should.
    Fault(Fault),
}

/// When something happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The call has not been made.
    Before,
    /// The call has been made, and its answer has not come.
    After,
}

/// What a call can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status and has done nothing.
    Status(u16),
    /// It is answered with this status and this JSON, and has done nothing.
    Answer(u16, &'static str),
    /// It is never answered, and has done nothing.
    Hang,
    /// Its connection is closed, and it has done nothing.
    Drop,
    /// It is done, and its connection is closed instead of an answer.
    DropAnswer,
    /// It is done, but every watch is cut at that moment.
    CutWatches,
    /// It is done so long after it came, and never answered.
    Late(Duration),
}

/// What is to happen.
#[derive(Debug, Clone)]
pub struct Plan {
    /// At which call.
    pub at: At,
    /// At how many calls of the same kind in a row, this one included: with the same label, or any.
    pub times: usize,
    /// What.
    pub action: Action,
}

/// A call that was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it came, since the script began.
    pub at: Duration,
    /// Which one it was.
    pub call: Call,
    /// The status of the far side's answer; none when it got none.
    pub status: Option<u16>,
    /// What happened to it.
    pub action: Option<Action>,
}

/// What happens at which call of one process; shared by all of its proxies.
#[derive(Clone)]
pub struct Script(Arc<Inner>);

struct Inner {
    begin: Instant,
    state: Mutex<State>,
    cuts: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Counts while an operation is looked at.
    counted: Option<BTreeMap<String, usize>>,
    /// Whether what comes by the clock is counted too.
    counts_all: bool,
    steps: Vec<(Step, Kind)>,
    plan: Option<Plan>,
    victim: Option<Pid>,
    fired: usize,
    struck: bool,
    /// The names that are told as others.
    names: Vec<(String, String)>,
    seen: Vec<Seen>,
    /// How many were seen before these, and are forgotten.
    forgotten: usize,
}

// === impl Script ===

impl Script {
    /// One that lets everything pass. In labels, each of these names is told as the other one, so that they are the same in each run.
    #[must_use]
    pub fn new(names: Vec<(String, String)>) -> Self {
        let state = Mutex::new(State { names, ..State::default() });
        Self(Arc::new(Inner { begin: Instant::now(), state, cuts: watch::Sender::new(0) }))
    }

    /// From now on it tells these names as others.
    pub fn rename(&self, names: Vec<(String, String)>) {
        self.state().names = names;
    }

    /// Forgets the calls that were seen.
    pub fn forget(&self) {
        let mut state = self.state();
        state.forgotten += state.seen.len();
        state.seen.clear();
    }

    /// A call as it is told.
    pub(super) fn tell(&self, mut call: Call) -> Call {
        for (name, told) in &self.state().names {
            call.label = call.label.replace(name, told);
        }
        call
    }

    /// From now on calls are counted, and without a plan only that. The process is the one that a plan's signal goes to.
    pub fn arm(&self, plan: Option<Plan>, process: Pid) {
        let mut state = self.state();
        *state = State { victim: Some(process), ..state.counting(plan) };
    }

    /// From now on every call is counted, those too that come by the clock: to be told before the process starts.
    pub fn arm_from_start(&self, plan: Option<Plan>) {
        let mut state = self.state();
        *state = State { counts_all: true, ..state.counting(plan) };
    }

    /// From now on everything passes. Says at how many calls something happened.
    pub fn disarm(&self) -> usize {
        let mut state = self.state();
        (state.counted, state.plan, state.victim) = (None, None, None);
        state.fired
    }

    /// Whether the process has got its signal.
    #[must_use]
    pub fn struck(&self) -> bool {
        self.state().struck
    }

    /// The steps that were counted, in their order.
    #[must_use]
    pub fn steps(&self) -> Vec<(Step, Kind)> {
        self.state().steps.clone()
    }

    /// Every call that was seen.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// For how long it has been there.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.begin.elapsed()
    }

    /// Ends every watch that goes through.
    pub fn cut_watches(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(super) fn cuts(&self) -> watch::Receiver<u64> {
        self.0.cuts.subscribe()
    }

    /// Notes a call; returns where it was noted, and what happens to it.
    pub(super) fn meet(&self, call: &Call) -> (usize, Option<Action>) {
        let mut state = self.state();
        let action = state.count(call);
        state.seen.push(Seen { at: self.0.begin.elapsed(), call: call.clone(), status: None, action });
        (state.forgotten + state.seen.len() - 1, action)
    }

    pub(super) fn answered(&self, index: usize, status: u16) {
        let mut state = self.state();
        let forgotten = state.forgotten;
        if let Some(seen) = index.checked_sub(forgotten).and_then(|index| state.seen.get_mut(index)) {
            seen.status = Some(status);
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let mut state = self.state();
        if let Some(process) = state.victim {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(process, signal);
            state.struck = true;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain values; a panic elsewhere leaves none half changed.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One that begins to count, and remembers what was seen.
    fn counting(&mut self, plan: Option<Plan>) -> Self {
        let (names, seen) = (std::mem::take(&mut self.names), std::mem::take(&mut self.seen));
        Self { counted: Some(BTreeMap::new()), plan, names, seen, forgotten: self.forgotten, ..Self::default() }
    }

    fn count(&mut self, call: &Call) -> Option<Action> {
        if !(self.counts_all || call.kind.is_counted()) {
            return None;
        }
        let count = self.counted.as_mut()?.entry(call.label.clone()).or_default();
        *count += 1;
        let step = Step { label: call.label.clone(), occurrence: *count };
        self.steps.push((step.clone(), call.kind));
        let Plan { at, times, action } = self.plan.as_ref()?;
        let (first, number) = match at {
            At::Step(first) if first.label != step.label => return None,
            At::Step(first) => (first.occurrence, step.occurrence),
            At::Nth(first) => (*first, self.steps.len()),
        };
        let is_meant = (first..first.saturating_add(*times)).contains(&number);
        if !is_meant {
            return None;
        }
        self.fired += 1;
        Some(*action)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Script").finish_non_exhaustive()
    }
}

// === display ===

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.label, self.occurrence)
    }
}

impl fmt::Display for At {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => step.fmt(formatter),
            Self::Nth(number) => write!(formatter, "#{number}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal, moment) => {
                let name = if *signal == Signal::STOP { "stop" } else { "kill" };
                let moment = if *moment == Moment::Before { "before" } else { "after" };
                write!(formatter, "{name}-{moment}")
            }
            Self::Fault(Fault::Status(status)) => write!(formatter, "{status}"),
            Self::Fault(Fault::Answer(status, _)) => write!(formatter, "{status}"),
            Self::Fault(Fault::Hang) => formatter.write_str("hang"),
            Self::Fault(Fault::Drop) => formatter.write_str("drop"),
            Self::Fault(Fault::DropAnswer) => formatter.write_str("drop-answer"),
            Self::Fault(Fault::CutWatches) => formatter.write_str("cut-watches"),
            Self::Fault(Fault::Late(_)) => formatter.write_str("late"),
        }
    }
}
