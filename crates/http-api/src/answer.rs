//! Answers that went well, and what the OpenAPI document learns from their types.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use paperclip::actix::OperationModifier;
use paperclip::v2::models::{DefaultOperationRaw, DefaultSchemaRaw, Either, Response};
use paperclip::v2::schema::Apiv2Schema;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{ApiError, ErrorCode};

/// A 200 with `T` as JSON. The document's schema of the answer is the one of `T`, so the two cannot drift apart.
pub(crate) struct Answer<T> {
    body: T,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A 204.
pub(crate) struct Empty;

impl<T> Answer<T> {
    pub(crate) fn new(body: T) -> Self {
        Self { body, headers: Vec::new() }
    }

    /// The same answer with another header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// JSON of this status. What a token opened is for its bearer only.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(body) {
        Ok(bytes) => HttpResponse::build(status)
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(bytes),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an answer could not be written as JSON");
            ApiError::new(ErrorCode::Internal, "the answer could not be written").error_response()
        }
    }
}

/// Documents one answer of an operation: its status and the schema of its body, by the name that schemars gives it.
pub(crate) fn document_response<T: JsonSchema>(operation: &mut DefaultOperationRaw, status: u16) {
    let reference = format!("#/definitions/{}", T::schema_name());
    let schema = DefaultSchemaRaw { reference: Some(reference), ..DefaultSchemaRaw::default() };
    let response = Response { description: Some(String::new()), schema: Some(schema), ..Response::default() };
    operation.responses.insert(status.to_string(), Either::Right(response));
}

// === impl Answer ===

impl<T: Serialize> Responder for Answer<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut response = json_response(StatusCode::OK, &self.body);
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl<T: JsonSchema> Apiv2Schema for Answer<T> {}

impl<T: JsonSchema> OperationModifier for Answer<T> {
    fn update_response(operation: &mut DefaultOperationRaw) {
        document_response::<T>(operation, 200);
    }
}

// === impl Empty ===

impl Responder for Empty {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}

impl Apiv2Schema for Empty {}

impl OperationModifier for Empty {
    fn update_response(operation: &mut DefaultOperationRaw) {
        let response = Response { description: Some(String::new()), ..Response::default() };
        operation.responses.insert("204".to_owned(), Either::Right(response));
    }
}
