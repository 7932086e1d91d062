//! The cases: every step of every scenario, with everything that can happen there.

use std::fmt;

use dbt_controller_tests::{Action, Fault, Moment, Plan, Step};
use rustix::process::Signal;

use crate::discovery::Found;
use crate::scenario::Scenario;

/// One case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) scenario: &'static Scenario,
    pub(crate) plan: Plan,
    pub(crate) then: Then,
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

/// All crashes.
pub(crate) fn crashes(found: &Found) -> Vec<Case> {
    let mut cases = Vec::new();
    for (scenario, step) in steps(found) {
        for moment in [Moment::Before, Moment::After] {
            let mut add = |signal, then| {
                let plan = Plan { step: step.clone(), times: 1, action: Action::Signal(signal, moment) };
                cases.push(Case { scenario, plan, then });
            };
            for then in [Then::Restart, Then::RestartAndRetry, Then::Survivor, Then::SurvivorAndRetry] {
                add(Signal::KILL, then);
            }
            add(Signal::STOP, Then::Survivor);
        }
    }
    cases
}

/// All faults.
pub(crate) fn faults(found: &Found) -> Vec<Case> {
    let statuses = [429, 500, 503, 409].map(Fault::Status);
    let others = [Fault::Hang, Fault::Drop, Fault::DropAnswer, Fault::CutWatches];
    let mut cases = Vec::new();
    for (scenario, step) in steps(found) {
        for fault in statuses.into_iter().chain(others) {
            for times in [1, 2] {
                let plan = Plan { step: step.clone(), times, action: Action::Fault(fault) };
                cases.push(Case { scenario, plan, then: Then::Itself });
            }
        }
    }
    cases
}

fn steps(found: &Found) -> impl Iterator<Item = (&'static Scenario, &Step)> {
    found.steps.iter().flat_map(|(scenario, steps)| steps.iter().map(|step| (*scenario, step)))
}

impl Case {
    /// How many services it needs.
    pub(crate) fn replicas(&self) -> usize {
        match self.then {
            Then::Itself | Then::Restart | Then::RestartAndRetry => 1,
            Then::Survivor | Then::SurvivorAndRetry => 2,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, plan, then } = self;
        let times = if plan.times == 1 { "" } else { " twice" };
        write!(formatter, "{} / {}{times} / {} / {then}", scenario.name, plan.action, plan.step)
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
