//! The line of nginx's password file.

use dbt_controller_domain::model::{Credentials, ReleaseKey};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

/// bcrypt's cost for passwords that may be a human's. nginx pays it at each request: about 80 ms.
const COST: u32 = 10;
/// bcrypt's cost for passwords that nobody can guess: those that we generate have 190 bits. About 3 ms at each request.
const COST_OF_GENERATED: u32 = 5;
/// From how many characters on a password counts as generated.
const GENERATED_LENGTH: usize = 20;
/// The most bytes of a password: bcrypt reads 72 with the terminating zero, and would not see what follows.
const MAX_BYTES: usize = 71;

/// Why there can be no line for a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HtpasswdError {
    /// nginx could not tell it from a shorter one.
    #[error(
        "the password of the server has {0} bytes, and bcrypt reads no more than {MAX_BYTES}; name a shorter one in `basic_auth_password`"
    )]
    PasswordTooLong(usize),
    /// The line would be read as another user's, or as several lines.
    #[error("the user of the server has a character that a password file cannot hold; name another one in `basic_auth_user`")]
    User,
}

/// The line for a login: the previous one while it stands for this login, so that an equal POST changes nothing; else a new one.
///
/// The salt of a new line follows from release and user. It has to tell apart what is hashed in different places, which it does, and it
/// gives equal requests equal manifests in every process. It does not depend on the password, for then a guess could be checked by the
/// salt alone, past bcrypt.
///
/// This is a few milliseconds of work, up to 100 for passwords of people: not for the threads of an async runtime.
pub(crate) fn line(key: &ReleaseKey, credentials: &Credentials, previous: Option<&str>) -> Result<String, HtpasswdError> {
    let Credentials { user, password } = credentials;
    let password = password.expose_secret();
    if user.is_empty() || user.starts_with('#') || user.contains(|c: char| c == ':' || c.is_control()) {
        return Err(HtpasswdError::User);
    }
    if password.len() > MAX_BYTES {
        return Err(HtpasswdError::PasswordTooLong(password.len()));
    }
    if let Some(previous) = previous.filter(|previous| stands_for(previous, user, password)) {
        return Ok(previous.to_owned());
    }
    let cost = if password.chars().count() >= GENERATED_LENGTH { COST_OF_GENERATED } else { COST };
    let hash = bcrypt::non_truncating_hash_with_salt(password, cost, salt(key, user))
        .expect("it fails for costs out of range and for longer passwords only, and both are excluded above");
    Ok(format!("{user}:{}", hash.format_for_version(bcrypt::Version::TwoY)))
}

/// Whether a line is of this user and verifies this password. A line with anything after the hash, a line break included, does not count.
fn stands_for(line: &str, user: &str, password: &str) -> bool {
    line.split_once(':').is_some_and(|(of, hash)| of == user && bcrypt::verify(password, hash).unwrap_or(false))
}

fn salt(key: &ReleaseKey, user: &str) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in ["htpasswd", key.namespace.as_str(), key.name.as_str(), user] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests {
    use dbt_controller_port_contracts::fixtures;

    use super::*;

    fn key(name: &str) -> ReleaseKey {
        ReleaseKey { namespace: fixtures::namespace(), name: name.parse().unwrap() }
    }

    fn login(user: &str, password: &str) -> Credentials {
        Credentials { user: user.to_owned(), password: password.into() }
    }

    fn new_line(user: &str, password: &str) -> String {
        line(&key("dbt-server-a"), &login(user, password), None).unwrap()
    }

    #[test]
    fn a_line_verifies_its_password_and_no_other() {
        for (user, password) in [("ci", "12345678"), ("o'hara", "päss: {a} #1"), ("ci", &"x".repeat(71))] {
            let line = new_line(user, password);
            let (of, hash) = line.split_once(':').unwrap();
            assert_eq!(of, user);
            assert!(bcrypt::verify(password, hash).unwrap());
            assert!(!bcrypt::verify(format!("{password}x"), hash).unwrap() || password.len() == 71);
        }
    }

    #[test]
    fn a_short_password_costs_more_than_a_generated_one() {
        assert!(new_line("ci", "nineteen-characters").starts_with("ci:$2y$10$"));
        assert!(new_line("ci", "a-password-of-twenty").starts_with("ci:$2y$05$"));
    }

    #[test]
    fn equal_logins_of_one_release_have_one_line_and_others_another_salt() {
        let first = new_line("ci", "12345678");
        assert_eq!(new_line("ci", "12345678"), first);
        let of_other_release = line(&key("dbt-server-b"), &login("ci", "12345678"), None).unwrap();
        assert_ne!(of_other_release, first);
        assert_eq!(&new_line("ci", "87654321")[..32], &first[..32], "the salt tells nothing of the password");
    }

    #[test]
    fn a_previous_line_is_kept_while_it_verifies() {
        let login = login("ci", "a-password-of-twenty");
        // As the replaced service made it: another cost, another prefix, another salt.
        let foreign = format!("ci:{}", bcrypt::hash("a-password-of-twenty", 4).unwrap());
        let with = |previous: &str| line(&key("dbt-server-a"), &login, Some(previous)).unwrap();
        assert_eq!(with(&foreign), foreign);
        let of_other_user = foreign.replace("ci:", "cd:");
        let of_other_password = format!("ci:{}", bcrypt::hash("another", 4).unwrap());
        let two_lines = format!("{foreign}\nroot:{foreign}");
        for bad in
            [of_other_user.as_str(), &of_other_password, &two_lines, &format!("{foreign}\n"), "", "ci", "ci:", "ci:{PLAIN}x", "ci:$2y$"]
        {
            assert_eq!(with(bad), new_line("ci", "a-password-of-twenty"), "{bad}");
        }
    }

    #[test]
    fn what_a_password_file_cannot_hold_is_refused() {
        let refused = |user: &str, password: &str| line(&key("dbt-server-a"), &login(user, password), None).unwrap_err();
        assert_eq!(refused("ci", &"x".repeat(72)), HtpasswdError::PasswordTooLong(72));
        for user in ["", "a:b", "a\nb", "#a"] {
            assert_eq!(refused(user, "12345678"), HtpasswdError::User, "{user}");
        }
    }
}
