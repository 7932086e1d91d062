//! Who asks, from what the middleware left on the request.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use dbt_controller_domain::model::Caller;
use paperclip::actix::OperationModifier;
use paperclip::v2::schema::Apiv2Schema;

use crate::middleware::{auth, request_id};

/// The id of the request and the name of its token, for logs and for the operation's record.
pub(crate) struct RequestCaller(pub(crate) Caller);

impl FromRequest for RequestCaller {
    type Error = Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request_id = request_id::of(request).unwrap_or_default();
        let actor = auth::actor(request).unwrap_or_default();
        ready(Ok(Self(Caller { request_id, actor })))
    }
}

impl Apiv2Schema for RequestCaller {}
impl OperationModifier for RequestCaller {}
