//! Tells the connection of a request that it is being answered, up to the last byte of the answer's body.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Bytes;

use crate::connection::{Serving, Turns};

/// A body that is part of an answer under way. actix drops it when it has taken all of it.
pub(crate) struct Served {
    body: BoxBody,
    _serving: Option<Serving>,
}

/// Middleware: must be the outermost, so that the connection hears of every request. In tests there may be no connection.
pub(crate) async fn serving<B: MessageBody + 'static>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<Served>, Error> {
    let serving = request.request().conn_data::<Turns>().map(Turns::serve);
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| Served { body: body.boxed(), _serving: serving }))
}

impl MessageBody for Served {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
