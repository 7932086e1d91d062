//! Gives the errors of framework and middleware our shape. Handlers make it themselves.

use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError};

use crate::error::{ApiError, ErrorCode};

/// What the framework says about an error is a sentence; more is not ours to pass on.
const LONGEST_SENTENCE: usize = 300;

/// Middleware: an error whose body is not JSON gets the table's body. Its headers stay.
pub(crate) async fn shape_errors<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?;
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if !is_error || is_json(response.headers()) {
        return Ok(response.map_into_boxed_body());
    }
    let (request, response) = response.into_parts();
    let response = shaped(response.map_into_boxed_body()).await;
    Ok(ServiceResponse::new(request, response))
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

async fn shaped(response: HttpResponse) -> HttpResponse {
    let code = code_of(response.status());
    let (head, body) = response.into_parts();
    let sentence = match to_bytes_limited(body, LONGEST_SENTENCE).await {
        Ok(Ok(bytes)) => String::from_utf8(bytes.into()).ok().filter(|text| !text.trim().is_empty()),
        Ok(Err(_)) | Err(_) => None,
    };
    let error = ApiError::new(code, sentence.unwrap_or_else(|| code.row().title.to_owned()));
    let mut shaped = error.error_response();
    for (name, value) in head.headers() {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING].contains(name) {
            shaped.headers_mut().append(name.clone(), HeaderValue::clone(value));
        }
    }
    // With the error, for the log.
    HttpResponse::from_error(InternalError::from_response(error, shaped))
}

/// The code of an error that only its status tells of.
fn code_of(status: StatusCode) -> ErrorCode {
    match status {
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthorized,
        StatusCode::NOT_FOUND => ErrorCode::UnknownRoute,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::NOT_ACCEPTABLE => ErrorCode::NotAcceptable,
        StatusCode::REQUEST_TIMEOUT => ErrorCode::RequestTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited,
        status if status.is_client_error() => ErrorCode::BadRequest,
        _ => ErrorCode::Internal,
    }
}
