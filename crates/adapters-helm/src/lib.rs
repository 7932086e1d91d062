//! Helm releases of dbt servers: typed Kubernetes objects, recorded as Helm records them, without the helm program or by it.
//!
//! ```text
//! DesiredRelease ──objects──► typed objects ──overlay──► Manifest ──► values.manifests, manifest text, hash
//!  (the domain)                                                                │
//! DeploymentFacts ◄──facts── values + Manifest ◄──── release record ◄──────────┘
//! ```
//!
//! The chart whose releases these are is `charts/dbt-server`: one template that prints `values.manifests`. It is recorded with each
//! release, so `helm upgrade --reuse-values`, `rollback` and `template` give the objects that are written here.
//!
//! # Terms
//! - **Manifest**: the objects of a release as JSON values, in the order in which Helm installs them.
//! - **Values**: what a record calls `config`: the manifest, and in `controller` whose server it is and which operation wrote it.
//! - **Facts**: what a record tells about a deployment, also one that was made by the replaced service.
//! - **Overlay**: what an operator changes about all objects of a kind.
//! - **Gateway**: the object that publishes a server at its host name: an Ingress, or one of two others.

mod annotations;
mod chart;
mod command;
mod content;
mod controller;
mod engine;
mod facts;
mod htpasswd;
mod json;
mod manifest;
mod objects;
mod overlay;
mod record;
mod settings;
mod yaml;

pub use command::{CommandInstaller, Helm, HelmAccess, HelmEngine, HelmError};
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub use engine::NativeInstaller;
pub use overlay::{Overlay, OverlayError};
pub use settings::{Gateway, PullPolicy, Security, ServerSettings};
