//! Tells the connection of a request that it is being answered, up to the last byte of the answer's body; and hands that body out in
//! pieces, so that an answer which nobody reads holds little memory.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Bytes;

use crate::connection::{Serving, Turns};

/// What a body hands out at once. actix asks for more as soon as its buffer for a connection holds less than 32 KiB, and copies into that
/// buffer whatever it gets: a whole file, if it gets one.
pub(super) const PIECE: usize = 32 << 10;

/// A body that is part of an answer under way. actix drops it when it has taken all of it.
pub(crate) struct Served {
    body: BoxBody,
    /// What the body gave and was not handed out yet.
    rest: Bytes,
    _serving: Option<Serving>,
}

/// Middleware: must be the outermost, so that the connection hears of every request. In tests there may be no connection.
pub(crate) async fn serving<B: MessageBody + 'static>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<Served>, Error> {
    let serving = request.request().conn_data::<Turns>().map(Turns::serve);
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| Served { body: body.boxed(), rest: Bytes::new(), _serving: serving }))
}

impl MessageBody for Served {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(bytes)) => self.rest = bytes,
                end => return Poll::Ready(end),
            }
        }
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}
