//! Says how old an answer may be that was read from memory while the cluster does not answer.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::app::ApiState;

/// Adds `Age` (RFC 9111, in seconds) to what was read while the cluster's watches are broken. Without it an answer is current.
pub(crate) async fn age<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let reads = *request.method() == Method::GET && request.path().starts_with("/api/v1/");
    let behind = request.app_data::<Data<ApiState>>().filter(|_| reads).and_then(|state| state.controller.behind());
    let mut response = next.call(request).await?;
    if let Some(behind) = behind.filter(|_| response.status().is_success()) {
        response.headers_mut().insert(header::AGE, HeaderValue::from(behind.as_secs()));
    }
    Ok(response)
}
