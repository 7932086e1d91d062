//! Why a call did not do what it was to do.

use std::time::Duration;

use dbt_controller_domain::ports::{ConnectionError, FenceDown};

/// Why a call did not do what it was to do. The texts hold no secret and none of our fields' values.
///
/// `arrived`: whether the call may have arrived and done its work all the same.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The operation's lock may be lost; no call was made.
    Fenced(FenceDown),
    /// No answer came, or not a whole one.
    NoAnswer { why: String, arrived: bool },
    /// Airflow says that it cannot now, and for how long.
    Later { why: String, after: Option<Duration>, arrived: bool },
    /// What answers is not the API that was asked for: a wrong address, something in between, or another Airflow than before.
    WrongPlace { why: String, arrived: bool },
    /// Our user or password, or the token that we got for them, is not taken.
    Credentials(String),
    /// Our role may not do this; or, as Airflow 2 does not tell the two apart, our login is wrong.
    Role(String),
    /// Airflow does not take the content.
    Rejected(String),
    /// There is no such connection.
    Absent,
    /// There is a connection of this id already.
    Exists,
    /// The connection is somebody else's: its description.
    Taken(String),
}

impl Fault {
    /// Whether the same call may succeed a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::Later { .. } => true,
            Self::Fenced(_)
            | Self::WrongPlace { .. }
            | Self::Credentials(_)
            | Self::Role(_)
            | Self::Rejected(_)
            | Self::Absent
            | Self::Exists
            | Self::Taken(_) => false,
        }
    }

    /// Whether the call may have done its work all the same.
    pub(crate) fn may_be_done(&self) -> bool {
        match self {
            Self::NoAnswer { arrived, .. } | Self::Later { arrived, .. } | Self::WrongPlace { arrived, .. } => *arrived,
            Self::Fenced(_) | Self::Credentials(_) | Self::Role(_) | Self::Rejected(_) | Self::Absent | Self::Exists | Self::Taken(_) => {
                false
            }
        }
    }

    /// The same fault as the reason why the call that it was a preparation of was not made.
    pub(crate) fn before_the_call(self) -> Self {
        match self {
            Self::NoAnswer { why, arrived: _ } => Self::NoAnswer { why, arrived: false },
            Self::Later { why, after, arrived: _ } => Self::Later { why, after, arrived: false },
            Self::WrongPlace { why, arrived: _ } => Self::WrongPlace { why, arrived: false },
            other @ (Self::Fenced(_)
            | Self::Credentials(_)
            | Self::Role(_)
            | Self::Rejected(_)
            | Self::Absent
            | Self::Exists
            | Self::Taken(_)) => other,
        }
    }

    /// How long Airflow asks us to wait.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Later { after, .. } => *after,
            Self::NoAnswer { .. }
            | Self::Fenced(_)
            | Self::WrongPlace { .. }
            | Self::Credentials(_)
            | Self::Role(_)
            | Self::Rejected(_)
            | Self::Absent
            | Self::Exists
            | Self::Taken(_) => None,
        }
    }
}

impl From<Fault> for ConnectionError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Fenced(down) => Self::Fenced(down),
            Fault::NoAnswer { why, .. } | Fault::Later { why, .. } | Fault::WrongPlace { why, .. } => Self::Unavailable(why.into()),
            Fault::Credentials(why) | Fault::Role(why) => Self::Refused(why),
            Fault::Rejected(why) => Self::Rejected(why),
            Fault::Taken(whose) => Self::Taken(whose),
            // Callers deal with these two where they can mean something.
            Fault::Absent => Self::Unexpected("there is no such connection".into()),
            // Of anything but the creation it says that something else went on at that moment.
            Fault::Exists => Self::Unavailable("it answers that there is a conflict (409)".into()),
        }
    }
}

/// An error with all its causes, since the outermost one says nothing ("error sending request").
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors repeat their cause.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As when a GET is answered so.
    #[test]
    fn a_conflict_of_anything_but_a_creation_is_worth_another_try() {
        assert!(matches!(ConnectionError::from(Fault::Exists), ConnectionError::Unavailable(_)));
    }
}
