//! What the domain speaks about. Types are made at the edge by their only door and trusted afterwards.
//!
//! No type here derives `Serialize`: bodies live in http-api, stored forms in the adapters, and both convert by hand,
//! so that a renamed field here cannot change a wire or storage format.

mod autopsy;
mod connection;
mod failure;
mod ledger;
mod operation;
mod outcome;
mod quantity;
mod release;
mod request;
mod secret;
mod server;
mod settings;
mod text;
mod view;

pub use autopsy::*;
pub use connection::*;
pub use failure::*;
pub use ledger::*;
pub use operation::*;
pub use outcome::*;
pub use quantity::*;
pub use release::*;
pub use request::*;
pub use secret::*;
pub use server::*;
pub use settings::*;
pub use text::*;
pub use view::*;
