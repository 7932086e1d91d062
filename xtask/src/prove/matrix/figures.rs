//! The figures of the parts of a matrix: kept in docs/figures, one part in each line, and told in docs/reliability.md together.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::project;

/// One of so many parts of a matrix. All cases of a step are in one part, the same one in each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// From 1 on.
    part: usize,
    of: usize,
}

/// What a test has written of its run.
#[derive(Debug, Deserialize)]
struct Written {
    known: usize,
    minutes: f64,
    ended: Vec<Ended>,
}

/// A case.
#[derive(Debug, Deserialize)]
struct Ended {
    request: String,
    event: String,
    end: End,
    told: Vec<String>,
    seconds: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    Finished,
    AsBefore,
    Between,
    NotReached,
    Wrong,
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    /// How many cases there are in all parts.
    known: usize,
    cases: usize,
    wrong: usize,
    minutes: f64,
    requests: BTreeMap<String, Line>,
    events: BTreeMap<String, Line>,
}

/// The figures of a group of cases.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Line {
    cases: usize,
    finished: usize,
    as_before: usize,
    between: usize,
    not_reached: usize,
    wrong: usize,
    /// In seconds.
    longest: f64,
    told: BTreeMap<String, usize>,
}

/// A part that was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    #[serde(flatten)]
    pub(super) part: Part,
    pub(super) seed: u64,
    /// When, and on what.
    pub(super) date: String,
    pub(super) machine: String,
    #[serde(flatten)]
    pub(super) report: Report,
}

/// The runs of the parts of one matrix, in their order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Figures(Vec<Run>);

// === impl Part ===

impl Part {
    pub(super) const WHOLE: Self = Self { part: 1, of: 1 };
}

impl FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (part, of) = text.split_once('/').context("a part is written as 1/6")?;
        let (part, of) = (part.parse()?, of.parse()?);
        anyhow::ensure!((1..=of).contains(&part), "there is no part {part} of {of}");
        Ok(Self { part, of })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.part, self.of)
    }
}

// === impl Report ===

impl Report {
    /// Makes the figures of what a test has written.
    pub(super) fn of(written: &str) -> anyhow::Result<Self> {
        let Written { known, minutes, ended } = serde_json::from_str(written)?;
        let mut report = Self { known, cases: ended.len(), wrong: 0, minutes, requests: BTreeMap::new(), events: BTreeMap::new() };
        for case in &ended {
            report.wrong += usize::from(matches!(case.end, End::Wrong));
            report.requests.entry(case.request.clone()).or_default().note(case);
            report.events.entry(case.event.clone()).or_default().note(case);
        }
        Ok(report)
    }

    /// Two tables, in Markdown.
    pub(super) fn tables(&self) -> String {
        format!("{}\n{}", table("Request", &self.requests), table("What happens at a call", &self.events))
    }

    fn add(&mut self, other: &Self) {
        for (own, others) in [(&mut self.requests, &other.requests), (&mut self.events, &other.events)] {
            for (name, line) in others {
                own.entry(name.clone()).or_default().add(line);
            }
        }
    }
}

