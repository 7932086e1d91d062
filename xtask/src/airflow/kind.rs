//! The Airflows that are tested.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::project;

/// An Airflow as users run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Airflow 2, with API v1 and basic authentication
    #[value(name = "2")]
    Two,
    /// Airflow 3, with API v2, tokens, and its simple users
    #[value(name = "3")]
    Three,
    /// Airflow 3 with users in its database, as Airflow 2 has them
    #[value(name = "3-fab")]
    ThreeFab,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Two, Self::Three, Self::ThreeFab];

    /// The word for it on the command line and in the names of files.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Two => "2",
            Self::Three => "3",
            Self::ThreeFab => "3-fab",
        }
    }

    /// The kind with this word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The path that answers without authentication as soon as the server is ready.
    pub(super) fn version_path(self) -> &'static str {
        match self {
            Self::Two => "/api/v1/version",
            Self::Three | Self::ThreeFab => "/api/v2/version",
        }
    }

    /// Whether users are kept in the database.
    pub(super) fn has_users_in_database(self) -> bool {
        match self {
            Self::Two | Self::ThreeFab => true,
            Self::Three => false,
        }
    }

    /// Where what is installed and prepared for it is.
    pub(super) fn folder(self) -> PathBuf {
        project::tools().join("airflow").join(self.as_str())
    }

    /// Exactly which packages it consists of.
    pub(super) fn requirements(self) -> PathBuf {
        definitions().join(format!("requirements-{self}.txt"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The files that define the Airflows.
pub(super) fn definitions() -> PathBuf {
    project::root().join("xtask/airflow")
}
