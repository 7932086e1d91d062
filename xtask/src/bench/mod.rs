//! `bench`: what is measured, and where the figures go.

pub(crate) mod api;
pub(crate) mod cluster;

mod load;
pub(crate) mod machine;
