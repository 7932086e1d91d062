//! The commands beside `serve`.

pub(crate) mod healthcheck;
pub(crate) mod names;
pub(crate) mod openapi;
