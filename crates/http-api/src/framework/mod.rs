//! What the framework does not do by itself: HEAD, errors in our shape, log lines.

mod head;
mod log;
mod shape;

pub(crate) use head::head_as_get;
pub(crate) use log::RequestSpan;
pub(crate) use shape::shape_errors;
