//! Whose server it is.

use std::fmt;

use crate::form::candidates;
use crate::text::{check_characters, check_length, checked_text};
use crate::{ConnectionId, IdentityHash, LabelValue, NameError, NameForm, ReleaseName};

/// Project and branch come back in log lines, annotations and environment variables: a line break
/// would forge a second line, a NUL cannot be in an environment variable at all. Everything else is
/// the user's business.
const PRINTABLE_RULE: &str = "must not contain control characters";

/// A dbt project and a git branch of it, or a project without one: whose server it is.
///
/// These are the exact strings of the request. Two identities are equal only if both strings are;
/// they never share a server, a volume or a connection, however alike their names look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    project: ProjectName,
    branch: Option<GitBranch>,
}

/// The name of a dbt project: 1 to 63 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(String);

/// The name of a git branch: 1 to 255 characters, none of them a control character.
///
/// What git itself asks of a branch is not checked: nothing is looked up by it here, and a tag or a
/// commit does as well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitBranch(String);

// === impl Identity ===

impl Identity {
    /// The identity of a project and a branch that were checked already.
    #[must_use]
    pub fn new(project: ProjectName, branch: Option<GitBranch>) -> Self {
        Self { project, branch }
    }

    /// The identity that two texts name. An empty branch is none.
    ///
    /// # Errors
    /// If the project is empty, or one of the two is too long or has a control character. The error
    /// does not say which of the two; who needs to tell parses them as [`ProjectName`] and
    /// [`GitBranch`].
    pub fn parse(project: &str, branch: Option<&str>) -> Result<Self, NameError> {
        let branch = branch.filter(|branch| !branch.is_empty());
        Ok(Self::new(project.parse()?, branch.map(str::parse).transpose()?))
    }

    /// The dbt project.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// The git branch, if there is one.
    #[must_use]
    pub fn branch(&self) -> Option<&GitBranch> {
        self.branch.as_ref()
    }

    /// What tells this identity from those whose names look alike.
    #[must_use]
    pub fn hash(&self) -> IdentityHash {
        IdentityHash::of(self)
    }

    /// The name of the Helm release in one form.
    #[must_use]
    pub fn release_name(&self, form: NameForm) -> ReleaseName {
        ReleaseName::of(self, form)
    }

    /// The id of the Airflow connection in one form.
    #[must_use]
    pub fn connection_id(&self, form: NameForm) -> ConnectionId {
        ConnectionId::of(self, form)
    }

    /// All release names of this identity, the preferred one first, each once.
    #[must_use]
    pub fn release_names(&self) -> Vec<ReleaseName> {
        candidates(|form| self.release_name(form))
    }

    /// All connection ids of this identity, the preferred one first, each once.
    #[must_use]
    pub fn connection_ids(&self) -> Vec<ConnectionId> {
        candidates(|form| self.connection_id(form))
    }

    /// The project as the value of a label.
    #[must_use]
    pub fn project_label(&self) -> LabelValue {
        LabelValue::sanitise(self.project.as_str())
    }

    /// The branch, if there is one, as the value of a label.
    #[must_use]
    pub fn branch_label(&self) -> Option<LabelValue> {
        self.branch.as_ref().map(|branch| LabelValue::sanitise(branch.as_str()))
    }

    /// The given parts: the project, then the branch if there is one.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.project.as_str()).chain(self.branch.as_ref().map(GitBranch::as_str))
    }
}

/// As messages name it: ``project `a`, branch `b` ``.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.branch {
            Some(branch) => write!(f, "project `{}`, branch `{branch}`", self.project),
            None => write!(f, "project `{}` without a branch", self.project),
        }
    }
}

// === impl ProjectName ===

impl ProjectName {
    /// The most characters that a project's name may have: the limit of the API since its first
    /// version.
    pub const MAX_LENGTH: usize = 63;

    fn check(value: &str) -> Result<(), NameError> {
        check_length(value, Self::MAX_LENGTH)?;
        check_characters(value, is_printable, PRINTABLE_RULE)
    }
}

checked_text!(ProjectName);

// === impl GitBranch ===

impl GitBranch {
    /// The most characters that a branch's name may have: the limit of the API since its first
    /// version.
    pub const MAX_LENGTH: usize = 255;

    fn check(value: &str) -> Result<(), NameError> {
        check_length(value, Self::MAX_LENGTH)?;
        check_characters(value, is_printable, PRINTABLE_RULE)
    }
}

checked_text!(GitBranch);

fn is_printable(character: char) -> bool {
    !character.is_control()
}
