//! The digits that tell identities with one slug apart.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::Identity;

/// What tells an identity from those whose names look alike.
///
/// SHA-256 over `u32be(len(project)) ‖ project ‖ 0x00` without a branch, and over
/// `u32be(len(project)) ‖ project ‖ 0x01 ‖ u32be(len(branch)) ‖ branch` with one; lengths are those
/// of the UTF-8 bytes. The lengths keep `ab` + `c` from being `a` + `bc`. Names made with it are
/// recorded in clusters: it can never change.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdentityHash {
    digits: String,
}

impl IdentityHash {
    const WITHOUT_BRANCH: u8 = 0x00;
    const WITH_BRANCH: u8 = 0x01;

    pub(crate) fn of(identity: &Identity) -> Self {
        let mut input = Vec::new();
        push_measured(&mut input, identity.project().as_str());
        match identity.branch() {
            None => input.push(Self::WITHOUT_BRANCH),
            Some(branch) => {
                input.push(Self::WITH_BRANCH);
                push_measured(&mut input, branch.as_str());
            }
        }
        Self { digits: hex_digits(&input) }
    }

    /// The first 8 hexadecimal digits.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.digits[..SHORT]
    }

    /// The first 16 hexadecimal digits.
    #[must_use]
    pub fn long(&self) -> &str {
        &self.digits
    }
}

impl fmt::Debug for IdentityHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityHash({})", self.digits)
    }
}

/// How many digits a hashed name has.
pub(crate) const SHORT: usize = 8;

/// How many digits a name has when even the hashed one is taken.
pub(crate) const LONG: usize = 16;

/// The first [`LONG`] hexadecimal digits of the SHA-256 of `input`.
pub(crate) fn hex_digits(input: &[u8]) -> String {
    Sha256::digest(input).iter().take(LONG / 2).map(|byte| format!("{byte:02x}")).collect()
}

fn push_measured(input: &mut Vec<u8>, part: &str) {
    let length = u32::try_from(part.len()).expect("a part has at most 255 characters of at most 4 bytes");
    input.extend(length.to_be_bytes());
    input.extend(part.as_bytes());
}
