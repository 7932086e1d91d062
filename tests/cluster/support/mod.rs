//! Does the support do what it says? Other tests rest on it.

mod account;
pub(crate) mod at_work;
mod audit;
mod claims;
mod helm;
pub(crate) mod interloper;
mod link;
mod plane;
mod pods;
pub(crate) mod replaced;
pub(crate) mod role;
mod service;
pub(crate) mod site;
pub(crate) mod stage;