impl Line {
    fn note(&mut self, case: &Ended) {
        self.cases += 1;
        let ended = match case.end {
            End::Finished => &mut self.finished,
            End::AsBefore => &mut self.as_before,
            End::Between => &mut self.between,
            End::NotReached => &mut self.not_reached,
            End::Wrong => &mut self.wrong,
        };
        *ended += 1;
        self.longest = self.longest.max(case.seconds);
        for told in &case.told {
            *self.told.entry(told.clone()).or_default() += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.finished += other.finished;
        self.as_before += other.as_before;
        self.between += other.between;
        self.not_reached += other.not_reached;
        self.wrong += other.wrong;
        self.longest = self.longest.max(other.longest);
        for (told, count) in &other.told {
            *self.told.entry(told.clone()).or_default() += count;
        }
    }
}

fn table(first: &str, lines: &BTreeMap<String, Line>) -> String {
    let mut text = format!("| {first} | Cases | Finished | As before | In between | Not reached | Wrong | Longest | Told |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for (name, line) in lines {
        let Line { cases, finished, as_before, between, not_reached, wrong, longest, told } = line;
        let told: Vec<_> = told.iter().map(|(told, count)| format!("{count} `{told}`")).collect();
        let told = told.join(", ");
        let _ = writeln!(
            text,
            "| {name} | {cases} | {finished} | {as_before} | {between} | {not_reached} | {wrong} | {longest:.1} s | {told} |"
        );
    }
    text
}

// === impl Figures ===

impl Figures {
    /// Those that are kept of a matrix.
    pub(super) fn read(matrix: &str) -> anyhow::Result<Self> {
        let path = path(matrix);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).with_context(|| format!("cannot read {}", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(super) fn write(&self, matrix: &str) -> anyhow::Result<()> {
        let path = path(matrix);
        fs::write(&path, self.lines()?).with_context(|| format!("cannot write {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(Self(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?))
    }

    fn lines(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for run in &self.0 {
            text.push_str(&serde_json::to_string(run)?);
            text.push('\n');
        }
        Ok(text)
    }

    /// Takes a run in, in place of an earlier one of the same part. Those of another seed, or of another number of parts, are of other cases.
    pub(super) fn take(&mut self, run: Run) {
        self.0.retain(|other| other.seed == run.seed && other.part.of == run.part.of && other.part != run.part);
        self.0.push(run);
        self.0.sort_by_key(|run| run.part.part);
    }

    /// What is told of them, in Markdown.
    pub(super) fn text(&self) -> String {
        let Some((first, others)) = self.0.split_first() else { return String::new() };
        let mut text = format!("Seed {}.\n\n| Part | Run on | Cases | Minutes | Wrong |\n| --- | --- | ---: | ---: | ---: |\n", first.seed);
        for Run { part, date, machine, report, .. } in &self.0 {
            let Report { known, cases, wrong, minutes, .. } = report;
            let _ = writeln!(text, "| {part} | {date}, {machine} | {cases} of {known} | {minutes:.1} | {wrong} |");
        }
        let missing: Vec<_> = (1..=first.part.of).filter(|part| self.0.iter().all(|run| run.part.part != *part)).collect();
        if !missing.is_empty() {
            let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "\nNot run yet: part {}.", missing.join(", "));
        }
        let mut sum = first.report.clone();
        others.iter().for_each(|run| sum.add(&run.report));
        let _ = write!(text, "\n{}", sum.tables());
        text
    }
}

fn path(matrix: &str) -> PathBuf {
    project::root().join("docs/figures").join(format!("{matrix}.jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(part: &str, seed: u64, cases: usize, longest: f64) -> Run {
        let told = [("interrupted".to_owned(), 1)].into();
        let line = Line { cases, finished: cases, longest, told, ..Line::default() };
        let groups: BTreeMap<_, _> = [("post".to_owned(), line)].into();
        let report = Report { known: 10, cases, wrong: 0, minutes: 1.25, requests: groups.clone(), events: groups };
        Run { part: part.parse().unwrap(), seed, date: "2026-11-27".to_owned(), machine: "2 cores".to_owned(), report }
    }

    fn parts(figures: &Figures) -> Vec<String> {
        figures.0.iter().map(|run| run.part.to_string()).collect()
    }

    #[test]
    fn cases_are_counted_by_request_and_by_event() {
        let case = |request: &str, end: &str, seconds: f64, told: &[&str]| serde_json::json!({"request": request, "event": "kill", "end": end, "told": told, "seconds": seconds});
        let ended =
            [case("post", "finished", 2.0, &[]), case("post", "wrong", 0.0, &[]), case("delete", "not_reached", 1.0, &["interrupted"])];
        let report = Report::of(&serde_json::json!({"known": 9, "minutes": 0.5, "ended": ended}).to_string()).unwrap();
        assert_eq!((report.known, report.cases, report.wrong), (9, 3, 1));
        let tables = report.tables();
        for line in [
            "| delete | 1 | 0 | 0 | 0 | 1 | 0 | 1.0 s | 1 `interrupted` |",
            "| post | 2 | 1 | 0 | 0 | 0 | 1 | 2.0 s |  |",
            "| kill | 3 | 1 | 0 | 0 | 1 | 1 | 2.0 s | 1 `interrupted` |",
        ] {
            assert!(tables.contains(line), "{line}\n{tables}");
        }
    }

    #[test]
    fn parts_are_added_up() {
        let mut figures = Figures::default();
        figures.take(run("3/3", 1, 2, 5.0));
        figures.take(run("1/3", 1, 3, 4.0));
        let text = figures.text();
        for told in [
            "| 1/3 | 2026-11-27, 2 cores | 3 of 10 | 1.2 | 0 |\n| 3/3 |",
            "Not run yet: part 2.",
            "| post | 5 | 5 | 0 | 0 | 0 | 0 | 5.0 s | 2 `interrupted` |",
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
        figures.take(run("2/3", 1, 1, 1.0));
        assert!(!figures.text().contains("Not run yet"), "{}", figures.text());
        assert_eq!(Figures::parse(&figures.lines().unwrap()).unwrap(), figures);
    }

    #[test]
    fn a_run_replaces_what_it_cannot_be_added_to() {
        let mut figures = Figures::default();
        figures.take(run("1/2", 1, 3, 4.0));
        figures.take(run("2/2", 1, 3, 4.0));
        figures.take(run("1/2", 1, 4, 4.0));
        assert_eq!((parts(&figures), figures.0[0].report.cases), (vec!["1/2".to_owned(), "2/2".to_owned()], 4));
        figures.take(run("2/2", 7, 3, 4.0));
        assert_eq!(parts(&figures), ["2/2"]);
        figures.take(run("1/1", 7, 3, 4.0));
        assert_eq!(parts(&figures), ["1/1"]);
    }

    #[test]
    fn there_are_only_the_parts_that_there_are() {
        for text in ["0/2", "3/2", "1", "/", "a/2", "1/0"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
    }
}
