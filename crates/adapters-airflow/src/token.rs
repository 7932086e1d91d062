//! The token of Airflow 3.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::fault::Fault;
use crate::leave::Leave;

/// How long before its end a token is renewed, at most. One that lives for seconds is renewed when a quarter of its life is left.
const EARLY: Duration = Duration::from_secs(60);
/// The longest life that is believed; a token is tried at the server anyhow.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A token that Airflow gave us.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    value: SecretString,
    /// Tells one token from the next.
    serial: u64,
    renew_at: Option<Instant>,
}

impl Token {
    pub(crate) fn value(&self) -> &SecretString {
        &self.value
    }
}

/// The token in use. It is fetched by one call at a time; others wait for that one's.
pub(crate) struct Tokens {
    current: Mutex<Option<Token>>,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self { current: Mutex::new(None) }
    }

    /// A token that is good for now, as far as we know; not the one of `refused`.
    pub(crate) async fn get<F>(&self, refused: Option<&Token>, leave: &Leave<'_>, fetch: impl FnOnce() -> F) -> Result<Token, Fault>
    where
        F: Future<Output = Result<SecretString, Fault>>,
    {
        let waited = timeout_at(leave.deadline(), self.current.lock()).await;
        let why = || Fault::NoAnswer { why: "no answer yet to the request for a token".to_owned(), arrived: false };
        let mut current = waited.map_err(|_| why())?;
        let is_good = |token: &&Token| {
            token.renew_at.is_none_or(|at| Instant::now() < at) && refused.is_none_or(|refused| refused.serial != token.serial)
        };
        if let Some(token) = current.as_ref().filter(is_good) {
            return Ok(token.clone());
        }
        // Its life begins when it is made, which is after this moment.
        let asked = Instant::now();
        let value = fetch().await?;
        let renew_at = life(value.expose_secret()).map(|life| asked + life - EARLY.min(life / 4));
        let serial = current.as_ref().map_or(0, |token| token.serial + 1);
        let token = Token { value, serial, renew_at };
        tracing::debug!(life_seconds = ?renew_at.map(|at| (at - asked).as_secs()), "a token of Airflow was fetched");
        Ok(current.insert(token).clone())
    }
}

/// The claims that say how long a token lives. By their difference, no clock has to agree with Airflow's.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    iat: f64,
}

/// How long a token lives, if it says so.
fn life(token: &str) -> Option<Duration> {
    let payload = token.split('.').nth(1)?.trim_end_matches('=');
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let life = Duration::try_from_secs_f64(claims.exp - claims.iat).ok()?;
    Some(life.min(LONGEST_LIFE))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_life_is_the_difference_of_two_claims() {
        assert_eq!(life(&jwt(r#"{"exp": 1086400, "iat": 1000000, "sub": "1"}"#)), Some(Duration::from_secs(86_400)));
        assert_eq!(life(&jwt(r#"{"exp": 5.5, "iat": 1}"#)), Some(Duration::from_millis(4_500)));
        assert_eq!(life(&jwt(r#"{"exp": 1e300, "iat": 1}"#)), None);
        for odd in ["", "opaque", "a.b.c", &jwt("{}"), &jwt(r#"{"exp": 1, "iat": 2}"#), &jwt(r#"{"exp": null, "iat": 2}"#)] {
            assert_eq!(life(odd), None, "{odd}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_kept_until_shortly_before_its_end_or_until_it_is_refused() {
        let (tokens, fetched) = (Tokens::new(), AtomicU64::new(0));
        let get = async |refused: Option<&Token>| {
            let fetch = || async {
                fetched.fetch_add(1, Ordering::Relaxed);
                Ok(SecretString::from(jwt(r#"{"exp": 108, "iat": 100}"#)))
            };
            tokens.get(refused, &Leave::to_read(), fetch).await.unwrap()
        };
        let count = || fetched.load(Ordering::Relaxed);
        let first = get(None).await;
        tokio::time::advance(Duration::from_millis(5_999)).await;
        get(None).await;
        assert_eq!(count(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        get(None).await;
        assert_eq!(count(), 2);
        // It was renewed since, so the refusal is of no account.
        get(Some(&first)).await;
        assert_eq!(count(), 2);
        let refused = get(None).await;
        get(Some(&refused)).await;
        assert_eq!(count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn two_calls_never_fetch_at_once() {
        let (tokens, fetched) = (Tokens::new(), AtomicU64::new(0));
        let get = || async {
            let fetch = || async {
                fetched.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(SecretString::from("opaque"))
            };
            tokens.get(None, &Leave::to_read(), fetch).await.map(drop)
        };
        let all = tokio::join!(get(), get(), get());
        assert!(matches!(all, (Ok(()), Ok(()), Ok(()))));
        assert_eq!(fetched.load(Ordering::Relaxed), 1);
    }
}
