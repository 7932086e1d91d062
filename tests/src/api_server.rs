//! The API server, asked without a program in between: for those who ask it thousands of times.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::upstream::BoxError;
use crate::{Kubeconfig, Upstream};

/// The API server as the user of a kubeconfig sees it.
#[derive(Debug, Clone)]
pub struct ApiServer {
    upstream: Upstream,
    token: String,
}

impl ApiServer {
    /// That of a kubeconfig.
    #[must_use]
    pub fn of(kubeconfig: &Kubeconfig) -> Self {
        Self { upstream: Upstream::api_server(kubeconfig), token: kubeconfig.token().to_owned() }
    }

    /// Sends a request; returns the status and the body.
    ///
    /// # Errors
    ///
    /// When there is no answer, or one that is no JSON.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), BoxError> {
        let request = Request::builder().method(method).uri(path).header(AUTHORIZATION, format!("Bearer {}", self.token));
        let request = request.header(CONTENT_TYPE, "application/json");
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let response = self.upstream.send(request.body(body)?).await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?))
    }

    /// Reads something; none when it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, BoxError> {
        match self.send(Method::GET, path, None).await? {
            (200, body) => Ok(Some(body)),
            (404, _) => Ok(None),
            (status, body) => Err(format!("GET {path}: {status} {body}").into()),
        }
    }

    /// The objects of a list.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, BoxError> {
        let mut list = self.get(path).await?.ok_or_else(|| format!("there is no {path}"))?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }
}
