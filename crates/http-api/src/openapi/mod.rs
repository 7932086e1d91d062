//! The OpenAPI document.
//!
//! paperclip knows paths, methods, parameters and texts from the handlers themselves. It cannot say the rest truthfully (limits, nullable
//! fields, bearer tokens, headers, several answers of one operation), so one pure function, [`publish::publish`], lays it over: schemas by
//! schemars from the types that are really written, and per operation what `catalogue` tells.

mod catalogue;
mod examples;
mod publish;
mod schemas;

use std::sync::OnceLock;

use actix_web::web::Bytes;
use actix_web::{App, HttpRequest, HttpResponse};
use paperclip::actix::OpenApiExt as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::pages::{cacheable, tag_of};
use crate::routes;

/// The published document.
pub fn openapi_document() -> Value {
    publish::publish(raw_document())
}

/// What paperclip makes of the routes: version 2, converted to version 3.
fn raw_document() -> Value {
    let mut raw = Value::Null;
    App::new().wrap_api().configure(routes::configure).with_raw_json_spec_v3(|app, document| {
        raw = document;
        app
    });
    raw
}

/// The document in bytes and its entity tag; made once.
struct Published {
    bytes: Bytes,
    tag: String,
}

/// `GET /openapi.json`.
pub(crate) async fn serve(request: HttpRequest) -> HttpResponse {
    static PUBLISHED: OnceLock<Published> = OnceLock::new();
    let published = PUBLISHED.get_or_init(|| {
        let bytes = Bytes::from(openapi_document().to_string());
        let tag = tag_of(&Sha256::digest(&bytes));
        Published { bytes, tag }
    });
    cacheable(&request, &published.tag, "application/json", published.bytes.clone())
}

#[cfg(test)]
mod tests;
