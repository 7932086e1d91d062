//! The ports that the machine itself answers: the wall clock and chance.

use dbt_controller_domain::model::{Credentials, OperationId};
use dbt_controller_domain::ports::{Clock, Random};
use jiff::Timestamp;
use rand::RngExt;
use rand::distr::{Alphanumeric, SampleString};
use secrecy::SecretString;
use uuid::Uuid;

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

/// The thread's generator, a ChaCha cipher seeded and reseeded by the operating system, which is fit for secrets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemRandom;

const USER_PREFIX: &str = "dbt_server_agent_";
const USER_SUFFIX_LENGTH: usize = 5;
/// 32 of 62 characters are 190 bits.
const SECRET_LENGTH: usize = 32;

// === impl SystemClock ===

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port through which everybody else asks for the time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

// === impl SystemRandom ===

impl SystemRandom {
    /// A new token or password: 32 letters and digits.
    pub(crate) fn secret(self) -> SecretString {
        Alphanumeric.sample_string(&mut rand::rng(), SECRET_LENGTH).into()
    }
}

impl Random for SystemRandom {
    fn operation_id(&self) -> OperationId {
        Uuid::now_v7().to_string().parse().expect("a UUID is of hexadecimal digits and dashes, 36 in all")
    }

    fn credentials(&self) -> Credentials {
        const LOWER_ALPHANUMERIC: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut generator = rand::rng();
        let suffix = (0..USER_SUFFIX_LENGTH).map(|_| char::from(LOWER_ALPHANUMERIC[generator.random_range(0..LOWER_ALPHANUMERIC.len())]));
        Credentials { user: USER_PREFIX.chars().chain(suffix).collect(), password: self.secret() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn logins_look_as_the_contract_says_and_differ() {
        let logins: Vec<_> = (0..100).map(|_| SystemRandom.credentials()).collect();
        for login in &logins {
            let suffix = login.user.strip_prefix("dbt_server_agent_").unwrap();
            assert_eq!(suffix.len(), 5);
            assert!(suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{suffix}");
            let password = login.password.expose_secret();
            assert_eq!(password.len(), 32);
            assert!(password.bytes().all(|b| b.is_ascii_alphanumeric()), "{password}");
        }
        assert_eq!(logins.iter().map(|login| login.password.expose_secret()).collect::<HashSet<_>>().len(), 100);
        assert!(logins.iter().map(|login| &login.user).collect::<HashSet<_>>().len() > 90);
    }

    #[test]
    fn operation_ids_differ_and_sort_by_time() {
        let ids: Vec<_> = (0..100).map(|_| SystemRandom.operation_id()).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 100);
    }
}
