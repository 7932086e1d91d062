//! Turns a panic into an answer. Without it actix cuts the connection, and the caller cannot tell a bug from a network.
//!
//! What panics while a body is being sent comes too late: its head is on the wire already.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use futures_util::FutureExt;

use super::{change_headers, request_id, security_headers};
use crate::error::{ApiError, ErrorCode};

/// Middleware: answers 500 when something inside of it panics, and logs it with the id of the request.
pub(crate) async fn catch_panic<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let id = request_id::of(request.request()).unwrap_or_default();
    let method = request.method().clone();
    // The call itself is inside, because middleware may panic before there is a future. Nothing that was half changed is used
    // again: the request is gone, and what requests share is behind locks or atomics.
    let answer = AssertUnwindSafe(async { next.call(request).await }).catch_unwind().await;
    answer.unwrap_or_else(|panic| {
        tracing::error!(request.id = id, http.method = %method, panic = message(&*panic), "request `{id}` ended in a panic");
        let error = ApiError::new(ErrorCode::Internal, format!("a bug in the service ended the request; its log tells more of `{id}`"));
        change_headers(Err(error.into()), security_headers::add_missing)
    })
}

/// A fixed text is the programmer's. A formatted one may quote a value, such as a secret that was cut in the middle of a
/// character, and is left to the panic hook.
fn message(panic: &(dyn Any + Send)) -> &'static str {
    panic.downcast_ref::<&'static str>().copied().unwrap_or("a formatted message, which may quote a value")
}
