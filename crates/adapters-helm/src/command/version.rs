//! Which Helm it is.

use std::fmt;
use std::str::FromStr;

/// The version of a helm program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
}

/// The oldest that is taken: 3.13 brought `uninstall --ignore-not-found`, 3.14 is the first that also counts a release whose history was
/// kept as one to install. Tried are 3.22 and 4.3.
const OLDEST: Version = Version { major: 3, minor: 14 };
/// The newest line that is known. Flags change with the major version.
const NEWEST_MAJOR: u32 = 4;

/// Why a version is none that this engine can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum VersionError {
    #[error("it says that its version is `{0}`, which is none of Helm")]
    Unknown(String),
    #[error("it is Helm {0}")]
    Unsuited(Version),
}

impl Version {
    /// Whether objects are applied by the server, and flags say so.
    pub(super) fn applies_on_the_server(self) -> bool {
        self.major >= 4
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// From what `helm version --template '{{.Version}}'` prints: `v3.22.0`, `v4.3.1+g1234567`.
impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let text = text.trim();
        let unknown = || VersionError::Unknown(text.chars().take(40).collect());
        let mut numbers = text.strip_prefix('v').ok_or_else(unknown)?.split('.').map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return Err(unknown()) };
        let version = Self { major, minor };
        if version < OLDEST || major > NEWEST_MAJOR { Err(VersionError::Unsuited(version)) } else { Ok(version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_helm_3_and_4_are_taken() {
        for (text, major, minor) in [("v3.14.0", 3, 14), ("v3.22.0\n", 3, 22), ("v4.0.0-rc.1", 4, 0), ("v4.3.1+g1234567", 4, 3)] {
            assert_eq!(text.parse(), Ok(Version { major, minor }), "{text}");
        }
    }

    #[test]
    fn what_is_older_newer_or_no_helm_is_refused() {
        for text in ["v2.17.0", "v3.13.3", "v5.0.0"] {
            assert!(matches!(text.parse::<Version>(), Err(VersionError::Unsuited(_))), "{text}");
        }
        for text in ["", "3.22.0", "v3", "v3.x", "Helm, the ship's wheel"] {
            assert!(matches!(text.parse::<Version>(), Err(VersionError::Unknown(_))), "{text}");
        }
    }
}
