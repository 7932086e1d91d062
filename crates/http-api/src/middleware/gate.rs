//! Middleware that lets a request go on or answers it at once.

use std::future::{Ready, ready};

use actix_web::Error;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use futures_util::future::LocalBoxFuture;

use crate::error::ApiError;

/// Decides about a request by its head alone: a gate never reads a body.
pub(crate) trait Gate: Clone + 'static {
    /// Whether the request goes on, or what it is answered.
    fn admit(&self, request: &ServiceRequest) -> Result<(), ApiError>;
}

/// A gate as middleware.
#[derive(Clone)]
pub(crate) struct Gated<G>(pub(super) G);

/// A gate and what is behind it.
pub(crate) struct GatedService<G, S> {
    gate: G,
    inner: S,
}

impl<G, S, B> Transform<S, ServiceRequest> for Gated<G>
where
    G: Gate,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = GatedService<G, S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(GatedService { gate: self.0.clone(), inner }))
    }
}

impl<G, S, B> Service<ServiceRequest> for GatedService<G, S>
where
    G: Gate,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        match self.gate.admit(&request) {
            Ok(()) => {
                let answer = self.inner.call(request);
                Box::pin(async move { answer.await.map(ServiceResponse::map_into_left_body) })
            }
            Err(refusal) => Box::pin(ready(Ok(request.error_response(refusal).map_into_right_body()))),
        }
    }
}
