//! The body of every error answer.

use std::collections::BTreeMap;

use dbt_controller_domain::model::{Phase, UndoOutcome};
use schemars::JsonSchema;
use serde::Serialize;

use super::ErrorCode;
use crate::operations::AutopsyAnswer;
use crate::words::Word;

/// An error answer. Pipelines read `status`, `message` and `details.validation_errors`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ErrorBody {
    /// Always `error`.
    pub(crate) status: ErrorWord,
    /// Cause and remedy in a sentence.
    pub(crate) message: String,
    /// The same for programs.
    pub(crate) details: ErrorDetails,
}

/// The word in `status` of an error.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum ErrorWord {
    /// It did not work.
    Error,
}

/// An error for programs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ErrorDetails {
    /// The kind of error in a few words.
    pub(crate) error: String,
    /// The kind of error in one stable word.
    pub(crate) code: Word<ErrorCode>,
    /// What is wrong with each field or parameter; values are never repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validation_errors: Option<BTreeMap<String, Vec<String>>>,
    /// The deployments there are, when the one that was named does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) available_releases: Option<Vec<String>>,
    /// Always empty; pipelines iterate it after a delete of something that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pvc_deleted: Option<Vec<String>>,
    /// The release that the operation was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) release_name: Option<String>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// The operation that ended this way; it stays readable for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operation_id: Option<String>,
    /// The step that ended this way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<Word<Phase>>,
    /// How the undo ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undo: Option<Word<UndoOutcome>>,
    /// What the server looked like before the undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) autopsy: Option<AutopsyAnswer>,
}

impl ErrorDetails {
    /// The details that every error has.
    pub(crate) fn of(code: ErrorCode) -> Self {
        Self {
            error: code.row().title.to_owned(),
            code: Word(code),
            validation_errors: None,
            available_releases: None,
            pvc_deleted: None,
            release_name: None,
            namespace: None,
            operation_id: None,
            phase: None,
            undo: None,
            autopsy: None,
        }
    }
}
