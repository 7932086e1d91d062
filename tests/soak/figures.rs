//! The figures of a soak.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::mean;

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
    pub(crate) fn text(&self, took: Duration, seed: u64, memory: &[[u64; 2]]) -> String {
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
        text.push_str(
            "\n| Memory (MiB, mean) | First fifth | Second | Third | Fourth | Last |\n| --- | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for replica in [0, 1] {
            let means: Vec<_> = (0..5).map(|fifth| format!("{:.1}", mean(memory, replica, fifth) / f64::from(1 << 20))).collect();
            let _ = writeln!(text, "| Replica {} | {} |", replica + 1, means.join(" | "));
        }
        text
    }
}
