//! The tokens that open the service.

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The tokens that are valid now: one, or two while callers change over from the previous to the current.
///
/// Only their SHA-256 digests are held. Digests have one length, so comparing them tells nothing about a token's length,
/// and whoever learns one by a faulty comparison still has no token.
#[derive(Clone)]
pub struct Tokens(Arc<[(TokenName, [u8; 32])]>);

/// Which token a caller has. This, never the token, is what logs and records know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenName {
    /// `SECRET_KEY`.
    Current,
    /// `SECRET_KEY_PREVIOUS`.
    Previous,
}

/// A token is empty, so that a caller without any would have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` must not be empty")]
pub struct EmptyToken {
    /// The setting that gives the token.
    pub setting: &'static str,
}

/// Why a request has no valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It offers none.
    Missing,
    /// It offers one that is not valid.
    Invalid,
    /// It has several `Authorization` headers; a proxy and this service may not agree on which of them counts.
    Ambiguous,
}

// === impl Tokens ===

impl Tokens {
    /// These tokens.
    ///
    /// # Errors
    /// If one is empty.
    pub fn new(current: &SecretString, previous: Option<&SecretString>) -> Result<Self, EmptyToken> {
        let all = [(TokenName::Current, Some(current)), (TokenName::Previous, previous)];
        let given = all.into_iter().filter_map(|(name, token)| Some((name, token?.expose_secret())));
        let digests = given.map(|(name, token)| match token {
            "" => Err(EmptyToken { setting: name.setting() }),
            token => Ok((name, digest(token.as_bytes()))),
        });
        digests.collect::<Result<_, _>>().map(Self)
    }

    /// The token of an `Authorization` header: `Bearer`, one space, the token. The scheme's case does not matter (RFC 9110).
    pub fn check(&self, header: Option<&HeaderValue>) -> Option<TokenName> {
        let (scheme, token) = split(header?.as_bytes());
        let offered = digest(token?);
        let mut found = None;
        // Every token is compared to its end, so that time tells nothing about those before a match.
        for (name, valid) in self.0.iter() {
            let is_match = bool::from(valid.ct_eq(&offered));
            found = found.or(is_match.then_some(*name));
        }
        found.filter(|_| is_bearer(scheme))
    }

    /// The token of a request.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Result<TokenName, Refusal> {
        let mut all = headers.get_all(AUTHORIZATION);
        let Some(header) = all.next() else {
            return Err(Refusal::Missing);
        };
        if all.next().is_some() {
            return Err(Refusal::Ambiguous);
        }
        let is_offered = is_bearer(split(header.as_bytes()).0);
        self.check(Some(header)).ok_or(if is_offered { Refusal::Invalid } else { Refusal::Missing })
    }
}

// === impl TokenName ===

impl TokenName {
    /// The name in logs and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
        }
    }

    const fn setting(self) -> &'static str {
        match self {
            Self::Current => "SECRET_KEY",
            Self::Previous => "SECRET_KEY_PREVIOUS",
        }
    }
}

/// The scheme, and what is behind the one space after it: a second space would be part of the token.
fn split(header: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = header.splitn(2, |byte| *byte == b' ');
    let scheme = parts.next().unwrap_or_default();
    (scheme, parts.next())
}

fn is_bearer(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"bearer")
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}
