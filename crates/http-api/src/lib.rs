//! The HTTP face of the controller: routes, bodies, the token check, the error table and the OpenAPI document.
//!
//! ```text
//!  request → connection → request id → log → page headers → error shape → CORS → panic guard → gzip → token → rate → age → HEAD → handler
//!                                                                                                                   │ parses
//!                                                                                        dbt_controller_domain::Controller
//!                                                                                                                   │ answers
//!  response ← JSON of the contract, errors by the table in `error` ←───────────────────────────────────────────────┘
//! ```
//!
//! A module per resource, a file per operation: its parameters, its answer's type, its handler. Handlers parse, call the domain once
//! and answer. Domain types are converted by hand, so that a renamed field there cannot change the wire.
//!
//! The OpenAPI document comes from paperclip (paths, methods, parameters, texts) and from schemars (schemas); the module `openapi`
//! joins the two and adds what paperclip cannot say.

mod answer;
mod app;
mod connection;
mod deploy_body;
mod deployments;
mod error;
mod extract;
mod framework;
mod health;
mod middleware;
mod names;
mod openapi;
mod operations;
mod pages;
mod projects;
mod routes;
mod server;
mod service;
mod settings;
mod words;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub use app::{ApiState, create_app};
pub use deploy_body::{RequestDefaults, SizePreset};
pub use error::{ApiError, ErrorCode};
pub use middleware::auth::Tokens;
pub use openapi::openapi_document;
pub use server::server;
pub use settings::{ApiSettings, ServiceInfo};
