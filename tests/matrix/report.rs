//! How cases ended, and what a run tells of them.

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
    /// The codes of the failures that callers were told of and that the request is not about; and what else is told of the case.
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

/// What a run has to tell.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Of each case what it was about and how it ended, as JSON. `cargo xtask prove matrix` makes figures of them.
    ended: Vec<Value>,
    /// The steps, without those that come by the clock, and whether a case has reached them.
    steps: BTreeMap<String, bool>,
}

impl Report {
    pub(crate) fn note(&mut self, case: &Case, outcome: Option<&Outcome>) {
        // One that went wrong has no outcome.
        let [end, told, seconds] = match outcome {
            Some(Outcome { end, told, took }) => [json!(end.name()), json!(told), json!(took.as_secs_f64())],
            None => [json!("wrong"), json!([]), json!(0.0)],
        };
        self.ended.push(json!({"request": case.scenario.name, "event": case.event(), "end": end, "told": told, "seconds": seconds}));
        if !is_by_the_clock(&case.step) {
            let is_reached = outcome.is_none_or(|outcome| outcome.end != End::NotReached);
            *self.steps.entry(format!("{} / {}", case.scenario.name, case.step)).or_default() |= is_reached;
        }
    }

    /// The steps that none of their cases has reached: what happens there is not proved. Those by the clock may come less often on a faster
    /// machine.
    pub(crate) fn unproved(&self) -> Vec<&str> {
        self.steps.iter().filter(|(_, is_reached)| !**is_reached).map(|(step, _)| step.as_str()).collect()
    }

    pub(crate) fn ended(&self) -> &[Value] {
        &self.ended
    }
}

impl Outcome {
    /// The same, with more that was told.
    pub(crate) fn and_told(mut self, told: Vec<String>) -> Self {
        self.told.extend(told);
        self
    }
}

impl End {
    /// What one of the two states means. Where they are the same, nothing has changed.
    pub(crate) fn of(scenario: &Scenario, end: Expected) -> Self {
        if end == scenario.after && scenario.after != scenario.before { Self::Finished } else { Self::AsBefore }
    }

    /// What it is called in the figures.
    fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::AsBefore => "as_before",
            Self::Between => "between",
            Self::NotReached => "not_reached",
        }
    }
}
