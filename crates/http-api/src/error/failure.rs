//! From a failure of the domain to an error answer.

use dbt_controller_domain::model::{Failure, FailureCode, Namespace, Target};

use super::ApiError;
use crate::operations::AutopsyAnswer;
use crate::words::Word;

/// What pipelines take as "already deleted": they look for these words in the message.
const NOT_FOUND: &str = "not found";

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let Failure { code, message, phase, undo, autopsy, available } = failure;
        Self::new(code.into(), message).with_details(|details| {
            details.phase = phase.map(Word);
            // Without a phase no operation began, so there is no undo to speak of.
            details.undo = phase.map(|_| Word(undo));
            details.autopsy = autopsy.map(|autopsy| AutopsyAnswer::from(*autopsy));
            let lists_deployments = code == FailureCode::NotFound;
            details.pvc_deleted = lists_deployments.then(Vec::new);
            details.available_releases = (lists_deployments || !available.is_empty()).then_some(available);
        })
    }
}

impl ApiError {
    /// A failure about a deployment that the caller named. A missing one is told in the contract's words, whoever found it missing.
    pub(crate) fn about(target: &Target, home: &Namespace, mut failure: Failure) -> Self {
        if failure.code == FailureCode::NotFound {
            let namespace = target.namespace.as_ref().unwrap_or(home);
            failure.message = format!("Deployment {} {NOT_FOUND} in namespace {namespace}", target.name);
        }
        failure.into()
    }
}
