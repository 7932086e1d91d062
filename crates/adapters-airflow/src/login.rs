//! By what Airflow knows us.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use crate::ask::without;
use crate::fault::Fault;

/// By what Airflow knows who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Login<'a> {
    /// By nothing.
    None,
    /// By user and password, encoded.
    Basic(&'a SecretString),
    /// By a token.
    Bearer(&'a SecretString),
}

impl Login<'_> {
    /// The header, if there is one. No log shows it.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, Fault> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Basic(encoded) => format!("Basic {}", encoded.expose_secret()),
            Self::Bearer(token) => format!("Bearer {}", token.expose_secret()),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let why = "the token that was given has characters that no token of Airflow has".to_owned();
            Fault::WrongPlace { why, arrived: false }
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// A text of the answer without it: what stands between us and Airflow may repeat a whole request.
    pub(crate) fn without_it(&self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Basic(secret) | Self::Bearer(secret) => without(text, secret.expose_secret()),
        }
    }
}
