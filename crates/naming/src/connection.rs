//! Airflow connection ids.

use crate::slug::Layout;
use crate::text::{check_characters, check_length, checked_text};
use crate::{Identity, NameError, NameForm, hash};

/// The id of an Airflow connection: 1 to 200 letters, digits, `_`, `.` and `-` of ASCII.
///
/// Ours are `<project>_<branch>`, in lower case; Airflow tells ids apart by case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(String);

impl ConnectionId {
    /// The most characters that Airflow's API takes, in 2.x and 3.x (`max_length=200`, pattern
    /// `^[\w.-]+$`; letters that are not ASCII are an error 500 in 2.x).
    ///
    /// See
    /// [`ConnectionBody`](https://github.com/apache/airflow/blob/3.0.0/airflow-core/src/airflow/api_fastapi/core_api/datamodels/connections.py).
    pub const MAX_LENGTH: usize = 200;

    const LAYOUT: Layout = Layout { separator: "_", lead: "", stand_in: "dbt_server", max_length: Self::MAX_LENGTH };

    const RULE: &str = "may contain only letters and digits of ASCII, `_`, `.` and `-`";

    pub(crate) fn of(identity: &Identity, form: NameForm) -> Self {
        Self(Self::LAYOUT.name(identity, form))
    }

    fn check(value: &str) -> Result<(), NameError> {
        check_length(value, Self::MAX_LENGTH)?;
        check_characters(value, is_allowed, Self::RULE)?;
        // As the last segment of a URL's path these would be resolved away, and the call would go
        // to the list of all connections or higher.
        if matches!(value, "." | "..") { Err(NameError::Dots) } else { Ok(()) }
    }
}

checked_text!(ConnectionId);

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}

// A hash fits, also where nothing else is left.
const _: () = assert!(ConnectionId::LAYOUT.stand_in.len() + 1 + hash::LONG <= ConnectionId::MAX_LENGTH);
