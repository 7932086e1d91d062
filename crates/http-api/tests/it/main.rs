//! The application over the in-memory world: whole requests, whole answers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is all test code, helpers included")]

mod auth;
mod deployments;
mod events;
mod failures;
mod fields;
mod framework;
mod listing;
mod operations;
mod pages;
mod projects;
mod service;
mod sockets;
mod support;
