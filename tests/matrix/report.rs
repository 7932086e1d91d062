//! How cases ended, and the figures of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::case::Case;

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
    lines: BTreeMap<(String, String), Line>,
}

impl Report {
    pub(crate) fn note(&mut self, case: &Case, outcome: Option<&Outcome>) {
        let kind = match case.then {
            crate::case::Then::Itself => case.plan.action.to_string(),
            then => format!("{}, {then}", case.plan.action),
        };
        let line = self.lines.entry((case.scenario.name.to_owned(), kind)).or_default();
        let took = match outcome {
            None => {
                line.wrong += 1;
                return;
            }
            Some(Outcome::NotReached) => {
                line.not_reached += 1;
                return;
            }
            Some(Outcome::Finished(took)) => {
                line.finished += 1;
                took
            }
            Some(Outcome::Undone(took)) => {
                line.undone += 1;
                took
            }
            Some(Outcome::Failed(code, took)) => {
                *line.codes.entry(code.clone()).or_default() += 1;
                line.undone += 1;
                took
            }
        };
        line.longest = line.longest.max(*took);
    }

    /// How many steps did not come.
    pub(crate) fn not_reached(&self) -> usize {
        self.lines.values().map(|line| line.not_reached).sum()
    }

    /// The table, in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = "| Request | What happens | Finished | Undone | Not reached | Wrong | Longest | Failures told |\n".to_owned();
        text.push_str("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
        for ((scenario, kind), line) in &self.lines {
            let codes: Vec<_> = line.codes.iter().map(|(code, count)| format!("{count} `{code}`")).collect();
            let Line { finished, undone, not_reached, wrong, longest, codes: _ } = line;
            let (seconds, codes) = (longest.as_secs_f64(), codes.join(", "));
            let _ = writeln!(text, "| {scenario} | {kind} | {finished} | {undone} | {not_reached} | {wrong} | {seconds:.1} s | {codes} |");
        }
        text
    }
}
