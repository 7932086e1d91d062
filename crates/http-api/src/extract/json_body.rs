//! A JSON body as bytes: media type, size, time and memory are checked here, its content by `deploy_body`.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{BytesMut, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt as _;
use paperclip::actix::OperationModifier;
use paperclip::actix::web::Json;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw};
use paperclip::v2::schema::Apiv2Schema;

use super::body_budget::BodyShare;
use crate::app::ApiState;
use crate::connection::Turns;
use crate::deploy_body::DeployBody;
use crate::error::{ApiError, ErrorCode};

/// The largest body: 1 MiB, which is also the most that a Secret on a cluster can hold.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// How long a body may take to arrive. A caller on a slow line sends a few kilobytes in a moment; who takes longer only holds a socket.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(30);

/// The bytes of a JSON body of at most 1 MiB. No content type counts as JSON.
pub(crate) struct JsonBody {
    bytes: BytesMut,
    share: BodyShare,
}

impl JsonBody {
    /// Reads it, and gives its memory back: what waits for an operation does not hold it.
    pub(crate) fn read<T>(self, read: impl FnOnce(&[u8]) -> T) -> T {
        read(&self.bytes)
    }

    /// Adds what came.
    fn extend(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        let length = self.bytes.len() + chunk.len();
        if length > MAX_BYTES {
            return Err(too_large());
        }
        self.share.grow(length)?;
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

impl FromRequest for JsonBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let head =
            check_media_type(request).and_then(|()| check_encoding(request.headers())).and_then(|()| check_length(request.headers()));
        let reading = request.conn_data::<Turns>().map(Turns::read_body);
        let budget = request.app_data::<Data<ApiState>>().map(|state| state.bodies.clone());
        let payload = payload.take();
        Box::pin(async move {
            head?;
            let budget = budget.ok_or_else(|| ApiError::new(ErrorCode::Internal, "the application has no state"))?;
            let body = Self { bytes: BytesMut::new(), share: budget.share() };
            let late = |_| {
                ApiError::new(
                    ErrorCode::RequestTimeout,
                    format!("the body took longer than {} s; send it in one go", ARRIVAL_LIMIT.as_secs()),
                )
            };
            let body = tokio::time::timeout(ARRIVAL_LIMIT, collect(payload, body)).await.map_err(late)?;
            drop(reading);
            body
        })
    }
}

/// `application/json`, in UTF-8 if it names a charset, or no content type at all.
fn check_media_type(request: &HttpRequest) -> Result<(), ApiError> {
    let refused = |problem: &str| {
        Err(ApiError::new(ErrorCode::UnsupportedMediaType, format!("{problem}; send the body as `Content-Type: application/json`")))
    };
    if request.headers().get(header::CONTENT_TYPE).is_none_or(|value| value.is_empty()) {
        return Ok(());
    }
    let Ok(Some(mime)) = request.mime_type() else { return refused("the content type cannot be read") };
    if mime.essence_str() != "application/json" {
        return refused("this content type is not taken");
    }
    if mime.get_param("charset").is_some_and(|charset| charset != "utf-8") {
        return refused("this charset is not taken");
    }
    Ok(())
}

/// A compressed body could be far larger than it says; callers have no need of it.
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(ApiError::new(ErrorCode::UnsupportedMediaType, "a compressed body is not taken; send it without `Content-Encoding`"))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_length(headers: &HeaderMap) -> Result<(), ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BYTES as u64) { Err(too_large()) } else { Ok(()) }
}

async fn collect(mut payload: Payload, mut body: JsonBody) -> Result<JsonBody, ApiError> {
    while let Some(chunk) = payload.next().await {
        body.extend(&chunk.map_err(cut_off)?)?;
    }
    Ok(body)
}

fn too_large() -> ApiError {
    ApiError::new(ErrorCode::BodyTooLarge, format!("the body is larger than {MAX_BYTES} bytes; shorten its fields"))
}

fn cut_off(error: PayloadError) -> ApiError {
    tracing::debug!(error = &error as &dyn std::error::Error, "a body ended too soon");
    ApiError::new(ErrorCode::BadRequest, "the body ended too soon; send as many bytes as `Content-Length` says")
}

impl Apiv2Schema for JsonBody {}

impl OperationModifier for JsonBody {
    fn update_parameter(operation: &mut DefaultOperationRaw) {
        Json::<DeployBody>::update_parameter(operation);
    }

    fn update_definitions(map: &mut std::collections::BTreeMap<String, DefaultSchemaRaw>) {
        Json::<DeployBody>::update_definitions(map);
    }
}
