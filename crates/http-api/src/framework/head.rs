//! HEAD on the routes of GET (RFC 9110, section 9.3.2): the same answer without its body.

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, body};

/// Middleware: routes a HEAD as the GET of its path. The server itself leaves the body out, for it remembers the method that came.
pub(crate) async fn head_as_get<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    // The root has a HEAD of its own, and no GET.
    let is_head = request.method() == Method::HEAD && request.path() != "/";
    if is_head {
        request.head_mut().method = Method::GET;
    }
    let response = next.call(request).await?;
    // A stream has no length to tell, and the server would run it to its end only to drop what it says.
    if is_head && response.response().body().size() == BodySize::Stream {
        return Ok(response.map_body(|_, _| EitherBody::right(BoxBody::new(body::None::new()))));
    }
    Ok(response.map_into_left_body())
}
