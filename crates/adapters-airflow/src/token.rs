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

/// How long after a failed renewal the next one is tried, while the token is good.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// A token that Airflow gave us.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    value: SecretString,
    /// Tells one token from the next.
    serial: u64,
    /// When it is to be renewed, which is before its end.
    renew_at: Instant,
    ends_at: Instant,
}

impl Token {
    pub(crate) fn value(&self) -> &SecretString {
        &self.value
    }
}

/// The token in use. It is fetched by one call at a time; others wait for that one's.
pub(crate) struct Tokens {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// One that was not refused.
    current: Option<Token>,
    fetched: u64,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default() }
    }

    /// A token that is good for now, as far as we know; not the one of `refused`.
    ///
    /// When the renewal of one that has not ended fails, it is used on.
    pub(crate) async fn get<'a, F>(
        &self,
        refused: Option<&Token>,
        leave: &Leave<'a>,
        fetch: impl FnOnce(Leave<'a>) -> F,
    ) -> Result<Token, Fault>
    where
        F: Future<Output = Result<SecretString, Fault>>,
    {
        let waited = timeout_at(leave.deadline(), self.state.lock()).await;
        let why = || Fault::NoAnswer { why: "no answer yet to the request for a token".to_owned(), arrived: false };
        let mut state = waited.map_err(|_| why())?;
        state.current.take_if(|token| refused.is_some_and(|refused| refused.serial == token.serial));
        // The life of a new one begins when it is made, which is after this moment.
        let asked = Instant::now();
        let old = match &state.current {
            Some(token) if asked < token.renew_at => return Ok(token.clone()),
            current => current.as_ref().filter(|token| asked < token.ends_at).cloned(),
        };
        match (fetch(if old.is_some() { leave.half() } else { *leave }).await, old) {
            (Ok(value), _) => Ok(state.take(value, asked)),
            (Err(fault), Some(mut token)) if !matches!(fault, Fault::Fenced(_)) => {
                tracing::warn!(?fault, "the token of Airflow is not renewed yet");
                token.renew_at = token.ends_at.min(Instant::now() + RENEWAL_PAUSE);
                Ok(state.current.insert(token).clone())
            }
            (Err(fault), _) => Err(fault),
        }
    }
}

impl State {
    /// Takes a token into use that was asked for at this moment.
    fn take(&mut self, value: SecretString, asked: Instant) -> Token {
        let life = life(value.expose_secret()).unwrap_or(LONGEST_LIFE);
        tracing::debug!(life_seconds = life.as_secs(), "a token of Airflow was fetched");
        self.fetched += 1;
        let (renew_at, ends_at) = (asked + life - EARLY.min(life / 4), asked + life);
        self.current.insert(Token { value, serial: self.fetched, renew_at, ends_at }).clone()
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
            let fetch = |_| async {
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
            let fetch = |_| async {
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

    fn later() -> Fault {
        Fault::Later { why: "HTTP 503: not now".to_owned(), after: None, arrived: true }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_not_renewed_is_used_until_its_end_or_until_it_is_refused() {
        let (tokens, tries) = (Tokens::new(), AtomicU64::new(0));
        let get = async |refused: Option<&Token>| {
            let fetch = |_| async {
                // The first one and no other.
                match tries.fetch_add(1, Ordering::Relaxed) {
                    0 => Ok(SecretString::from(jwt(r#"{"exp": 1100, "iat": 1000}"#))),
                    _ => Err(later()),
                }
            };
            tokens.get(refused, &Leave::to_read(), fetch).await.map(|token| token.serial)
        };
        let count = || tries.load(Ordering::Relaxed);
        let first = get(None).await.unwrap();
        tokio::time::advance(Duration::from_secs(75)).await;
        assert_eq!((get(None).await.unwrap(), count()), (first, 2));
        tokio::time::advance(RENEWAL_PAUSE - Duration::from_millis(1)).await;
        assert_eq!((get(None).await.unwrap(), count()), (first, 2), "not at each call");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((get(None).await.unwrap(), count()), (first, 3), "but again");
        tokio::time::advance(Duration::from_millis(14_999)).await;
        assert_eq!(get(None).await.unwrap(), first);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(get(None).await.is_err(), "it has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_not_given_again() {
        let (tokens, tries) = (Tokens::new(), AtomicU64::new(0));
        let fetch = |_| async {
            let is_first = tries.fetch_add(1, Ordering::Relaxed) == 0;
            if is_first { Ok(SecretString::from("opaque")) } else { Err(later()) }
        };
        let leave = Leave::to_read();
        let token = tokens.get(None, &leave, fetch).await.unwrap();
        assert!(tokens.get(Some(&token), &leave, fetch).await.is_err());
        assert!(tokens.get(None, &leave, fetch).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_hangs_leaves_time_to_use_the_old_token() {
        let tokens = Tokens::new();
        let short = |_| async { Ok(SecretString::from(jwt(r#"{"exp": 1100, "iat": 1000}"#))) };
        tokens.get(None, &Leave::to_read(), short).await.unwrap();
        tokio::time::advance(Duration::from_secs(80)).await;
        let leave = Leave::to_read();
        let hangs = |leave: Leave<'static>| async move {
            tokio::time::sleep_until(leave.deadline()).await;
            Err(later())
        };
        assert!(tokens.get(None, &leave, hangs).await.is_ok());
        assert_eq!(leave.deadline() - Instant::now(), Duration::from_secs(5));
    }
}
