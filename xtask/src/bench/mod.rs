//! `bench`: what is measured, and where the figures go.

pub(crate) mod api;

mod load;
mod machine;
mod report;
