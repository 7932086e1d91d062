//! What happens to every request before its handler, and to every answer after it.
//!
//! ```text
//!  request ─► serving ─► request_id ─► (log) ─► security_headers ─► (CORS) ─► catch_panic ─► (gzip) ─► auth ─► rate_limit ─► age ─► handler
//! ```
//!
//! CORS must be outside of `auth`: its preflights carry no token, and browsers show a page only those refusals that have its
//! headers.
//!
//! The gates answer with `Ok`, as handlers do, so that everything outside of them sees a response. Only a panic ends as an
//! `Err`, because the request that a response belongs to is lost with it; what adds headers here adds them to both.

pub(crate) mod age;
pub(crate) mod auth;
pub(crate) mod catch_panic;
mod gate;
pub(crate) mod rate_limit;
pub(crate) mod request_id;
pub(crate) mod security_headers;
pub(crate) mod serving;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::error::InternalError;
use actix_web::http::header::HeaderMap;

/// Changes the headers of an answer, be it a response or an error that becomes one later.
fn change_headers<B: MessageBody>(
    answer: Result<ServiceResponse<B>, Error>,
    change: impl FnOnce(&mut HeaderMap),
) -> Result<ServiceResponse<B>, Error> {
    match answer {
        Ok(mut response) => {
            change(response.headers_mut());
            Ok(response)
        }
        Err(error) => {
            let mut response = error.error_response();
            change(response.headers_mut());
            Err(InternalError::from_response(error, response).into())
        }
    }
}

#[cfg(test)]
mod tests;
