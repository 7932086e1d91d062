//! Single requests for the Secrets that hold the records.
//!
//! They are made by hand, because the client keeps the headers of answers to itself: their `Date` tells the API server's clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dbt_controller_domain::model::Namespace;
use dbt_controller_kube_access::{Fault, call};
use http::header::{ACCEPT, DATE, HeaderMap, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::Resource as _;
use kube::api::{DeleteParams, GetParams, PostParams, Preconditions};
use kube::client::Body;
use kube::core::{PartialObjectMeta, Status, request};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::server_clock::{Estimate, ServerClock};

/// The type of the Secrets: a watch selects by it, and nobody can change it.
pub(super) const TYPE: &str = "dbt-controller/operation.v1";
/// The key of the data.
pub(super) const DATA_KEY: &str = "record";

/// The answer to a write holds metadata only: the content is ours and may be large.
const METADATA_ONLY: HeaderValue = HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// The Secrets of the home namespace, request by request.
#[derive(Clone)]
pub(super) struct Secrets {
    client: Client,
    namespace: Namespace,
    path: String,
    clock: Arc<ServerClock>,
}

impl Secrets {
    pub(super) fn new(client: Client, namespace: Namespace, clock: Arc<ServerClock>) -> Self {
        let path = Secret::url_path(&(), Some(namespace.as_str()));
        Self { client, namespace, path, clock }
    }

    pub(super) async fn get(&self, name: &str, limit: Duration) -> Result<Option<Secret>, Fault> {
        let request = self.request().get(name, &GetParams::default()).map_err(unexpected)?;
        match self.exchange(request, limit).await {
            Ok(secret) => Ok(Some(secret)),
            Err(Fault::NotFound(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Creates a Secret, or replaces the one that still has this version. Returns the new version.
    pub(super) async fn put(&self, name: &str, version: Option<&str>, data: Vec<u8>, limit: Duration) -> Result<String, Fault> {
        let body = serde_json::to_vec(&self.secret(name, version, data)).map_err(|error| Fault::Unexpected(error.into()))?;
        let mut request = match version {
            None => self.request().create(&PostParams::default(), body),
            Some(_) => self.request().replace(name, &PostParams::default(), body),
        }
        .map_err(unexpected)?;
        request.headers_mut().insert(ACCEPT, METADATA_ONLY);
        let written: PartialObjectMeta<Secret> = self.exchange(request, limit).await?;
        written.metadata.resource_version.ok_or_else(|| Fault::Unexpected("the API server gave the written Secret no version".into()))
    }

    pub(super) async fn delete(&self, name: &str, version: &str, limit: Duration) -> Result<(), Fault> {
        let this_one = Preconditions { resource_version: Some(version.to_owned()), uid: None };
        let params = DeleteParams { preconditions: Some(this_one), ..DeleteParams::default() };
        let mut request = self.request().delete(name, &params).map_err(unexpected)?;
        request.headers_mut().insert(ACCEPT, METADATA_ONLY);
        self.exchange::<serde::de::IgnoredAny>(request, limit).await.map(drop)
    }

    /// The API server's clock. Asks for it where no answer of the last minute told it.
    pub(super) async fn time(&self, limit: Duration) -> Result<Estimate, Fault> {
        if let Some(now) = self.clock.fresh() {
            return Ok(now);
        }
        let request = Request::get("/version").body(Vec::new()).map_err(|error| Fault::Unexpected(error.into()))?;
        match self.exchange::<serde::de::IgnoredAny>(request, limit).await {
            // A refusal has a date too.
            Ok(_) | Err(Fault::Forbidden(_) | Fault::Refused(_) | Fault::NotFound(_)) => {}
            Err(fault) => return Err(fault),
        }
        self.clock.now().ok_or_else(|| Fault::Unexpected("the API server's answers have no date".into()))
    }

    fn request(&self) -> request::Request {
        request::Request::new(&self.path)
    }

    fn secret(&self, name: &str, version: Option<&str>, data: Vec<u8>) -> Secret {
        Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.namespace.to_string()),
                resource_version: version.map(str::to_owned),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.to_owned()),
            data: Some(BTreeMap::from([(DATA_KEY.to_owned(), ByteString(data))])),
            ..Secret::default()
        }
    }

    async fn exchange<T: DeserializeOwned>(&self, request: Request<Vec<u8>>, limit: Duration) -> Result<T, Fault> {
        let answer = async {
            let sent = Instant::now();
            let response = self.client.send(request.map(Body::from)).await?;
            self.note_date(response.headers(), sent);
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, body))
        };
        let (status, body) = call(limit, answer).await?;
        if status.is_success() {
            // The parser's own words may repeat what it read, and that holds secrets.
            return serde_json::from_slice(&body).map_err(|_| Fault::Unavailable("the API server's answer was cut off".into()));
        }
        Err(Fault::from_status(refusal(status, &body)))
    }

    fn note_date(&self, headers: &HeaderMap, sent: Instant) {
        if let Some(date) = headers.get(DATE).and_then(|date| date.to_str().ok()) {
            self.clock.learn(date, sent, Instant::now());
        }
    }
}

/// What the API server says of a request that did not go through; a proxy before it may not speak its language.
fn refusal(status: StatusCode, body: &[u8]) -> Status {
    let told: Option<Status> = serde_json::from_slice(body).ok();
    told.filter(|told| told.code != 0).unwrap_or_else(|| {
        Status::failure(&format!("HTTP {status}"), status.canonical_reason().unwrap_or_default()).with_code(status.as_u16())
    })
}

fn unexpected(error: kube::core::request::Error) -> Fault {
    Fault::Unexpected(error.into())
}
