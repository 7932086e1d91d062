//! What an answer means for what there may be.

use dbt_controller_tests::Answer;

use crate::scenario::{Expected, Request, Scenario};

/// In these words a caller is told that the end is open: whether it was accepted is not known, or it goes on later.
const OPEN: [&str; 2] = ["not known whether", "it goes on when"];

/// What a caller was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What happens when nothing comes between.
    Done,
    /// A failure with this code, after which all is as it was before.
    Failed(String),
    /// That it may still be done, with this code.
    Unknown(String),
    /// That it failed and could not be undone, with what is left.
    Between,
}

impl Verdict {
    /// Reads an answer.
    ///
    /// # Errors
    /// When no caller may be told that.
    pub(crate) fn of(scenario: &Scenario, answer: &Answer) -> Result<Self, String> {
        if scenario.is_answered_by(answer) {
            return Ok(Self::Done);
        }
        let (code, undo) = (answer.detail("code"), answer.detail("undo"));
        if answer.status >= 500 && OPEN.iter().any(|words| answer.text.contains(words)) {
            return Ok(Self::Unknown(code));
        }
        let is_undone = match scenario.request {
            Request::Post(_) => ["", "undone", "nothing_to_undo"].contains(&undo.as_str()),
            Request::Delete(_) | Request::Suspend | Request::Resume => true,
        };
        if code == "rollback_failed" && undo == "failed" && answer.text.contains("the undo was incomplete: ") {
            return Ok(Self::Between);
        }
        // These are told together with their undo.
        let is_incomplete = ["", "rollback_failed", scenario.code.unwrap_or_default()].contains(&code.as_str());
        if answer.status >= 400 && !is_incomplete && is_undone {
            return Ok(Self::Failed(code));
        }
        Err(format!("an odd answer: {} {}", answer.status, answer.text))
    }

    /// What there may be then.
    pub(crate) fn allows(&self, scenario: &Scenario) -> Vec<Expected> {
        match self {
            Self::Done => vec![scenario.after],
            Self::Failed(_) => scenario.after_failure(),
            Self::Unknown(_) => vec![scenario.before, scenario.after],
            Self::Between => Vec::new(),
        }
    }

    /// The code of the failure, if it is not the one that the scenario is about.
    pub(crate) fn told(&self) -> Option<String> {
        match self {
            Self::Done => None,
            Self::Failed(code) | Self::Unknown(code) => Some(code.clone()),
            Self::Between => Some("rollback_failed".to_owned()),
        }
    }
}
