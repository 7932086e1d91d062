//! How cases ended, and the figures of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::case::Case;
use crate::scenario::{Expected, Scenario};

/// What renews a lock, notes how an operation goes on, and looks whether that was written.
const RENEWAL: &str = " secrets/dbt-controller-op.";

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
    by_step: BTreeMap<String, Line>,
}

impl Report {
    pub(crate) fn note(&mut self, case: &Case, outcome: Option<&Outcome>) {
        self.by_request.entry(case.scenario.name.to_owned()).or_default().note(outcome);
        self.by_event.entry(case.event()).or_default().note(outcome);
        self.by_step.entry(format!("{} / {}", case.scenario.name, case.step)).or_default().note(outcome);
    }

    /// The steps that none of their cases has reached: what happens there is not proved. A lock is renewed by the clock, and so as often as the
    /// machine is slow; those steps are only counted.
    pub(crate) fn unproved(&self) -> Vec<&str> {
        let unproved = self.by_step.iter().filter(|(step, line)| line.not_reached == line.cases && !step.contains(RENEWAL));
        unproved.map(|(step, _)| step.as_str()).collect()
    }

    /// Two tables, in Markdown.
    pub(crate) fn tables(&self) -> String {
        format!("{}\n{}", table("Request", &self.by_request), table("What happens at a call", &self.by_event))
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
}

fn table(first: &str, lines: &BTreeMap<String, Line>) -> String {
    let mut text = format!("| {first} | Cases | Finished | As before | In between | Not reached | Wrong | Longest | Told |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for (name, line) in lines {
        let Line { cases, finished, as_before, between, not_reached, wrong, longest, told } = line;
        let told: Vec<_> = told.iter().map(|(told, count)| format!("{count} `{told}`")).collect();
        let (seconds, told) = (longest.as_secs_f64(), told.join(", "));
        let _ = writeln!(
            text,
            "| {name} | {cases} | {finished} | {as_before} | {between} | {not_reached} | {wrong} | {seconds:.1} s | {told} |"
        );
    }
    text
}
