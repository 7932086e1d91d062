//! How cases ended, and the figures of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use dbt_controller_tests::Step;
use serde_json::{Value, json};

use crate::case::Case;
use crate::scenario::{Expected, Scenario};

/// What a write of the record of a release's operations is told as when it is made for its own sake, and not to renew the lock: when the record
/// is made, before a step that must be known of, and at the end. A lock is renewed by the clock, in whatever phase.
const INTENTS: [&str; 6] = ["create ", "[record]", "[connect]", "[disconnect]", "[undo]", "[at rest]"];

/// Whether a call is about the record of a release's operations.
pub(crate) fn is_of_record(step: &Step) -> bool {
    step.label.contains(" secrets/dbt-controller-op.")
}

/// What a service does by the clock beside its operations.
const BY_THE_CLOCK: [&str; 5] = ["watch: ", " leases/", "tells by an Event", "asks for rights", "probes"];

/// Whether it may come once more or less often in another run.
fn is_by_the_clock(step: &Step) -> bool {
    step.occurrence > 1 && BY_THE_CLOCK.iter().any(|by| step.label.contains(by))
        || is_of_record(step) && (step.occurrence > 1 || !INTENTS.iter().any(|intent| step.label.contains(intent)))
}

/// How a case ended that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) end: End,
    /// The codes of the failures that callers were told of and that the request is not about.
    pub(crate) told: Vec<String>,
    pub(crate) took: Duration,
}

/// What there was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// What was asked for.
    Finished,
    /// What there was before.
    AsBefore,
    /// Something in between, as the caller was told; the next POST has put it right.
    Between,
    /// The step did not come in this run.
    NotReached,
}

/// The figures of a group of cases.
#[derive(Debug, Default)]
struct Line {
    cases: usize,
    finished: usize,
    as_before: usize,
    between: usize,
    not_reached: usize,
    wrong: usize,
    longest: Duration,
    told: BTreeMap<String, usize>,
}

/// The figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    by_request: BTreeMap<String, Line>,
    by_event: BTreeMap<String, Line>,
    /// Without those that come by the clock.
    by_step: BTreeMap<String, Line>,
}

impl Report {
    pub(crate) fn note(&mut self, case: &Case, outcome: Option<&Outcome>) {
        self.by_request.entry(case.scenario.name.to_owned()).or_default().note(outcome);
        self.by_event.entry(case.event()).or_default().note(outcome);
        if !is_by_the_clock(&case.step) {
            self.by_step.entry(format!("{} / {}", case.scenario.name, case.step)).or_default().note(outcome);
        }
    }

    /// The steps that none of their cases has reached: what happens there is not proved. Those by the clock may come less often on a faster
    /// machine.
    pub(crate) fn unproved(&self) -> Vec<&str> {
        let unproved = self.by_step.iter().filter(|(_, line)| line.not_reached == line.cases);
        unproved.map(|(step, _)| step.as_str()).collect()
    }

    /// The figures by kind of request and by what happens, as JSON. `cargo xtask prove matrix` makes tables of them.
    pub(crate) fn figures(&self) -> [Value; 2] {
        [&self.by_request, &self.by_event].map(|lines| lines.iter().map(|(name, line)| (name.clone(), line.figures())).collect())
    }
}

impl End {
    /// What one of the two states means. Where they are the same, nothing has changed.
    pub(crate) fn of(scenario: &Scenario, end: Expected) -> Self {
        if end == scenario.after && scenario.after != scenario.before { Self::Finished } else { Self::AsBefore }
    }
}

impl Line {
    fn note(&mut self, outcome: Option<&Outcome>) {
        self.cases += 1;
        let Some(Outcome { end, told, took }) = outcome else {
            self.wrong += 1;
            return;
        };
        let count = match end {
            End::Finished => &mut self.finished,
            End::AsBefore => &mut self.as_before,
            End::Between => &mut self.between,
            End::NotReached => &mut self.not_reached,
        };
        *count += 1;
        self.longest = self.longest.max(*took);
        for told in told {
            *self.told.entry(told.clone()).or_default() += 1;
        }
    }

    fn figures(&self) -> Value {
        let Self { cases, finished, as_before, between, not_reached, wrong, longest, told } = self;
        json!({
            "cases": cases, "finished": finished, "as_before": as_before, "between": between, "not_reached": not_reached, "wrong": wrong,
            "longest": longest.as_secs_f64(), "told": told,
        })
    }
}
