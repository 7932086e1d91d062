//! `bench`: what is measured, and where the figures go.

pub(crate) mod api;
pub(crate) mod cluster;

mod load;
mod machine;
mod report;
