//! An answer as it came.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;

use crate::fault::Fault;

/// An answer as it came, whole.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// How long we are asked to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The host that a redirect points to.
    pub(crate) location: Option<String>,
    html: bool,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let html = text(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html")) || body.trim_ascii_start().starts_with(b"<");
        Self {
            status,
            // The form with a date is not used by Airflow, nor by the proxies in front of it.
            retry_after: text(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs),
            // Only where to, since the rest may hold what is nobody's business.
            location: text(LOCATION).and_then(|location| Some(Url::parse(location).ok()?.host_str()?.to_owned())),
            html,
            body,
        }
    }

    /// Whether this is a page for people.
    pub(crate) fn is_html(&self) -> bool {
        self.html
    }

    /// The answer as the JSON that Airflow promises. Anything else comes from something that is not Airflow's API.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // The error's own words can quote values.
            let place = format!("line {}, column {}", error.line(), error.column());
            let why = format!("the answer (HTTP {}) is not what Airflow's API answers ({place})", self.status.as_u16());
            // Whatever it is, something was asked and has answered.
            Fault::WrongPlace { why, arrived: true }
        })
    }
}
