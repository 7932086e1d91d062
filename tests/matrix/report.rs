//! How cases ended, and the figures of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::case::{Case, Then};

/// How a case ended that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was asked for is there.
    Finished(Duration),
    /// All is as it was before, as it has to be.
    Undone(Duration),
    /// The caller was told of a failure with this code, and all is as it was before.
    Failed(String, Duration),
    /// The step did not come in this run.
    NotReached,
}

/// The figures of a group of cases.
#[derive(Debug, Default)]
struct Line {
    cases: usize,
    finished: usize,
    undone: usize,
    not_reached: usize,
    wrong: usize,
    longest: Duration,
    codes: BTreeMap<String, usize>,
}

/// The figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    by_request: BTreeMap<String, Line>,
    by_event: BTreeMap<String, Line>,
}

impl Report {
    pub(crate) fn note(&mut self, case: &Case, outcome: Option<&Outcome>) {
        let event = match case.then {
            Then::Itself => case.plan.action.to_string(),
            then => format!("{}, {then}", case.plan.action),
        };
        self.by_request.entry(case.scenario.name.to_owned()).or_default().note(outcome);
        self.by_event.entry(event).or_default().note(outcome);
    }

    /// How many steps did not come.
    pub(crate) fn not_reached(&self) -> usize {
        self.by_event.values().map(|line| line.not_reached).sum()
    }

    /// Two tables, in Markdown.
    pub(crate) fn tables(&self) -> String {
        format!("{}\n{}", table("Request", &self.by_request), table("What happens at a call", &self.by_event))
    }
}

impl Line {
    fn note(&mut self, outcome: Option<&Outcome>) {
        self.cases += 1;
        let took = match outcome {
            None => {
                self.wrong += 1;
                return;
            }
            Some(Outcome::NotReached) => {
                self.not_reached += 1;
                return;
            }
            Some(Outcome::Finished(took)) => {
                self.finished += 1;
                took
            }
            Some(Outcome::Undone(took)) => {
                self.undone += 1;
                took
            }
            Some(Outcome::Failed(code, took)) => {
                *self.codes.entry(code.clone()).or_default() += 1;
                self.undone += 1;
                took
            }
        };
        self.longest = self.longest.max(*took);
    }
}

fn table(first: &str, lines: &BTreeMap<String, Line>) -> String {
    let mut text = format!("| {first} | Cases | Finished | As before | Not reached | Wrong | Longest | Failures told |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for (name, line) in lines {
        let Line { cases, finished, undone, not_reached, wrong, longest, codes } = line;
        let codes: Vec<_> = codes.iter().map(|(code, count)| format!("{count} `{code}`")).collect();
        let (seconds, codes) = (longest.as_secs_f64(), codes.join(", "));
        let _ = writeln!(text, "| {name} | {cases} | {finished} | {undone} | {not_reached} | {wrong} | {seconds:.1} s | {codes} |");
    }
    text
}
