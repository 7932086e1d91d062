//! Lets in who has a valid token. It stands before the extractors, so the body of a stranger is never read, and before the
//! router's answers, so that strangers do not learn which paths exist.

pub(super) mod tokens;

pub use tokens::Tokens;

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpMessage, HttpRequest};

use self::tokens::Refusal;
use super::gate::{Gate, Gated};
use crate::error::{ApiError, ErrorCode};

/// Paths that are read without a token. Writing to them needs one, as everything else does.
const PUBLIC_PATHS: [&str; 4] = ["/api/v1/status", "/openapi.json", "/docs", "/redoc"];

/// Everything below these is read without a token too: probes, and what the pages load.
const PUBLIC_FOLDERS: [&str; 3] = ["/health/", "/docs/", "/redoc/"];

/// RFC 6750, section 3: the error is named only to those who offered a token.
const CHALLENGE: &str = r#"Bearer realm="dbt-api-service-controller""#;
const INVALID_TOKEN: &str = r#"Bearer realm="dbt-api-service-controller", error="invalid_token""#;

/// Answers 401 to requests without a valid token, and notes the [`Actor`] of the others.
pub(crate) type BearerAuth = Gated<Tokens>;

/// Who sent a request: the name of the token, in the extensions of each request that needed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Actor(pub(crate) &'static str);

/// The name of the token of a request; none on public paths.
pub(crate) fn actor(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<Actor>().map(|actor| actor.0.to_owned())
}

impl BearerAuth {
    /// Lets in these tokens.
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self(tokens)
    }
}

impl Gate for Tokens {
    fn admit(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        if is_public(request.method(), request.path()) {
            return Ok(());
        }
        let name = self.identify(request.headers()).map_err(unauthorized)?;
        request.extensions_mut().insert(Actor(name.as_str()));
        Ok(())
    }
}

fn unauthorized(refusal: Refusal) -> ApiError {
    let (message, challenge) = match refusal {
        Refusal::Missing => ("a bearer token is needed: send the header `Authorization: Bearer <SECRET_KEY>`", CHALLENGE),
        Refusal::Invalid => ("the bearer token is not valid: verify `SECRET_KEY` and the `Authorization` header", INVALID_TOKEN),
        Refusal::Ambiguous => {
            ("there is more than one `Authorization` header: send one; a proxy on the way may add its own", INVALID_TOKEN)
        }
    };
    ApiError::new(ErrorCode::Unauthorized, message).with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

/// The path is compared as it was sent: another spelling of a public path (`/%64ocs`) needs a token, and no other path has
/// a spelling that begins like a public one.
fn is_public(method: &Method, path: &str) -> bool {
    let is_listed = PUBLIC_PATHS.contains(&path) || PUBLIC_FOLDERS.iter().any(|folder| path.starts_with(folder));
    match *method {
        // Callers ask for this to see whether the service can be reached.
        Method::HEAD => path == "/" || is_listed,
        Method::GET => is_listed,
        _ => false,
    }
}
