//! The figures of a soak.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use dbt_controller_tests::Service;

use crate::ROUNDS;

/// The memory of a replica, in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// All that is resident, with the pages of the program that were used so far.
    all: f64,
    /// What is not a part of a file: heap and stacks.
    pub(crate) own: f64,
}

impl Memory {
    #[expect(clippy::cast_precision_loss, reason = "figures of memory are far below 2^52")]
    pub(crate) fn of(service: &Service) -> Self {
        let [all, own] = [service.resident_memory(), service.own_memory()].map(|bytes| bytes as f64 / f64::from(1 << 20));
        Self { all, own }
    }
}

/// What was asked, and how it was answered.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    lines: BTreeMap<&'static str, Line>,
    wrong: Vec<String>,
}

/// Of one kind of request.
#[derive(Debug, Default)]
struct Line {
    answered: usize,
    retried: usize,
    times: Vec<Duration>,
}

impl Figures {
    /// A request that was answered rightly, after so many retries, within this time in all.
    pub(crate) fn answered(&mut self, kind: &'static str, retries: usize, took: Duration) {
        let line = self.lines.entry(kind).or_default();
        line.answered += 1;
        line.retried += usize::from(retries > 0);
        line.times.push(took);
    }

    pub(crate) fn went_wrong(&mut self, what: String) {
        println!("WRONG: {what}");
        self.wrong.push(what);
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.wrong.clone()
    }

    /// All of them, in Markdown.
    pub(crate) fn text(&self, took: Duration, seed: u64, memory: &[[Memory; 2]]) -> String {
        let all: usize = self.lines.values().map(|line| line.answered).sum();
        let (minutes, wrong) = (took.as_secs_f64() / 60.0, self.wrong.len());
        let mut text = format!("{all} requests in {minutes:.1} minutes, seed {seed}, {wrong} wrong answers.\n\n");
        text.push_str("| Request | Answered | Of these after a retry | Median | Longest |\n| --- | ---: | ---: | ---: | ---: |\n");
        for (kind, line) in &self.lines {
            let mut times = line.times.clone();
            times.sort_unstable();
            let (median, longest) = (times[times.len() / 2].as_secs_f64(), times[times.len() - 1].as_secs_f64());
            let _ = writeln!(text, "| {kind} | {} | {} | {median:.2} s | {longest:.1} s |", line.answered, line.retried);
        }
        let rounds: Vec<_> = (1..=ROUNDS).map(|round| format!("Round {round}")).collect();
        let _ = write!(text, "\n| MiB when all is deleted | {} |\n| --- |{}\n", rounds.join(" | "), " ---: |".repeat(ROUNDS));
        for replica in [0, 1] {
            let looked = memory.iter().map(|looked| looked[replica]);
            let own: Vec<_> = looked.clone().map(|memory| format!("{:.1}", memory.own)).collect();
            let all: Vec<_> = looked.map(|memory| format!("{:.1}", memory.all)).collect();
            let _ = writeln!(
                text,
                "| Replica {0}, its own | {1} |\n| Replica {0}, resident | {2} |",
                replica + 1,
                own.join(" | "),
                all.join(" | ")
            );
        }
        text
    }
}
