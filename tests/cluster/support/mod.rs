//! Does the support do what it says? Other tests rest on it.

mod account;
mod audit;
mod claims;
mod helm;
mod link;
mod plane;
mod pods;
mod service;
