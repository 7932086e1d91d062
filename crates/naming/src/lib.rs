//! From a dbt project and a git branch to the names of its server.
//!
//! Everybody who must find a server (the controller that makes it, the pipeline that deploys it,
//! the DAG that calls it) can compute its names instead of asking for them. This crate holds that
//! computation and nothing else: it is pure, reads no clock, no environment and no network, and
//! depends on two hash functions only, so that other tools can embed it.
//!
//! # Terms
//! - **Identity**: a project and a branch, or a project without one, as exact strings. Two
//!   identities never share a server.
//! - **Release name**: the name of the Helm release, and of its `StatefulSet`, Service and claim
//!   template alike.
//! - **Connection id**: the id under which Airflow tasks find the server.
//! - **Slug**: what is left of a project or branch in a name: lower case letters, digits, and one
//!   separator for everything between them.
//! - **Form**: slugs are not unique (`a-b` + `c` and `a` + `b-c` have one), so an identity has a
//!   plain name, which belongs to whoever came first, and hashed ones, which are its own.
//!
//! ```text
//!            ┌─ Plain ──────► dbt-server-a-b-c                    a_b_c
//! Identity ──┼─ Hashed ─────► dbt-server-a-b-c-760edd92           a_b_c_760edd92
//! (a, b-c)   └─ LongHashed ─► dbt-server-a-b-c-760edd92dfdbd88a   a_b_c_760edd92dfdbd88a
//!                             Helm release                        Airflow connection
//! ```
//!
//! Which form a deployed server has is not for this crate to say: it is recorded in its Helm
//! release. These are the candidates, in the order in which they are tried.
//!
//! # Example
//! ```
//! use dbt_controller_naming::{Identity, NameForm};
//!
//! # fn main() -> Result<(), dbt_controller_naming::NameError> {
//! let identity = Identity::parse("test-project", Some("main"))?;
//!
//! let release = identity.release_name(NameForm::Plain);
//! assert_eq!(release.as_str(), "dbt-server-test-project-main");
//! assert_eq!(release.pod_name(0), "dbt-server-test-project-main-0");
//!
//! let candidates = identity.connection_ids();
//! assert_eq!(candidates[0].as_str(), "test_project_main");
//! assert_eq!(candidates[1].as_str(), "test_project_main_7679bf0a");
//!
//! // A name that came from outside is checked once, at the edge.
//! let refused = "Not A Release".parse::<dbt_controller_naming::ReleaseName>();
//! assert!(refused.is_err());
//! # Ok(())
//! # }
//! ```

mod connection;
mod error;
mod form;
mod hash;
mod identity;
mod label;
mod release;
mod replaced;
mod slug;
mod text;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub use connection::ConnectionId;
pub use error::NameError;
pub use form::NameForm;
pub use hash::IdentityHash;
pub use identity::{GitBranch, Identity, ProjectName};
pub use label::LabelValue;
pub use release::ReleaseName;

#[cfg(test)]
mod tests;
