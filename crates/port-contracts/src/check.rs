//! Running checks and reporting on them.

use std::fmt::Write as _;
use std::panic::Location;

/// Why a check did not reach its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The promise was broken: how.
    Broken(String),
    /// The harness cannot do what the check needs.
    Skipped(&'static str),
}

pub(crate) type Outcome<T = ()> = Result<T, Stopped>;

/// What became of the promises of one port.
#[derive(Debug)]
#[must_use = "a report that nobody asserts hides broken promises"]
pub struct Report {
    port: &'static str,
    kept: Vec<&'static str>,
    skipped: Vec<(&'static str, &'static str)>,
    broken: Vec<(&'static str, String)>,
}

impl Report {
    pub(crate) fn new(port: &'static str) -> Self {
        Self { port, kept: Vec::new(), skipped: Vec::new(), broken: Vec::new() }
    }

    pub(crate) fn note(&mut self, check: &'static str, outcome: Result<Outcome, tokio::time::error::Elapsed>) {
        match outcome {
            Ok(Ok(())) => self.kept.push(check),
            Ok(Err(Stopped::Skipped(hook))) => self.skipped.push((check, hook)),
            Ok(Err(Stopped::Broken(how))) => self.broken.push((check, how)),
            Err(_) => self.broken.push((check, "it did not end in time".to_owned())),
        }
    }

    /// The checks that passed, by function name.
    pub fn kept(&self) -> &[&'static str] {
        &self.kept
    }

    /// The checks that could not be made, each with the hook that the harness lacks.
    pub fn skipped(&self) -> &[(&'static str, &'static str)] {
        &self.skipped
    }

    /// The checks that broke, and how.
    pub fn broken(&self) -> &[(&'static str, String)] {
        &self.broken
    }

    /// Fails the test if a promise was broken. Skipped checks are passed over.
    #[track_caller]
    pub fn assert_kept(&self) {
        assert!(self.broken.is_empty(), "{}", self.sentences());
    }

    /// Fails the test if a promise was broken, or if it could not be checked.
    #[track_caller]
    pub fn assert_kept_and_complete(&self) {
        assert!(self.broken.is_empty() && self.skipped.is_empty(), "{}", self.sentences());
    }

    fn sentences(&self) -> String {
        let mut text = format!("`{}` keeps {} promises, but\n", self.port, self.kept.len());
        for (check, how) in &self.broken {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "- broken: {}: {how}", check.replace('_', " "));
        }
        for (check, hook) in &self.skipped {
            let _ = writeln!(text, "- not checked: {}: the harness has no `{hook}`", check.replace('_', " "));
        }
        text
    }
}

impl Stopped {
    #[track_caller]
    pub(crate) fn broken(how: &str) -> Self {
        let place = Location::caller();
        Self::Broken(format!("{how} ({}:{})", place.file(), place.line()))
    }
}

/// So that `?` on a port's answer breaks the check.
impl<E: std::error::Error> From<E> for Stopped {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::broken(&format!("unexpected: {error} [{error:?}]"))
    }
}

/// Breaks the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($how:tt)+) => {
        if !$condition {
            return Err($crate::check::Stopped::broken(&format!($($how)+)));
        }
    };
}

/// Breaks the check unless both are equal.
macro_rules! ensure_eq {
    ($seen:expr, $promised:expr, $($what:tt)+) => {
        match (&$seen, &$promised) {
            (seen, promised) => {
                if seen != promised {
                    let what = format!($($what)+);
                    return Err($crate::check::Stopped::broken(&format!("{what}: {seen:?} instead of {promised:?}")));
                }
            }
        }
    };
}

/// Breaks the check unless the answer is an error of this kind.
macro_rules! ensure_err {
    ($answer:expr, $error:pat, $($what:tt)+) => {
        match $answer {
            Err($error) => {}
            other => {
                let what = format!($($what)+);
                return Err($crate::check::Stopped::broken(&format!("{what}: {other:?} instead of {}", stringify!($error))));
            }
        }
    };
}

/// Defines a suite: a function that runs checks one after the other, each with a limit, and reports on all of them.
macro_rules! suite {
    ($(#[$meta:meta])* $name:ident($harness:ty): $($check:path,)+) => {
        $(#[$meta])*
        pub async fn $name(harness: &$harness) -> $crate::Report {
            let mut report = $crate::Report::new(stringify!($name));
            let limit = harness.patience().check;
            $(
                let name = stringify!($check).rsplit("::").next().unwrap_or_default().trim();
                report.note(name, tokio::time::timeout(limit, $check(harness)).await);
            )+
            report
        }
    };
}

pub(crate) use {ensure, ensure_eq, ensure_err, suite};
