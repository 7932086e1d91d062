//! What a caller got.

use dbt_controller_domain::model::{Failure, Success};

/// What a caller got.
pub(super) enum Answer {
    /// How it ended.
    Given(Result<Success, Failure>),
    /// The replica stood still, so the caller's line broke.
    Lost,
    /// Nothing, although the replica ran.
    None,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(Ok(Success::Deployed { revision, unchanged, connection, notes, .. })) => {
                write!(f, "revision {revision}, unchanged: {unchanged}, {} {:?} {notes:?}", connection.status, connection.id)
            }
            Self::Given(Ok(success)) => write!(f, "{success:?}"),
            Self::Given(Err(failure)) => write!(f, "{failure} [{}]", failure.undo),
            Self::Lost => f.write_str("the replica stood still"),
            Self::None => f.write_str("nothing"),
        }
    }
}
